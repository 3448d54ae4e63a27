package network_test

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench/incident/network"
)

// at is a time of day after midnight as a time since 23:30.
func at(hours, minutes int) time.Duration {
	return time.Duration(hours)*time.Hour + time.Duration(minutes+30)*time.Minute
}

// day plays the launches and terminations of the day in units of the usual launches per second:
// none launched from 23:48 to 05:28, 0.6 until 11:23, then more until 13:50. Terminations go on.
func day(t *testing.T, cfg network.Config, each func(now time.Duration, out network.Outputs)) {
	t.Helper()
	m, err := network.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	usual := float64(cfg.Normal / 2 * cfg.Step.Seconds())
	for now := time.Duration(0); now < 15*time.Hour+30*time.Minute; now += cfg.Step {
		in := network.Inputs{Launched: usual, Terminated: usual}
		switch {
		case now < 18*time.Minute:
		case now < at(5, 28):
			in.Launched, in.Held = 0, true
		case now < at(11, 23):
			in.Launched *= 0.6
		}
		each(now, m.Step(now, in))
	}
}

// The calibrated manager is slow from 06:21 and normal again at 10:36, within a quarter of an hour.
// The constants are fitted to the replay of the whole day. The inputs of this test are a plain form
// of its own, so the times are wider.
func TestDay(t *testing.T) {
	for _, step := range []time.Duration{time.Second, 10 * time.Second} {
		var from, to time.Duration
		var peak network.Outputs
		day(t, network.Default(step, 100), func(now time.Duration, out network.Outputs) {
			if out.Delay > network.Late && from == 0 {
				from = now
			}
			if out.Delay > network.Late {
				to = now
			}
			if out.Delay > peak.Delay {
				peak = out
			}
		})
		for _, c := range []struct {
			what      string
			got, want time.Duration
		}{{"slow from", from, at(6, 21)}, {"normal from", to, at(10, 36)}} {
			if d := c.got - c.want; d.Abs() > 15*time.Minute {
				t.Errorf("step %v: %s %v; the day has %v", step, c.what, c.got, c.want)
			}
		}
		if peak.Delay > time.Hour || peak.Oldest > peak.Delay {
			t.Errorf("step %v: at the peak a configuration takes %v, the oldest has waited %v", step, peak.Delay, peak.Oldest)
		}
	}
}

// Nothing is lost and nothing is invented: what arrived was propagated, waits in the queue or is
// held back. No step does more than the workers can, and no one waits longer than announced.
func TestConservation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := network.Config{
			Step: 10 * time.Second, Normal: rapid.Float64Range(0.1, 100).Draw(t, "normal"), Headroom: rapid.Float64Range(1, 3).Draw(t, "headroom"),
			Release: time.Duration(rapid.IntRange(0, 600).Draw(t, "release")) * time.Second,
		}
		m, err := network.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		arrived, launched, gone, reached := 0.0, 0.0, 0.0, 0.0
		var announced []time.Duration // the delay at the end of each step
		for i := range 200 {
			in := network.Inputs{
				Launched: rapid.Float64Range(0, 2000).Draw(t, "launched"), Terminated: rapid.Float64Range(0, 2000).Draw(t, "terminated"),
				Held: rapid.IntRange(0, 3).Draw(t, "held") == 0,
			}
			if i >= 100 {
				in = network.Inputs{}
			}
			out := m.Step(time.Duration(i)*cfg.Step, in)
			arrived += in.Launched + in.Terminated
			launched += in.Launched
			gone += out.Propagated
			reached += out.Reached
			if all := gone + out.Backlog + out.Held; math.Abs(all-arrived) > 1e-6*arrived {
				t.Fatalf("step %d: %g arrived, and %g are propagated, waiting or held", i, arrived, all)
			}
			if most := cfg.Normal * cfg.Headroom * cfg.Step.Seconds(); out.Propagated > most*(1+1e-9) {
				t.Fatalf("step %d: %g propagated, and the workers can do %g", i, out.Propagated, most)
			}
			announced = append(announced, out.Delay)
			if out.Backlog > 0 {
				if told := announced[i+1-int(out.Oldest/cfg.Step)]; out.Oldest > told+2*cfg.Step {
					t.Fatalf("step %d: the oldest has waited %v, and was to wait %v", i, out.Oldest, told)
				}
			}
		}
		if reached > launched*(1+1e-9) {
			t.Fatalf("%g of %g launched instances are reached", reached, launched)
		}
	})
}

// A queue is in order: an instance of a quiet day is reached in the step in which it is launched,
// and one behind a backlog after the delay that was announced.
func TestDelay(t *testing.T) {
	m, err := network.New(network.Config{Step: time.Second, Normal: 10, Headroom: 1})
	if err != nil {
		t.Fatal(err)
	}
	if out := m.Step(0, network.Inputs{Launched: 5}); out.Reached != 5 || out.Delay != 0 || out.Oldest != 0 {
		t.Errorf("a quiet step: %+v", out)
	}
	out := m.Step(time.Second, network.Inputs{Terminated: 110})
	if out.Delay != 10*time.Second || out.Oldest != time.Second {
		t.Errorf("100 configurations wait for 10 a second: %+v", out)
	}
	for i := range 11 {
		now := time.Duration(i+2) * time.Second
		out := m.Step(now, network.Inputs{Launched: map[int]float64{0: 1}[i]})
		if want := map[int]float64{10: 1}[i]; out.Reached != want {
			t.Errorf("at %v: %g reached, want %g", now, out.Reached, want)
		}
	}
}

// What is held back is handed over evenly from the end of the hold on.
func TestRelease(t *testing.T) {
	m, err := network.New(network.Config{Step: time.Second, Normal: 1000, Headroom: 1, Release: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if out := m.Step(0, network.Inputs{Terminated: 50, Held: true}); out.Held != 50 || out.Backlog != 0 || out.Propagated != 0 {
		t.Errorf("held: %+v", out)
	}
	for i := range 10 {
		if out := m.Step(time.Duration(i+1)*time.Second, network.Inputs{}); math.Abs(out.Propagated-5) > 1e-9 {
			t.Errorf("step %d of the release: %g propagated, want 5", i, out.Propagated)
		}
	}
	if out := m.Step(11*time.Second, network.Inputs{}); out.Held > 1e-9 || out.Propagated > 1e-9 {
		t.Errorf("after the release: %+v", out)
	}
}

func TestValidate(t *testing.T) {
	for _, cfg := range []network.Config{
		{}, {Step: 1}, {Step: 1, Normal: math.NaN(), Headroom: 1}, {Step: 1, Normal: math.Inf(1), Headroom: 1},
		{Step: 1, Normal: 1}, {Step: 1, Normal: 1, Headroom: 1, Usual: -1}, {Step: 1, Normal: 1, Headroom: 1, Release: -1},
	} {
		if _, err := network.New(cfg); err == nil {
			t.Errorf("%+v: want an error", cfg)
		}
	}
}
