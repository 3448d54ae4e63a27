package dns

import (
	"testing"
	"time"
)

// The scripted race comes at its time whatever the period, the endpoints, Keep, the form and the
// cause. It gets each lock that it needs, and the late enactor's lost attempts add up to its delay.
func TestRaceAnywhere(t *testing.T) {
	for _, period := range []time.Duration{20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute} {
		for endpoints := 1; endpoints <= MaxEndpoints; endpoints++ {
			for _, keep := range []int{1, 2, 5, 10, 12, mostScripted} {
				for k := range 4 {
					c := Default()
					c.Period, c.Endpoints, c.Keep, c.Form, c.Cause = period, endpoints, keep, Forms[k%2], []Cause{Lock, Slow}[k/2]
					raced(t, c)
				}
			}
		}
	}
}

func raced(t *testing.T, c Config) {
	t.Helper()
	for c.Seed = range uint64(30) {
		y, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		end := c.RaceAt + 5*time.Minute
		h := y.hold[y.script.late]
		y.Run(end, nil)
		if all := y.Empties(end); len(all) != 1 || all[0] != (Span{c.RaceAt, end}) || y.missed > 0 {
			t.Errorf("every %v, %d endpoints, keep %d, %s, %s, seed %d: empty %v, %d locks missed", c.Period, c.Endpoints, c.Keep, c.Form, c.Cause, c.Seed, all, y.missed)
			return
		}
		sum, n := time.Duration(0), 0
		for _, l := range y.Losses() {
			if l.Enactor == y.script.late && h.from <= l.At && l.At < h.until {
				if n++; l.Count != n || l.At != h.from+sum {
					t.Errorf("%s, seed %d: loss %d at %v is counted as %d, %v after the first", c.Cause, c.Seed, n, l.At, l.Count, sum)
				}
				sum += l.Wait
			}
		}
		factor := float64(h.wait) / float64(c.StepTime)
		if sum != h.until-h.from || c.Cause == Lock && n < 3 || c.Cause == Slow && (factor < 10 || factor > 100) {
			t.Errorf("%s, seed %d: %d attempts of %v in %v; a step takes %.1f times as long as usual", c.Cause, c.Seed, n, sum, h.until-h.from, factor)
		}
	}
}

// Enactors meet at locks on ordinary days, too. Each loser has the lock in the end: plans go on being
// applied everywhere. Back-offs grow, and no further than to their cap.
func TestLocks(t *testing.T) {
	for _, mends := range []Mend{0, OneLock, Recheck | OneLock} {
		lost := 0
		for seed := range uint64(10) {
			c := Default()
			c.Seed, c.RaceAt, c.Mends = seed, 0, mends|Fencing|NonemptyGuard
			c.Delay = time.Second // of one walk; else there would be random ones
			y, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			y.Run(day, nil)
			lost += len(y.Losses())
			for _, l := range y.Losses() {
				if most := c.StepTime * time.Duration(min(mostWaitStep, 1<<min(l.Count-1, 10))) * 6 / 5; l.Count > 10 || l.Wait > most {
					t.Errorf("%v, seed %d: %+v", mends, seed, l)
				}
			}
			for e := range c.Endpoints {
				if behind := y.s.Newest - y.s.Applied[e]; behind > 2 {
					t.Errorf("%v, seed %d: endpoint %d is %d plans behind", mends, seed, e, behind)
				}
			}
		}
		if lost < 100 {
			t.Errorf("%v: %d locks lost on ten days", mends, lost)
		}
	}
}

// A lock is one enactor's until it is given back or has expired.
func TestLockExpires(t *testing.T) {
	y, err := New(Default())
	if err != nil {
		t.Fatal(err)
	}
	late := lockSteps * y.cfg.StepTime
	for i, tt := range []struct {
		at   time.Duration
		who  int
		gets bool
	}{{0, 0, true}, {1, 1, false}, {late - 1, 2, false}, {late - 1, 0, true}, {late, 1, false}, {2*late - 1, 1, true}, {2 * late, 0, false}} {
		if got := y.take(tt.at, tt.who); got != tt.gets {
			t.Errorf("%d: enactor %d gets the lock at %v: %v", i, tt.who, tt.at, got)
		}
	}
	y.s.Enactor[0] = Enactor{Plan: 1, Phase: Flip}
	y.act(2*late, 0) // its lock has expired and is another's
	if y.s.Enactor[0].Phase != Flip || len(y.Losses()) != 1 {
		t.Errorf("a flip without the lock: %+v, %v", y.s.Enactor[0], y.Losses())
	}
}

// A delay that is given is the delay of the flip, whatever its cause.
func TestDelay(t *testing.T) {
	for _, cause := range []Cause{Lock, Slow} {
		for seed := range uint64(20) {
			c := Default()
			c.Seed, c.RaceAt, c.Delay, c.Cause = seed, 0, 8*time.Minute, cause
			y, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			y.Run(30*time.Minute, nil)
			longest := time.Duration(0)
			for _, w := range y.walks {
				longest = max(longest, w.to-w.from)
			}
			if longest < c.Delay*9/10 || cause == Lock && longest > c.Delay+2*c.UsualWalk() {
				t.Errorf("%s, seed %d: the longest walk takes %v", cause, seed, longest)
			}
		}
	}
}

// An enactor that is held up is slow. One that is stuck is not: its walk has ended.
func TestSlowness(t *testing.T) {
	for _, form := range Forms {
		for _, cause := range []Cause{Lock, Slow} {
			y := run(t, func(c *Config) { c.Form, c.Cause = form, cause })
			if s := y.Slowness(17 * time.Minute); s < 50 {
				t.Errorf("%s, %s: before the race the slowest enactor is %.1f times as slow as usual", form, cause, s)
			}
			for at := 40 * time.Minute; at < 175*time.Minute; at += time.Minute {
				if s := y.Slowness(at); s != 0 {
					t.Fatalf("%s, %s: at %v all are stuck, and one is %.1f times as slow as usual", form, cause, at, s)
				}
			}
			for at := 180 * time.Minute; at < 6*time.Hour; at += time.Minute {
				if s := y.Slowness(at); s > 10 {
					t.Fatalf("%s, %s: at %v an enactor is %.1f times as slow as usual", form, cause, at, s)
				}
			}
		}
	}
}
