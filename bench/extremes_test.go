package bench

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

// smallest is a run of some thousand events.
func smallest(t *testing.T, set ...string) (scenario.Scenario, error) {
	t.Helper()
	s, err := scenario.Load("surge")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Set("leases=200", "broken=60", "timeout=100ms", "interval=500ms", "ttl=1500ms", "steady=50ms", "outage=50ms", "duration=1s", "spread=10ms"); err != nil {
		t.Fatal(err)
	}
	return s, s.Set(set...)
}

// looksLeft ends a run after so many of its looks at the context, one each step of virtual
// time: a bound on what a run may take that is not of the host's time.
type looksLeft struct {
	context.Context
	left int
}

func (c *looksLeft) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// nameless says whether an error leaves open which key is meant.
func nameless(err error) bool {
	if !errors.Is(err, scenario.ErrScenario) {
		return true
	}
	for _, k := range scenario.Keys() {
		if strings.Contains(err.Error(), k.Name+": ") {
			return false
		}
	}
	return true
}

// short runs 10 s of virtual time of a scenario at most, with 20,000 attempts in its queue.
func short(t *testing.T, s scenario.Scenario, o Options) error {
	t.Helper()
	if x, err := newExperiment(s, 1, 1); err == nil && (x.Leases > 1_000_000 || x.Launches(x.Launch, x.Want) > 1e6 || x.Timeout < 20*time.Millisecond && x.Leases > 10_000) {
		return nil // it can be run, and takes longer than a test may
	}
	o.Seed, o.MaxQueue = 1, 20_000
	res, err := Virtual{}.Run(&looksLeft{t.Context(), 200}, s, o)
	if err == nil && (res.Run < 0 || math.IsNaN(res.Beta) || res.Beta < 0 || math.IsInf(res.Capacity, 0)) {
		t.Errorf("it ran for %v s at β %v, %v establishes a second", res.Run, res.Beta, res.Capacity)
	}
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Every key at both ends of its range, and at what is no number, by itself and with one other
// key at an end: the run is made, or refused by the name of a key.
func TestEveryKeyAtItsEnds(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	ends := map[string][]string{}
	for _, k := range scenario.Keys() {
		show := func(x float64) string { return fmt.Sprintf("%.0f", x) }
		bad := []string{"nan", "inf", "-inf", "1e400", "0x10", "", "-1", "9223372036854775808"}
		switch k.Zero().(type) {
		case string:
			continue
		case time.Duration:
			show = func(x float64) string { return time.Duration(x * 1e9).String() }
			bad = append(bad, "2562047h", "9999999h", "1")
		case float64:
			show = func(x float64) string { return fmt.Sprintf("%g", x) }
			if k.Min == 0 {
				ends[k.Name] = append(ends[k.Name], "1e-300", "1e-12", "1e-5")
			}
		}
		ends[k.Name] = append(ends[k.Name], show(k.Min), show(k.Max))
		for _, text := range bad {
			s, err := smallest(t)
			if err != nil {
				t.Fatal(err)
			}
			if err = s.Set(k.Name + "=" + text); err == nil || nameless(err) {
				t.Errorf("%s=%s: %v", k.Name, text, err)
			}
		}
	}
	var all []string
	for _, k := range scenario.Keys() {
		for _, end := range ends[k.Name] {
			all = append(all, k.Name+"="+end)
		}
	}
	for _, base := range []string{"", "operator=both", "scale=leases", "scale=none"} {
		for i, first := range all {
			for _, second := range all[i:] {
				set := []string{first, second}
				if base != "" {
					set = append(set, base)
				}
				if first != second && base != "" { // pairs of the plain one only
					continue
				}
				s, err := smallest(t, set...)
				if err == nil {
					err = short(t, s, Options{})
				}
				if err != nil && nameless(err) {
					t.Errorf("%v: %v", set, err)
				}
			}
		}
	}
}

// A service that takes as long as the timeout is refused with both figures, and one that takes
// less is not.
func TestServiceWithinTimeout(t *testing.T) {
	for _, tt := range []struct {
		set  []string
		want string // "": it is run
	}{
		{[]string{"leases=10", "broken=1"}, "leases: the service of establish takes 2 s and the timeout is 1s"},
		{[]string{"leases=20", "broken=1"}, "leases: the service of establish takes 1 s and the timeout is 1s"},
		{[]string{"leases=21", "broken=1"}, ""},
		{[]string{"leases=5", "broken=1", "sigma=0.1"}, "leases: the service of check takes 1 s and the timeout is 1s"},
		{[]string{"leases=6", "broken=1", "sigma=0.1"}, ""},
		{[]string{"leases=2", "broken=1", "scale=none", "service_time=250ms"}, "service_time: the service of establish takes 1 s and the timeout is 1s"},
		{[]string{"leases=2", "broken=1", "scale=none", "service_time=249ms"}, ""},
	} {
		s, err := scenario.Load("surge")
		if err == nil {
			err = s.Set(tt.set...)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = newExperiment(s, 1, 1)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%v: %v; want …%s…", tt.set, err, tt.want)
		}
	}
}

// A run and its leases end before the last deadline that a table holds, and the operator acts
// before the run ends; what does not is refused by the key to change.
func TestRunsThatCannotBeHeld(t *testing.T) {
	for _, tt := range []struct {
		set  []string
		want string
	}{
		{[]string{"renew_rate=1e-12"}, "renew_rate: 1e-12 makes leases live 2.5e+11 times as long"},
		{[]string{"renew_rate=0.0000035", "duration=3h"}, "renew_rate: the run may last"},
		{[]string{"outage=0s", "broken=0", "measure=1h", "timeout=1h", "interval=3h", "ttl=4h", "loads=" + strings.Repeat("0.3,", 600) + "0.3"}, "loads: the run may last"},
		{[]string{"operator=restart", "operator_at=25s"}, "operator_at: the operator's last step is 25s after the return, and the run ends 25s after it"},
		{[]string{"operator=both", "restarts=20"}, "restart_every: the operator's last step is 27s after the return"},
		{[]string{"launch=100", "sigma=0.1", "leases=20000000", "interval=10s"}, "launch: 100 of capacity is"},
		{[]string{"scale=leases", "service_time=100ns", "interval=24h", "ttl=25h"}, "service_time: 100ns for a check makes"},
	} {
		s, err := scenario.Load("surge")
		if err == nil {
			err = s.Set(tt.set...)
		}
		if err != nil {
			t.Fatal(tt.set, err)
		}
		s.Workers = 1
		if strings.HasPrefix(tt.want, "service_time") || strings.HasPrefix(tt.want, "launch") {
			s.Workers = 4096
		}
		if _, err = newExperiment(s, 1, 1); err == nil || !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60v: %v; want …%s…", tt.set, err, tt.want)
		}
	}
}
