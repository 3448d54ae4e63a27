package dwfm_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/lease"
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

// ends is an admission controller that keeps how attempts ended.
type ends []queue.Outcome

func (*ends) Admit(_ time.Duration, items []queue.Item, _ func() int) int { return len(items) }
func (e *ends) Done(_ time.Duration, _ *queue.Item, _ time.Duration, out queue.Outcome) {
	*e = append(*e, out)
}

// hearing is a manager that knows which requests were answered, how attempts ended, and the lease of droplet 3.
func hearing(t *testing.T, d dwfm.Dependency) (m *dwfm.Manager, heard *ends, held uint64) {
	t.Helper()
	heard = &ends{}
	table, err := lease.NewMutex(10)
	if err != nil {
		t.Fatal(err)
	}
	m, err = dwfm.New(dwfm.Config{
		Droplets: 10, TTL: time.Minute, Table: table, Queue: queue.NewFIFO(), Admit: heard, Requests: dwfm.NewRequests(10),
		Dependency: d, Costs: dwfm.Costs{Check: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	id, err := m.Seed(0, 60*sec, 3)
	if err != nil {
		t.Fatal(err)
	}
	return m, heard, uint64(id)
}

// The admission controller hears of an attempt that lost to another one of its request as of a good one: the
// manager answered both in time. An establish that loses to one of another request is late.
func TestLostIsNoOverload(t *testing.T) {
	m, heard, held := hearing(t, nil)
	w := m.Worker(0)
	check := queue.Item{Born: sec, Timeout: queue.ToMicros(sec), Droplet: 3, Class: queue.Check, Lease: held}
	establish := queue.Item{Born: 3 * sec, Timeout: queue.ToMicros(sec), Droplet: 3, Class: queue.Establish, Lease: held}
	later := establish
	later.Born += sec / 2
	for _, tt := range []struct {
		what          string
		it            queue.Item
		done          time.Duration
		answer, hears queue.Outcome
	}{
		{"a check", check, check.Born + 1, queue.Good, queue.Good},
		{"its hedge", check, check.Born + 2, queue.Late, queue.Good},
		{"a hedge at the deadline", check, check.Deadline(), queue.Late, queue.Late},
		{"an establish", establish, establish.Born + 1, queue.Good, queue.Good},
		{"its hedge", establish, establish.Born + 2, queue.Late, queue.Good},
		{"one of another request", later, later.Born + 1, queue.Late, queue.Late},
	} {
		var a dwfm.Answer
		w.Complete(tt.it.Born, tt.done, &tt.it, &a)
		if hears := (*heard)[len(*heard)-1]; a.Outcome != tt.answer || hears != tt.hears {
			t.Errorf("%s: %v, and the controller hears %v; want %v and %v", tt.what, a.Outcome, hears, tt.answer, tt.hears)
		}
	}
}

// meanwhile is a dependency that is there, and lets something happen before it first answers.
type meanwhile struct{ happens func() }

func (d *meanwhile) Ask(time.Duration, uint32) (bool, time.Duration) {
	if happens := d.happens; happens != nil {
		d.happens = nil
		happens()
	}
	return true, 0
}

// So it hears where another worker answers the request while the work for the attempt is being done.
func TestLostInTheAct(t *testing.T) {
	dependency := &meanwhile{}
	m, heard, held := hearing(t, dependency)
	slow, fast := m.Worker(0), m.Worker(1)
	it := queue.Item{Born: sec, Timeout: queue.ToMicros(sec), Droplet: 3, Class: queue.Establish, Lease: held}
	var a, b dwfm.Answer
	dependency.happens = func() { fast.Complete(sec, sec+1, &it, &b) }
	slow.Complete(sec, sec+1, &it, &a)
	if a.Outcome != queue.Late || a.Lease != 0 || b.Outcome != queue.Good || !slices.Equal(*heard, ends{queue.Good, queue.Good}) {
		t.Errorf("%+v and %+v, and the controller hears %v", a, b, *heard)
	}
}

// An attempt that was taken up in a batch, and whose request is answered before its turn, was cancelled.
func TestStaleSaysWhy(t *testing.T) {
	for _, q := range []string{"cancel+fifo", "cancel+deadline", "percore+cancel+lifo"} {
		r := dwfm.NewRequests(10)
		w := managerWith(t, "mutex", q, "none", dwfm.Costs{Class: [queue.Classes]float64{1, 4, 2}, Dead: 1}, r).Worker(0)
		it := queue.Item{Born: sec, Timeout: queue.ToMicros(sec), Droplet: 3}
		if w.Stale(sec+1, &it) || it.Why != queue.NotShed {
			t.Errorf("%s: stale before its request was answered: %v", q, it.Why)
		}
		r.Claim(&it)
		if !w.Stale(sec+1, &it) || it.Why != queue.Cancelled {
			t.Errorf("%s: its request was answered, and the reason is %v", q, it.Why)
		}
	}
	w := managerWith(t, "mutex", "deadline", "none", dwfm.Costs{Class: [queue.Classes]float64{1, 4, 2}, Dead: 1}, nil).Worker(0)
	if it := (queue.Item{Born: sec, Timeout: queue.ToMicros(sec)}); !w.Stale(2*sec, &it) || it.Why != queue.Expired {
		t.Errorf("past its deadline, and the reason is %v", it.Why)
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
