package queue_test

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

func newSwitch(t *testing.T, first, then string) *queue.Switch {
	t.Helper()
	a, err := queue.Make(first, queuetest.Config)
	if err != nil {
		t.Fatal(err)
	}
	b, err := queue.Make(then, queuetest.Config)
	if err != nil {
		t.Fatal(err)
	}
	return queue.NewSwitch(a, b)
}

// A switch keeps a discipline's promises before, after and while it switches.
func TestSwitchConforms(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		queuetest.Run(t, func(queue.Config) (queue.Discipline, error) { return newSwitch(t, "fifo", "lifo"), nil })
	})
	t.Run("after", func(t *testing.T) {
		queuetest.Run(t, func(queue.Config) (queue.Discipline, error) {
			s := newSwitch(t, "fifo", "lifo")
			s.Do()
			return s, nil
		})
	})
}

// What waited moves over and comes out in the new order, whole; what the new one has no room
// for is given up.
func TestSwitchMoves(t *testing.T) {
	for _, tt := range []struct {
		then string
		lost bool
	}{{"lifo", false}, {"bounded:depth=0.000001", true}} {
		s := newSwitch(t, "fifo", tt.then)
		const n = 1000
		for i := range n {
			s.Push(0, []queue.Item{{Droplet: uint32(i), Timeout: queue.ToMicros(time.Second)}})
		}
		s.Do()
		s.Do()
		if s.Len() != n {
			t.Fatalf("%s: %d of %d right after the switch", tt.then, s.Len(), n)
		}
		seen := map[uint32]bool{}
		dst := make([]queue.Item, 7)
		lost := 0
		for s.Len() > 0 {
			taken, dropped := s.Pop(0, dst)
			lost += dropped
			for _, it := range append(dst[:taken:taken], dst[len(dst)-dropped:]...) {
				if seen[it.Droplet] {
					t.Fatalf("%s: droplet %d came out twice", tt.then, it.Droplet)
				}
				seen[it.Droplet] = true
			}
		}
		if len(seen) != n || (lost > 0) != tt.lost {
			t.Errorf("%s: %d of %d came out, %d given up", tt.then, len(seen), n, lost)
		}
	}
}

// A discipline in parts has its parts behind a switch, too: a worker takes from its own.
func TestSwitchViews(t *testing.T) {
	s := newSwitch(t, "percore:parts=2+fifo", "percore:parts=2+lifo")
	own := func(worker int) (droplet uint32) {
		dst := make([]queue.Item, 1)
		if taken, _ := s.View(worker).Pop(0, dst); taken != 1 {
			t.Fatalf("worker %d gets nothing", worker)
		}
		return dst[0].Droplet
	}
	for _, phase := range []string{"before", "after"} {
		// The batches go to the parts in turn, and the parts are equally long.
		s.Push(0, []queue.Item{{Droplet: 1}, {Droplet: 1}})
		s.Push(0, []queue.Item{{Droplet: 2}, {Droplet: 2}})
		a, b := own(0), own(1)
		if a == b {
			t.Errorf("%s: both workers take from the same part", phase)
		}
		if a2, b2 := own(0), own(1); a2 != a || b2 != b {
			t.Errorf("%s: worker 0 took %d, then %d, worker 1 %d, then %d", phase, a, a2, b, b2)
		}
		s.Do()
	}
}
