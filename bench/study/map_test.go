package study

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// smallMap is a map of the surge at a size that runs in a moment.
func smallMap(t *testing.T, set ...string) Map {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=2000", "broken=200"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return Map{
		Scenario: s.TOML(), Contestants: []string{"fifo", "lifo/none/backoff"}, Seeds: 1, Seed: 1,
		X: scenario.Range{Axis: "beta", Low: 1, High: 5, N: 9}, Y: scenario.Range{Axis: "rho", Low: 0.1, High: 0.5, N: 6},
	}
}

func runMap(t *testing.T, g Map) (string, *MapResult) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "map")
	if err := NewMap(dir, g); err != nil {
		t.Fatal(err)
	}
	res, err := RunMap(t.Context(), dir, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir, res
}

// Spending runs at the border finds the same map as running everything, and the border is
// where the fluid law has it.
func TestMapAdaptive(t *testing.T) {
	g := smallMap(t)
	_, some := runMap(t, g)
	g.All = true
	_, all := runMap(t, g)
	if len(some.Points) != 2*9*6 || len(all.Points) != len(some.Points) {
		t.Fatalf("%d and %d points", len(some.Points), len(all.Points))
	}
	inferred, laws := 0, map[[2]int]float64{} // by contestant and y: x is the surge
	for i, p := range some.Points {
		q := all.Points[i]
		if p.Lost != q.Lost || p.Runs != q.Runs || q.Inferred {
			t.Errorf("%+v, and with all points run %+v", p, q)
		}
		if p.Inferred {
			inferred++
		}
		s, err := g.scenario(p.Contestant, p.X, p.Y)
		if err != nil {
			t.Fatal(err)
		}
		border, known := laws[[2]int{p.Contestant, p.Y}]
		if !known {
			border = math.Inf(1)
			if law, _ := law.Beta(&s); law != nil {
				border = *law
			}
			laws[[2]int{p.Contestant, p.Y}] = border
		}
		switch {
		case p.Contestant == 1 && p.Lost > 0:
			t.Errorf("lifo with backoff is lost at %+v", p)
		case p.Contestant == 0 && p.Beta < 0.9*border && p.Lost > 0, p.Contestant == 0 && p.Beta > 1.1*border && p.Lost == 0:
			t.Errorf("fifo at %+v; the fluid law's border is %.2f", p, border)
		}
	}
	if inferred == 0 {
		t.Error("every point was run")
	}
	if text := some.Text(); !strings.Contains(text, "lifo/none/backoff") {
		t.Error(text)
	}
	if len(some.Marks) != 1 || some.Marks[0].Y != 0.25 {
		t.Errorf("marks %+v: want the day", some.Marks)
	}
}

// A map that was interrupted goes on without losing or repeating a point, whatever a kill
// left of its last line.
func TestMapResumes(t *testing.T) {
	dir, want := runMap(t, smallMap(t))
	again := filepath.Join(t.TempDir(), "map")
	if err := NewMap(again, smallMap(t)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := RunMap(ctx, again, nil, func(done, _ int) {
		if done == 5 {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	points := filepath.Join(again, pointsFile)
	text, err := os.ReadFile(points)
	if err != nil {
		t.Fatal(err)
	}
	had := strings.Count(string(text), "\n")
	if err := os.WriteFile(points, append(text, `{"contestant":0,"x`...), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := RunMap(t.Context(), again, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Points, want.Points) {
		t.Error("the resumed map differs")
	}
	text, err = os.ReadFile(points)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, pointsFile))
	if err != nil {
		t.Fatal(err)
	}
	if n, m := strings.Count(string(text), "\n"), strings.Count(string(whole), "\n"); had < 5 || n != m {
		t.Errorf("%d points after %d, want %d", n, had, m)
	}
	if err := os.WriteFile(points, []byte("{\"contestant\":7}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := RunMap(t.Context(), again, nil, nil); err == nil || !strings.Contains(err.Error(), ":1: not a point") {
		t.Errorf("a strange line: %v", err)
	}
}

func TestMapRefuses(t *testing.T) {
	for _, change := range []func(*Map){
		func(g *Map) { g.Y.Axis = "beta" },
		func(g *Map) { g.X.Axis = "broken"; g.Y.Axis = "beta" },
		func(g *Map) { g.Contestants = nil },
		func(g *Map) { g.Contestants = []string{"fifo", "lifi"} },
		func(g *Map) { g.Contestants = []string{"fifo/none/immediate/x"} },
		func(g *Map) { g.Seeds = 0 },
		func(g *Map) { g.Scenario += "service_law = \"pareto\"\n" },
		func(g *Map) { g.Y = scenario.Range{Axis: "rho", Low: 1.5, High: 3, N: 4} },
		func(g *Map) { g.Y = scenario.Range{Axis: "colour", Low: 0, High: 1, N: 4} },
	} {
		g := smallMap(t)
		change(&g)
		dir := filepath.Join(t.TempDir(), "map")
		if err := NewMap(dir, g); !errors.Is(err, scenario.ErrScenario) {
			t.Errorf("%+v: %v", g, err)
		}
		if _, err := os.Lstat(dir); err == nil {
			t.Error("a folder was made for a map that cannot be")
		}
	}
	for _, text := range []string{"", "rho", "rho=1:2", "rho=0.5:0.1:4", "rho=0:1:1", "rho=0:1:4:log", "rho=0:1:4:lin", "rho=a:1:4", "colour=0:1:4", "rho=0:+Inf:4"} {
		if r, err := scenario.ParseRange(text); !errors.Is(err, scenario.ErrScenario) {
			t.Errorf("%q: %+v, %v", text, r, err)
		}
	}
	if r, err := scenario.ParseRange("broken=10:1000:3:log"); err != nil || r.At(0) != 10 || int(r.At(1)+.5) != 100 || int(r.At(2)+.5) != 1000 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Every axis changes what it says, and what its value is can be read back.
func TestAxes(t *testing.T) {
	values := map[string]float64{"broken": 100, "beta": 1.5, "rho": 0.3, "delta": 0.5, "loss": 0.2, "timeout": 0.5, "spread": 0.2, "wait": 0.3, "pause": 0.4, "jitter": 0.5, "outage": 2, "workers": 3, "ttl_h": 4, "theta": 0.3, "cancel_seen": 0.5, "hedge_after": 0.4}
	for _, a := range scenario.Axes {
		s, err := scenario.Parse("map.toml", []byte(smallMap(t).Scenario))
		if err != nil {
			t.Fatal(err)
		}
		before := s
		x, known := values[a.Name]
		if err := a.Set(&s, x); err != nil || !known {
			t.Errorf("axis %s: %v", a.Name, err)
			continue
		}
		if err := s.Validate(); err != nil {
			t.Errorf("axis %s: %v", a.Name, err)
		}
		if s == before {
			t.Errorf("axis %s changes nothing", a.Name)
		}
		if got := a.Get(&s); a.Name != "jitter" && a.Name != "theta" && (got < x*0.99 || got > x*1.01) {
			t.Errorf("axis %s: set to %g, is %g", a.Name, x, got)
		}
	}
}

// A sweep of the retry wait: without jitter a token bucket idles in step with the droplets.
func TestSweep(t *testing.T) {
	s := surgeStudy(t, "duration=60s", "leases=2000", "broken=200")
	l := Sweep{Scenario: s.TOML(), Contestants: []string{"fifo/token-bucket", "deadline", "slack:theta=0.05"}, Seeds: 2, Seed: 1, X: scenario.Range{Axis: "jitter", Unit: "s", Low: 0, High: 2, N: 3}}
	if err := l.Run(t.Context(), bench.Virtual{}, nil); err != nil {
		t.Fatal(err)
	}
	at := func(c, i int) SweepPoint { return l.Points[c*3+i] }
	if a, b := at(0, 0), at(0, 1); a.Idle.Median < 0.5 || b.Idle.Median > 0.5 || a.TTR.Median < 2*b.TTR.Median {
		t.Errorf("token bucket: %+v without jitter, %+v with", a.TTR, b.TTR)
	}
	if p := at(2, 2); p.Refused == "" || p.Runs > 0 {
		t.Errorf("a theta that breaks the guard: %+v", p)
	}
	if text := l.Text(); !strings.Contains(text, "refused") || strings.Count(text, "\n") != 5 {
		t.Error(text)
	}
	for _, bad := range []Sweep{{Scenario: s.TOML()}, {Scenario: s.TOML(), Contestants: []string{"lilo"}, Seeds: 1, X: l.X}} {
		if err := bad.Run(t.Context(), bench.Virtual{}, nil); !errors.Is(err, scenario.ErrScenario) {
			t.Errorf("%+v: %v", bad.Contestants, err)
		}
	}
}

// Where a part cannot be made the map has no scenario, and goes on.
func TestMapRefusedPart(t *testing.T) {
	g := smallMap(t)
	g.Contestants = []string{"slack"}
	g.Y = scenario.Range{Axis: "jitter", Low: 0, High: 20, N: 3} // a longest wait of 0, 20 and 40 s, and θ·TTL is 12
	_, res := runMap(t, g)
	for _, p := range res.Points {
		if gone := p.Impossible != ""; gone != (p.Y > 0) {
			t.Errorf("at %d, %d: %q", p.X, p.Y, p.Impossible)
		}
	}
}

// A map of the surge has the border by the fluid law along its other axis, whichever that is; a
// discipline that the law is not about has none.
func TestMapFluid(t *testing.T) {
	g := smallMap(t)
	g.Contestants = []string{"fifo", "pie"}
	if err := g.validate(); err != nil {
		t.Fatal(err)
	}
	across := g.fluid()
	if len(across) != 2 || !across[0].ByLaw || across[1].ByLaw || len(across[0].Beta) != g.Y.N {
		t.Fatalf("%+v", across)
	}
	for i, beta := range across[0].Beta {
		s, err := g.scenario(0, 3, i)
		if err != nil {
			t.Fatal(err)
		}
		if want, _ := law.Beta(&s); beta == nil || *beta != *want || across[1].Beta[i] != nil {
			t.Errorf("ρ %g: %v, want %v", g.Y.At(i), beta, *want)
		}
	}
	g.X, g.Y = g.Y, g.X
	if up := g.fluid(); !reflect.DeepEqual(up, across) {
		t.Errorf("with the axes exchanged: %+v", up)
	}
	if g.Y = (scenario.Range{Axis: "delta", Low: 0.5, High: 1, N: 3}); g.fluid() != nil {
		t.Error("a line on a map without the surge")
	}
}
