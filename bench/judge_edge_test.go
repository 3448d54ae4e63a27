package bench

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
)

// edgeJudge is a judge of 10,000 leases, of which the steady state may lack 10, with a
// dependency that returns at 1 s and a timeout of 1 s, of which 5 % of capacity are 2,500.
func edgeJudge() *Judge {
	return &Judge{Leases: 10_000, Timeout: time.Second, Capacity: 50_000, Return: time.Second}
}

// lookAt shows the judge each look's state, from 0 on, until it ends the run or there are no
// more looks; it returns the number of the last.
func lookAt(j *Judge, looks int, at func(look int) engine.State) int {
	for look := range looks {
		if j.Watch(time.Duration(look)*j.Timeout/WatchesPerTimeout, at(look)) {
			return look
		}
	}
	return looks
}

// Each of the judge's bounds, from both sides. A timeout has 100 looks.
func TestJudgeEdges(t *testing.T) {
	const never = 3000
	all := func(active int) func(int) engine.State {
		return func(int) engine.State { return engine.State{Active: active} }
	}
	// lost has 5,000 leases lost from look 100 on, of which left are so from look 200 on, and
	// good establishes a look.
	lost := func(left int, good func(look int) uint64) func(int) engine.State {
		sum := uint64(0)
		return func(look int) engine.State {
			sum += good(look)
			switch {
			case look < 100:
				return engine.State{Active: 10_000, Good: sum}
			case look < 200:
				return engine.State{Active: 5000, Good: sum}
			}
			return engine.State{Active: 10_000 - left, Good: sum}
		}
	}
	none := func(int) uint64 { return 0 }
	// A collapse is seen a timeout and five after the return, and what is lost halves
	// at the last look of those five.
	halves := func(left int) func(int) engine.State {
		return func(look int) engine.State {
			if look < 700 {
				return engine.State{Active: 5000}
			}
			return engine.State{Active: 10_000 - left}
		}
	}
	for _, tt := range []struct {
		name    string
		at      func(look int) engine.State
		looks   int
		verdict Verdict
		ended   int
	}{
		{"99.9 % are active", all(9990), never, Healthy, 600},
		{"one less", all(9989), never, Collapsed, 700},
		{"five timeouts back", func(look int) engine.State {
			if look <= 150 {
				return engine.State{Active: 9989}
			}
			return engine.State{Active: 9990}
		}, 651, Recovered, 650},
		{"a look less", func(look int) engine.State {
			if look <= 150 {
				return engine.State{Active: 9989}
			}
			return engine.State{Active: 9990}
		}, 650, Degraded, 650},
		{"5 % of capacity", lost(5000, func(int) uint64 { return 25 }), never, Degraded, never},
		{"one establish less in a timeout", lost(5000, func(look int) uint64 {
			if look%100 == 0 {
				return 24
			}
			return 25
		}), never, Collapsed, 700},
		{"five timeouts without progress", all(5000), 701, Collapsed, 700},
		{"a look less", all(5000), 700, Degraded, 700},
		{"1 % of what was lost is lost", lost(50, none), never, Degraded, never},
		{"one more", lost(51, none), never, Collapsed, 700},
		{"half of it came back", halves(2500), 701, Degraded, 701},
		{"one less than half", halves(2501), 701, Collapsed, 700},
	} {
		t.Run(tt.name, func(t *testing.T) {
			j := edgeJudge()
			if ended := lookAt(j, tt.looks, tt.at); j.Verdict() != tt.verdict || ended != tt.ended {
				t.Errorf("%v at look %d; want %v at %d", j.Verdict(), ended, tt.verdict, tt.ended)
			}
		})
	}
}

// 1 % is 1 % of any number, to the lease.
func TestJudgeHundredth(t *testing.T) {
	for lost := 100; lost <= 10_000; lost += 100 {
		for _, over := range []int{0, 1} {
			j := edgeJudge()
			j.Leases = 100_000
			lookAt(j, 900, func(look int) engine.State {
				if look < 2 {
					return engine.State{Active: j.Leases - lost}
				}
				return engine.State{Active: j.Leases - lost/100 - over}
			})
			if j.starved > 0 != (over > 0) {
				t.Errorf("%d of %d lost: starved %v", lost/100+over, lost, j.starved > 0)
			}
		}
	}
}

// A queue over its limit ends the run at any time, and such a run is not healthy.
func TestJudgeMaxQueue(t *testing.T) {
	for _, full := range []int{5, 99, 100, 300} { // the dependency returns at 100
		j := edgeJudge()
		j.MaxQueue = 1000
		ended := lookAt(j, 2000, func(look int) engine.State {
			s := engine.State{Active: 10_000, Queued: 1000}
			if look >= full {
				s.Queued++
			}
			return s
		})
		if ended != full || !j.QueueFull || j.Verdict() != Degraded {
			t.Errorf("full at look %d: ended at %d, %v; want degraded", full, ended, j.Verdict())
		}
	}
}
