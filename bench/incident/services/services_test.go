package services_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/incident/services"
)

const step = 10 * time.Second

func at(t *testing.T, clock string) time.Duration {
	t.Helper()
	at, err := operator.At(clock)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func graph(t *testing.T, seed uint64) *services.Graph {
	t.Helper()
	g, err := services.Generate(services.Count, seed)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// day plays the public times of the day.
func day(t *testing.T, seed uint64, opt services.Options) *services.Machine {
	t.Helper()
	m, err := services.New(graph(t, seed), step, opt)
	if err != nil {
		t.Fatal(err)
	}
	empty, inner, mended := at(t, "23:48"), at(t, "01:15"), at(t, "02:25")
	leases, slow, normal := at(t, "05:28"), at(t, "06:21"), at(t, "10:36")
	checks, off := at(t, "06:52"), at(t, "09:36")
	for now := time.Duration(0); now < operator.Length; now += step {
		in := services.Inputs{Name: 1, Internal: 1, Launches: 1}
		if now >= empty && now < mended {
			in.Name = 0
			if now < inner {
				in.Internal = 0
			}
		}
		if now >= empty && now < leases {
			in.Launches = 0
		} else if now >= leases && now < at(t, "13:50") {
			in.Launches = 0.6
		}
		if now >= slow && now < normal {
			in.Network = 15 * time.Minute
		}
		if now >= checks && now < off {
			in.Errors = 0.1
		}
		m.Step(now, in)
	}
	return m
}

// The generated part differs by seed and the public part does not. Every need but those of circles
// points to an earlier service and a lower layer.
func TestGenerate(t *testing.T) {
	one := graph(t, 1)
	if again := graph(t, 1); one.Text() != again.Text() {
		t.Error("seed 1 gives two graphs")
	}
	if one.Text() == graph(t, 2).Text() {
		t.Error("seeds 1 and 2 give the same graph")
	}
	for seed := range uint64(20) {
		g := graph(t, seed)
		if len(g.Services) != services.Count || len(g.Circles) == 0 {
			t.Fatalf("seed %d: %d services, %d circles", seed, len(g.Services), len(g.Circles))
		}
		inside := map[[2]int]bool{}
		for _, c := range g.Circles {
			for _, i := range c.Members {
				for _, j := range c.Members {
					inside[[2]int{i, j}] = true
				}
			}
		}
		for i, s := range g.Services {
			if s.Public != (i < services.Least) || s.Public && s.Name != one.Services[i].Name {
				t.Errorf("seed %d: service %d is %s, public %v", seed, i, s.Name, s.Public)
			}
			for _, n := range s.Needs {
				if !inside[[2]int{i, n.On}] && (n.On >= i || g.Services[n.On].Layer >= s.Layer) {
					t.Errorf("seed %d: %s of layer %d needs %s of layer %d", seed, s.Name, s.Layer, g.Services[n.On].Name, g.Services[n.On].Layer)
				}
				if n.Public != s.Public || n.Start && !n.Hard || n.Data && !n.Hard {
					t.Errorf("seed %d: %s: %+v", seed, s.Name, n)
				}
			}
		}
	}
	for _, n := range []int{-1, 0, services.Least - 1, services.Most + 1} {
		if _, err := services.Generate(n, 1); err == nil {
			t.Errorf("%d services: want an error", n)
		}
	}
	for _, n := range []int{services.Least, services.Least + 1, services.Least + 2, 1000} {
		if g, err := services.Generate(n, 1); err != nil || len(g.Services) != n {
			t.Errorf("%d services: %v", n, err)
		}
	}
}

// The day at five seeds: all services are reached, most are down at once, the public returns come
// at their times, some circles need a hand, and everything is up at the end.
func TestDay(t *testing.T) {
	for seed := range uint64(5) {
		m := day(t, seed+1, services.Options{})
		r := m.Report()
		if len(r.Out) > 0 || len(r.Back) != services.Count || r.DownMax < services.Count/2 {
			t.Errorf("seed %d: %d reached, %d down at once, out at the end: %v", seed+1, len(r.Back), r.DownMax, r.Out)
		}
		if r.Down[0].Service != "dynamodb" || r.Down[0].At != at(t, "23:48") {
			t.Errorf("seed %d: the first down is %+v", seed+1, r.Down[0])
		}
		if len(r.Hands) < 2 {
			t.Errorf("seed %d: hands %+v; want those of Lambda's pollers and of a circle", seed+1, r.Hands)
		}
		up := map[string]time.Duration{} // from down, the first time
		for _, c := range m.Changes() {
			if _, is := up[c.Service]; !is && c.From == services.Down {
				up[c.Service] = c.At
			}
		}
		for name, clock := range map[string]string{"sts": "01:19", "iam": "01:25", "dynamodb": "02:25", "dynamodb-global-tables": "02:32", "ec2": "05:28"} {
			if d := up[name] - at(t, clock); d.Abs() > time.Minute {
				t.Errorf("seed %d: %s is back at %s; the day has %s", seed+1, name, operator.Clock(up[name]), clock)
			}
		}
		// Their connection errors trouble STS, Lambda and Connect while the load balancers fail over.
		for _, name := range []string{"sts", "lambda", "connect"} {
			if !slices.Contains(m.Changes(), services.Transition{At: at(t, "06:52"), Service: name, To: services.Degraded, Because: "nlb"}) {
				t.Errorf("seed %d: %s is not degraded by the load balancers at 06:52", seed+1, name)
			}
		}
		if d := up["lambda-sqs-pollers"] - at(t, "04:40"); d < 0 || d > time.Hour {
			t.Errorf("seed %d: the pollers are back at %s; the day has 04:40", seed+1, operator.Clock(up["lambda-sqs-pollers"]))
		}
	}
}

// Each switch loses less than the day, and without hands more is lost.
func TestSwitches(t *testing.T) {
	for seed := range uint64(3) {
		bare := day(t, seed+1, services.Options{}).Report()
		for name, opt := range map[string]services.Options{
			"static stability": {StaticStability: true}, "broken circle": {BrokenCircle: true}, "two regions": {Regions: 2},
		} {
			if r := day(t, seed+1, opt).Report(); r.Hours.Lost >= bare.Hours.Lost {
				t.Errorf("seed %d: %s: %.0f service-hours lost; without it %.0f", seed+1, name, r.Hours.Lost, bare.Hours.Lost)
			}
		}
		none := day(t, seed+1, services.Options{NoHands: true}).Report()
		if len(none.Out) == 0 || none.Hours.Lost <= bare.Hours.Lost {
			t.Errorf("seed %d: without hands %.0f service-hours are lost, out at the end: %v; with them %.0f", seed+1, none.Hours.Lost, none.Out, bare.Hours.Lost)
		}
	}
}

// Whatever comes in: every service has one state, changes join up, and the same inputs give the
// same changes.
func TestMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, err := services.Generate(rapid.IntRange(services.Least, 60).Draw(t, "services"), rapid.Uint64().Draw(t, "seed"))
		if err != nil {
			t.Fatal(err)
		}
		opt := services.Options{
			StaticStability: rapid.Bool().Draw(t, "static"), BrokenCircle: rapid.Bool().Draw(t, "broken"),
			Regions: rapid.IntRange(0, 2).Draw(t, "regions"), NoHands: rapid.Bool().Draw(t, "no hands"),
		}
		a, errA := services.New(g, time.Minute, opt)
		b, errB := services.New(g, time.Minute, opt)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		state := map[string]services.State{}
		in := services.Inputs{}
		for i := range 150 {
			if i%10 == 0 {
				in = services.Inputs{
					Name: rapid.Float64Range(0, 1).Draw(t, "name"), Internal: rapid.Float64Range(0, 1).Draw(t, "internal"),
					Launches: rapid.Float64Range(0, 1).Draw(t, "launches"), Errors: rapid.Float64Range(0, 1).Draw(t, "errors"),
					Network: time.Duration(rapid.IntRange(0, 1000).Draw(t, "network")) * time.Second,
				}
			}
			now := time.Duration(i) * time.Minute
			out := a.Step(now, in)
			b.Step(now, in)
			if out.Up+out.Degraded+out.Down != len(g.Services) || !(out.Served >= 0 && out.Served <= 1) {
				t.Fatalf("step %d: %+v", i, out)
			}
			for _, c := range out.Changes {
				if c.At != now || c.From != state[c.Service] || c.To == c.From || c.Because == "" {
					t.Fatalf("step %d: %+v, and it was %v", i, c, state[c.Service])
				}
				state[c.Service] = c.To
			}
		}
		if !slices.Equal(a.Changes(), b.Changes()) {
			t.Fatal("the same inputs give two days")
		}
	})
}

func TestExport(t *testing.T) {
	g := graph(t, 1)
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Services []struct {
			Name, Source string
			Needs        []struct{ On, Source string }
		}
		Circles []struct{ Services []string }
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	needs, generated := 0, 0
	for i, s := range read.Services {
		needs += len(s.Needs)
		if s.Name != g.Services[i].Name {
			t.Errorf("service %d is %s in JSON", i, s.Name)
		}
		if s.Source == "generated" {
			generated++
		}
	}
	if generated != services.Count-services.Least || len(read.Circles) != len(g.Circles) {
		t.Errorf("%d generated services, %d circles in JSON", generated, len(read.Circles))
	}
	if dot := g.DOT(); strings.Count(dot, " -> ") != needs || strings.Count(dot, "{") != 1 || !strings.HasSuffix(dot, "}\n") {
		t.Errorf("DOT has %d needs of %d", strings.Count(dot, " -> "), needs)
	}
	if lines := strings.Count(g.Text(), "\n"); lines != services.Count+len(g.Circles) {
		t.Errorf("the text has %d lines", lines)
	}
}

func TestNewErrors(t *testing.T) {
	g := graph(t, 1)
	if _, err := services.New(g, 0, services.Options{}); err == nil {
		t.Error("no step: want an error")
	}
	for _, opt := range []services.Options{{Regions: 3}, {Regions: -1}, {Fresh: -1}} {
		if _, err := services.New(g, step, opt); err == nil {
			t.Errorf("%+v: want an error", opt)
		}
	}
}
