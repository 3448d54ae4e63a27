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
