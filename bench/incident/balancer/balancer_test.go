package balancer_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/bench/incident/balancer"
	"github.com/leasestorm/leasestorm/bench/incident/network"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
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

// day plays the day's launches behind the calibrated network manager. off says when fail-over is
// disabled.
func day(t *testing.T, cfg balancer.Config, off func(now time.Duration) bool) (all []balancer.Outputs) {
	t.Helper()
	const perSecond = 10.0
	n, err := network.New(network.Default(step, 2*perSecond))
	if err != nil {
		t.Fatal(err)
	}
	b, err := balancer.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	usual := perSecond * step.Seconds()
	for now := time.Duration(0); now < operator.Length; now += step {
		in := network.Inputs{Launched: usual, Terminated: usual}
		switch {
		case now < at(t, "23:48"):
		case now < at(t, "05:28"):
			in.Launched, in.Held = 0, true
		case now < at(t, "11:23"):
			in.Launched *= 0.6
		}
		net := n.Step(now, in)
		all = append(all, b.Step(now, balancer.Inputs{New: in.Launched, Delay: net.Delay, FailOverOff: off(now)}))
	}
	return all
}

// when returns the time of the first and the last step at which the outputs satisfy is.
func when(all []balancer.Outputs, is func(balancer.Outputs) bool) (first, last time.Duration) {
	i := slices.IndexFunc(all, is)
	if i < 0 {
		return -1, -1
	}
	j := len(all) - 1
	for !is(all[j]) {
		j--
	}
	return time.Duration(i) * step, time.Duration(j) * step
}

func lost(all []balancer.Outputs) (hours float64) {
	for _, o := range all {
		hours += float64(o.Errors * step.Hours())
	}
	return hours
}

// The day at five seeds: the first zone fails over at about 06:52, at 09:36 the operator's switch
// brings healthy capacity back, and what is left are the unreached targets themselves.
func TestDay(t *testing.T) {
	for seed := range uint64(5) {
		all := day(t, balancer.Default(step, seed+1, 10), func(now time.Duration) bool { return now >= at(t, "09:36") && now < at(t, "14:09") })
		first, last := when(all, func(o balancer.Outputs) bool { return o.ZonesOut > 0 })
		if d := first - at(t, "06:52"); d.Abs() > 20*time.Minute || last >= at(t, "09:36") {
			t.Errorf("seed %d: zones are out from %s to %s; the day has 06:52 to 09:36", seed+1, operator.Clock(first), operator.Clock(last))
		}
		errors, _ := when(all, func(o balancer.Outputs) bool { return o.Errors > 0.001 })
		if d := errors - at(t, "05:30"); d < 0 || d > 15*time.Minute {
			t.Errorf("seed %d: connections fail from %s; the day has 05:30", seed+1, operator.Clock(errors))
		}
		before, after := all[at(t, "09:30")/step], all[at(t, "09:40")/step]
		if before.Errors < 2*after.Errors || before.OutHealthy == 0 || after.OutHealthy != 0 {
			t.Errorf("seed %d: the switch makes of\n%+v\nthis:\n%+v", seed+1, before, after)
		}
		if end := all[len(all)-1]; end.Errors != 0 || end.ZonesOut != 0 || end.Unreached != 0 || math.Abs(end.InService-72000) > 1e-6 {
			t.Errorf("seed %d: at the end %+v", seed+1, end)
		}
	}
}

// A velocity limit, and fail-over that is off, each lose less than half of the connections.
func TestSwitches(t *testing.T) {
	never, always := func(time.Duration) bool { return false }, func(time.Duration) bool { return true }
	for seed := range uint64(3) {
		cfg := balancer.Default(step, seed+1, 10)
		bare := lost(day(t, cfg, never))
		off := day(t, cfg, always)
		cfg.Velocity = balancer.VelocityLimit
		limited := lost(day(t, cfg, never))
		if !(lost(off) < bare/2 && limited < bare/2) {
			t.Errorf("seed %d: hours of connections lost: %.2f bare, %.2f with a velocity limit, %.2f without fail-over", seed+1, bare, limited, lost(off))
		}
		if first, _ := when(off, func(o balancer.Outputs) bool { return o.ZonesOut > 0 || o.OutHealthy > 0 }); first >= 0 {
			t.Errorf("seed %d: a zone is out at %v although fail-over is off", seed+1, first)
		}
	}
}

// The same seed gives the same day, another seed another.
func TestSeed(t *testing.T) {
	never := func(time.Duration) bool { return false }
	one, again := day(t, balancer.Default(step, 1, 10), never), day(t, balancer.Default(step, 1, 10), never)
	if !slices.Equal(one, again) {
		t.Error("seed 1 gives two days")
	}
	if slices.Equal(one, day(t, balancer.Default(step, 2, 10), never)) {
		t.Error("seeds 1 and 2 give the same day")
	}
}

// Whatever comes in: shares stay shares, targets are conserved, no more zones are out than may be,
// and the velocity limit holds over every hour.
func TestBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := balancer.Default(time.Minute, rapid.Uint64().Draw(t, "seed"), rapid.Float64Range(0.1, 100).Draw(t, "rate"))
		cfg.Pass = rapid.Float64Range(0, 1).Draw(t, "pass")
		cfg.MostOut = rapid.IntRange(0, 5).Draw(t, "most out")
		cfg.Velocity = rapid.SampledFrom([]float64{0, 0.01, 0.1, 1}).Draw(t, "velocity")
		b, err := balancer.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var removed []float64
		for i := range 120 {
			in := balancer.Inputs{
				New:         rapid.Float64Range(0, cfg.Targets).Draw(t, "new"),
				Delay:       time.Duration(rapid.IntRange(0, 3600).Draw(t, "delay")) * time.Second,
				FailOverOff: rapid.IntRange(0, 9).Draw(t, "off") == 0,
			}
			out := b.Step(time.Duration(i)*time.Minute, in)
			const tiny = 1e-9
			switch eps := tiny * cfg.Targets; {
			case !(out.Errors >= 0 && out.Errors <= 1):
				t.Fatalf("step %d: %g of the connections fail", i, out.Errors)
			case out.InService < -eps || out.InService > cfg.Targets+eps || out.Unreached > cfg.Targets+eps || out.OutHealthy < -eps:
				t.Fatalf("step %d: %+v of %g targets", i, out, cfg.Targets)
			case out.ZonesOut > cfg.MostOut || in.FailOverOff && out.ZonesOut > 0:
				t.Fatalf("step %d: %d zones are out", i, out.ZonesOut)
			case cfg.Velocity == 0:
				continue
			}
			// What is out now was removed within two budgets an hour: one saved, one earned.
			removed = append(removed, out.OutHealthy/cfg.Targets)
			if most := cfg.Velocity * (1 + float64(i+1)/60); removed[i] > most+tiny {
				t.Fatalf("step %d: %g of the targets are removed; the limit allows %g", i, removed[i], most)
			}
		}
	})
}

func TestValidate(t *testing.T) {
	good := balancer.Default(step, 1, 10)
	for name, spoil := range map[string]func(*balancer.Config){
		"no zone":     func(c *balancer.Config) { c.Zones = 0 },
		"all out":     func(c *balancer.Config) { c.MostOut = c.Zones },
		"no target":   func(c *balancer.Config) { c.Targets = 0 },
		"NaN":         func(c *balancer.Config) { c.FlapWork = math.NaN() },
		"no step":     func(c *balancer.Config) { c.Step = 0 },
		"early stale": func(c *balancer.Config) { c.Stale = c.Every - 1 },
	} {
		cfg := good
		spoil(&cfg)
		if _, err := balancer.New(cfg); err == nil {
			t.Errorf("%s: want an error", name)
		}
	}
}
