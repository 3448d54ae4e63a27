package dwfm_test

import (
	"sync"
	"testing"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Of the attempts of one request the first to be served is good, and the others' work is for nothing.
func TestRequests(t *testing.T) {
	r := dwfm.NewRequests(10)
	m := managerWith(t, "mutex", "cancel+fifo", "none", dwfm.Costs{Class: [queue.Classes]float64{1, 4, 2}, Dead: 1}, r)
	id, err := m.Seed(0, 60*sec, 3)
	if err != nil {
		t.Fatal(err)
	}
	first := queue.Item{Born: sec, Timeout: queue.ToMicros(sec), Droplet: 3, Class: queue.Check, Lease: uint64(id)}
	hedge := first
	hedge.Born, hedge.Timeout = first.Born+sec/4, queue.ToMicros(sec-sec/4)
	next := first
	next.Born = 3 * sec
	launch := first
	launch.Class = queue.Launch
	w := m.Worker(0)
	for _, tt := range []struct {
		what string
		it   queue.Item
		want queue.Outcome
	}{
		{"the hedge", hedge, queue.Good}, {"the first attempt", first, queue.Late}, {"the hedge again", hedge, queue.Late},
		{"a launch", launch, queue.Good}, {"the same launch", launch, queue.Good},
		{"the next check", next, queue.Good}, {"the next check again", next, queue.Late},
	} {
		var a dwfm.Answer
		w.Complete(tt.it.Born, max(tt.it.Born, hedge.Born)+1, &tt.it, &a)
		if a.Outcome != tt.want || (a.Lease != 0) != (tt.want == queue.Good) || (a.Until != 0) != (tt.want == queue.Good) {
			t.Errorf("%s: %+v, want %v", tt.what, a, tt.want)
		}
	}
	// The manager that sees cancellations serves none whose request was answered.
	unanswered := first
	unanswered.Droplet = 4
	m.Offer(first.Born, []queue.Item{first, hedge, unanswered})
	dst := make([]queue.Item, 3)
	if taken, dropped := w.Take(hedge.Born, dst); taken != 1 || dropped != 2 || dst[0].Droplet != 4 || dst[1].Why != queue.Cancelled || dst[2].Why != queue.Cancelled {
		t.Errorf("taken %d, dropped %d of %+v", taken, dropped, dst)
	}
}

// Of attempts that are served at once one wins.
func TestRequestsRace(t *testing.T) {
	r := dwfm.NewRequests(1)
	for n := range 1000 {
		it := queue.Item{Born: 2 * sec, Timeout: queue.Micros(n + 1)}
		var won atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if r.Claim(&it) {
					won.Inc()
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Fatalf("request %d was answered %d times", n, won.Load())
		}
	}
}
