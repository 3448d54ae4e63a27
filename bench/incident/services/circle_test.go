package services

import (
	"slices"
	"testing"
	"time"
)

const minute = time.Minute

// ring is a graph of a base and two services that need each other. Both need the base. start says
// whether the first needs the second to start; the second always needs the first.
func ring(start bool) *Graph {
	on := func(i int, start bool) Need { return Need{On: i, Hard: true, Start: start} }
	g := &Graph{Services: []Service{
		{Name: "dynamodb", Base: true},
		{Name: "ec2", Base: true},
		{Name: "nlb", Base: true},
		{Name: "first", Needs: []Need{on(DynamoDB, true), on(4, start)}, Patience: 2 * minute, Recovery: 5 * minute},
		{Name: "second", Needs: []Need{on(DynamoDB, true), on(3, true)}, Patience: 2 * minute, Recovery: 5 * minute},
		{Name: "behind", Needs: []Need{on(4, true)}, Recovery: minute},
	}}
	g.findCircles()
	for i := range g.Circles {
		g.Circles[i].Hand = 30 * minute
	}
	return g
}

// play takes DynamoDB away for the first minutes of two hours.
func play(t *testing.T, g *Graph, opt Options, away int) *Machine {
	t.Helper()
	m, err := New(g, minute, opt)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		in := Inputs{Name: 1, Launches: 1}
		if i < away {
			in.Name = 0
		}
		m.Step(time.Duration(i)*minute, in)
	}
	return m
}

func TestCircles(t *testing.T) {
	g := ring(true)
	if len(g.Circles) != 1 || !slices.Equal(g.Circles[0].Members, []int{3, 4}) {
		t.Fatalf("circles %+v: want that of services 3 and 4", g.Circles)
	}
	for _, c := range []struct {
		what  string
		graph *Graph
		opt   Options
		away  int
		back  map[string]time.Duration // absent: never
		hands int
	}{
		{"a circle waits for a hand", ring(true), Options{}, 10,
			map[string]time.Duration{"first": 52 * minute, "second": 46 * minute, "behind": 47 * minute}, 1},
		{"without a hand for ever", ring(true), Options{NoHands: true}, 10, nil, 1},
		{"one that can start takes the others along", ring(false), Options{}, 10,
			map[string]time.Duration{"first": 26 * minute, "second": 20 * minute, "behind": 21 * minute}, 0},
		{"a broken circle returns by itself", ring(true), Options{BrokenCircle: true}, 10,
			map[string]time.Duration{"first": 15 * minute, "second": 15 * minute, "behind": 16 * minute}, 0},
		{"a short outage is sat out", ring(true), Options{}, 2, map[string]time.Duration{"first": 0, "second": 0, "behind": 0}, 0},
	} {
		m := play(t, c.graph, c.opt, c.away)
		r := m.Report()
		got := map[string]time.Duration{}
		for _, b := range r.Back {
			got[b.Service] = b.At
		}
		for _, name := range []string{"first", "second", "behind"} {
			want, returns := c.back[name]
			at, is := got[name], !slices.Contains(r.Out, name)
			if is != returns || at != want {
				t.Errorf("%s: %s is up: %v, at %v; want %v, at %v", c.what, name, is, at, returns, want)
			}
		}
		if len(r.Hands) != c.hands {
			t.Errorf("%s: hands %+v; want %d", c.what, r.Hands, c.hands)
		}
		for _, h := range r.Hands {
			if !slices.Equal(h.Services, []string{"first", "second"}) || h.Since < 10*minute || c.opt.NoHands && h.At != 0 || !c.opt.NoHands && h.At != h.Since+30*minute {
				t.Errorf("%s: %+v", c.what, h)
			}
		}
	}
}

// A service of a circle that is down for a reason outside does not make the circle stuck.
func TestCircleBehindAnother(t *testing.T) {
	g := ring(true)
	g.Services[4].Needs = append(g.Services[4].Needs, Need{On: EC2, Hard: true, Start: true})
	g.findCircles()
	g.Circles[0].Hand = 30 * minute
	m, err := New(g, minute, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		in := Inputs{Name: 1, Launches: 1}
		if i < 10 {
			in.Name = 0
		}
		if i < 60 {
			in.Launches = 0
		}
		m.Step(time.Duration(i)*minute, in)
	}
	r := m.Report()
	if len(r.Hands) != 1 || r.Hands[0].Since != 60*minute || len(r.Out) > 0 {
		t.Errorf("hands %+v, out %v: want one hand, for a circle that is stuck from 1h on", r.Hands, r.Out)
	}
}

// A last known answer carries a hard need of the data plane for its time, and only that.
func TestStaticStability(t *testing.T) {
	for _, c := range []struct {
		data  bool
		opt   Options
		worst State
	}{
		{true, Options{StaticStability: true}, Degraded},
		{true, Options{StaticStability: true, Fresh: 20 * minute}, Down},
		{false, Options{StaticStability: true}, Down},
		{true, Options{}, Down},
	} {
		g := ring(true)
		g.Services = g.Services[:4]
		g.Services[3].Needs = []Need{{On: DynamoDB, Hard: true, Start: true, Data: c.data}}
		g.Circles = nil
		worst := Up
		for _, change := range play(t, g, c.opt, 60).Changes() {
			if change.Service == "first" {
				worst = max(worst, change.To)
			}
		}
		if worst != c.worst {
			t.Errorf("data %v, %+v: %v at worst; want %v", c.data, c.opt, worst, c.worst)
		}
	}
}
