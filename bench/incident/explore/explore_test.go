package explore

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/incident/dns"
)

func explored(t *testing.T, change func(*Config)) *Report {
	t.Helper()
	c := Default()
	change(&c)
	r, err := Explore(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// verdicts are what each set of mends leaves open, in either form of the clean-up.
func leavesOpen(m dns.Mend) []Property {
	switch {
	case m&dns.Fencing != 0:
		return nil
	case m&dns.NonemptyGuard != 0:
		return []Property{StaleApplied}
	}
	return Properties
}

// Without a mend the race is there; fencing closes it; a guard against empty names leaves stale
// plans; no other mend closes anything, alone or with others.
func TestMends(t *testing.T) {
	for _, form := range dns.Forms {
		for m := range dns.Mend(32) {
			if testing.Short() && m != 0 && m&(m-1) != 0 {
				continue // single mends only
			}
			r := explored(t, func(c *Config) { c.Mends, c.Form, c.Endpoints = m, form, 1 })
			var open []Property
			for _, p := range Properties {
				if r.Found[p] != nil {
					open = append(open, p)
				}
			}
			want := leavesOpen(m)
			if !r.Complete || !slices.Equal(open, want) || (r.Violation == nil) != (len(want) == 0) || r.Violation != nil && *r.Violation != want[0] {
				t.Errorf("%s, mends %q: %q are possible, want %q", form, m, open, want)
			}
		}
	}
}

// A schedule that is printed does what it says: taken step by step it ends in the violation, and
// every step before it is clean.
func TestSchedule(t *testing.T) {
	r := explored(t, func(*Config) {})
	c := Default()
	s := dns.Begin(&c.Rules)
	for k, m := range r.Schedule {
		if s.Empty(0) || s.Empty(1) {
			t.Errorf("the name is empty before step %d", k+1)
		}
		move := uint8(planner)
		if name, ok := strings.CutPrefix(m.Who, "enactor "); ok {
			move = name[0] - 'A'
		}
		if _, ok := take(&s, &c, move); !ok {
			t.Fatalf("step %d, %+v, is not possible", k+1, m)
		}
	}
	if !s.Empty(0) && !s.Empty(1) {
		t.Error("the schedule does not end in an empty name")
	}
	if text := r.Text(); !strings.Contains(text, "THE NAME IS EMPTY") || strings.Count(text, "\n") < len(r.Schedule) {
		t.Error(text)
	}
}

func TestBounds(t *testing.T) {
	if r := explored(t, func(c *Config) { c.Plans = 3 }); r.Violation != nil && *r.Violation == EmptyAnswer {
		t.Error("three plans cannot make one old enough, when the clean-up keeps one")
	}
	r := explored(t, func(c *Config) { c.Limit = 500 })
	if r.Complete || r.States < 500 || !strings.Contains(r.Text(), "limit") {
		t.Errorf("%d states, complete %v", r.States, r.Complete)
	}
	for _, change := range []func(*Config){
		func(c *Config) { c.Plans = 0 }, func(c *Config) { c.Endpoints = 9 }, func(c *Config) { c.Keep = -1 },
		func(c *Config) { c.Form = "none" }, func(c *Config) { c.Limit = -1 },
	} {
		c := Default()
		change(&c)
		if _, err := Explore(t.Context(), c); err == nil {
			t.Errorf("%+v is explored", c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Explore(ctx, Default()); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// States that differ have different hashes, at least in the whole search.
func TestHash(t *testing.T) {
	c := Default()
	c.Endpoints = 1
	begin := dns.Begin(&c.Rules)
	seen := map[dns.State]bool{begin: true}
	hashes := map[[2]uint64]bool{begin.Hash(): true}
	for level := []dns.State{begin}; len(level) > 0; {
		var next []dns.State
		for _, at := range level {
			for move := range uint8(planner + 1) {
				s := at
				if _, ok := take(&s, &c, move); ok && !seen[s] {
					seen[s] = true
					hashes[s.Hash()] = true
					next = append(next, s)
				}
			}
		}
		level = next
	}
	if r := explored(t, func(c *Config) { c.Endpoints = 1 }); len(seen) != len(hashes) || len(seen) != r.States {
		t.Errorf("%d states have %d hashes; the search saw %d", len(seen), len(hashes), r.States)
	}
}
