package bench

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

// heapSim is the surge on a fifo with immediate retries as one writes it first: a calendar
// in a container/heap, a struct a droplet, a slice for the queue. It is the yardstick of
// `make bench-sim`, and, since it shares no code with the engine but the scenario, a check
// of it.
type heapSim struct {
	x        *experiment
	rng      *rand.Rand
	calendar calendar
	droplets []heapDroplet
	queue    []*heapAttempt
	head     int
	busy     *heapAttempt
	now      time.Duration
	events   int // timers that were not stale, and service ends
	good     [queue.Classes]int
	late     int
}

type heapDroplet struct {
	until time.Duration // of its lease
	held  bool
	epoch int          // of the lease; an attempt with an older one is late
	out   *heapAttempt // that it waits for
	next  *heapEvent   // its next check; another one is stale
}

type heapAttempt struct {
	droplet int
	born    time.Duration
	class   queue.Class
	epoch   int
	dead    bool // when it was taken up
}

type heapEvent struct {
	at      time.Duration
	kind    int // 0 service end, 1 check, 2 time-out
	droplet int
	attempt *heapAttempt
}

type calendar []*heapEvent

func (c calendar) Len() int { return len(c) }
func (c calendar) Less(i, j int) bool {
	return c[i].at < c[j].at || c[i].at == c[j].at && c[i].kind < c[j].kind
}
func (c calendar) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *calendar) Push(x any)   { *c = append(*c, x.(*heapEvent)) }
func (c *calendar) Pop() any {
	e := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return e
}

func newHeapSim(x *experiment, seed uint64) *heapSim {
	s := &heapSim{x: x, rng: rand.New(rand.NewPCG(seed, 99)), droplets: make([]heapDroplet, x.Leases)}
	for i, k := range s.rng.Perm(x.Leases) {
		d := &s.droplets[i]
		d.held = true
		if k < x.Broken {
			d.until = x.outage.From + 1
			s.check(i, x.outage.To+time.Duration(s.rng.Int64N(int64(x.Spread))))
		} else {
			at := time.Duration(s.rng.Int64N(int64(x.Interval)))
			d.until = at - x.Interval + x.TTL
			s.check(i, at)
		}
	}
	return s
}

func (s *heapSim) check(droplet int, at time.Duration) {
	e := &heapEvent{at: at, kind: 1, droplet: droplet}
	s.droplets[droplet].next = e
	heap.Push(&s.calendar, e)
}

func (s *heapSim) ask(i int) {
	d := &s.droplets[i]
	a := &heapAttempt{droplet: i, born: s.now, class: queue.Check, epoch: d.epoch}
	if d.held = d.held && d.until > s.now; !d.held {
		a.class = queue.Establish
	}
	retried := d.next == nil
	d.out, d.next = a, nil
	heap.Push(&s.calendar, &heapEvent{at: s.now + s.x.Timeout, kind: 2, droplet: i, attempt: a})
	if a.class == queue.Check && !retried {
		s.check(i, s.now+s.x.Interval)
	}
	s.queue = append(s.queue, a)
	s.serve()
}

func (s *heapSim) serve() {
	if s.busy != nil || s.head == len(s.queue) {
		return
	}
	a := s.queue[s.head]
	s.queue[s.head] = nil
	s.head++
	cost := float64(s.x.Want[a.class])
	if a.dead = s.now >= a.born+s.x.Timeout; a.dead {
		cost *= s.x.Delta
	}
	s.busy = a
	heap.Push(&s.calendar, &heapEvent{at: s.now + max(1, time.Duration(cost)), kind: 0, attempt: a})
}

func (s *heapSim) complete(a *heapAttempt) {
	d := &s.droplets[a.droplet]
	s.busy = nil
	switch {
	case s.now >= a.born+s.x.Timeout, a.epoch != d.epoch, a.class == queue.Check && d.until <= s.now:
		s.late++
	default:
		s.good[a.class]++
		if a.class == queue.Establish {
			d.epoch++
			d.held = true
			s.check(a.droplet, s.now+1+time.Duration(s.rng.Int64N(int64(s.x.Interval))))
		} else if d.next == nil {
			s.check(a.droplet, max(s.now, a.born+s.x.Interval))
		}
		d.until, d.out = s.now+s.x.TTL, nil
	}
	s.serve()
}

func (s *heapSim) run(end time.Duration) {
	for len(s.calendar) > 0 {
		e := heap.Pop(&s.calendar).(*heapEvent)
		if s.now = e.at; s.now > end {
			return
		}
		switch e.kind {
		case 0:
			s.events++
			s.complete(e.attempt)
		case 1:
			if s.droplets[e.droplet].next == e {
				s.events++
				s.ask(e.droplet)
			}
		case 2:
			if s.droplets[e.droplet].out == e.attempt {
				s.events++
				s.ask(e.droplet)
			}
		}
	}
}

// The engine and an independent simulation of the same model agree on what comes of a
// surge, below the border and above it.
func TestEngineAgainstHeap(t *testing.T) {
	for _, broken := range []int{300, 700, 1000, 3000} {
		t.Run(fmt.Sprint(broken), func(t *testing.T) {
			s := surgeAt(t, fmt.Sprintf("broken=%d", broken), "duration=8s")
			x, err := newExperiment(s, 1, 1)
			if err != nil {
				t.Fatal(err)
			}
			p, _, err := x.plan(x.Want, 0)
			if err != nil {
				t.Fatal(err)
			}
			p.Watch = nil
			v := &engine.Virtual{Workers: 1, Service: x.Want, Seed: 1}
			if _, err := v.Run(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			h := newHeapSim(x, 1)
			h.run(x.end)
			total := p.Log.Total()
			for _, c := range []struct {
				what      string
				got, want int
			}{
				{"good establishes", int(total.Done[queue.Good][queue.Establish]), h.good[queue.Establish]},
				{"good checks", int(total.Done[queue.Good][queue.Check]), h.good[queue.Check]},
				{"late", int(total.Done[queue.Late].Sum()), h.late},
			} {
				if d := c.got - c.want; max(d, -d) > 60+c.want/50 {
					t.Errorf("%s: %d, by the heap %d", c.what, c.got, c.want)
				}
			}
		})
	}
}

// BenchmarkSim is `make bench-sim`: the surge at 10^6 leases on both, events a second.
func BenchmarkSim(b *testing.B) {
	s, err := scenario.Load("surge")
	if err != nil {
		b.Fatal(err)
	}
	x, err := newExperiment(s, 1, 1)
	if err != nil {
		b.Fatal(err)
	}
	end := x.outage.To + 8*time.Second
	b.Run("leasestorm", func(b *testing.B) {
		events := uint64(0)
		for range b.N {
			b.StopTimer()
			p, _, err := x.plan(x.Want, 0)
			if err != nil {
				b.Fatal(err)
			}
			p.Watch, p.End = nil, end
			v := &engine.Virtual{Workers: 1, Service: x.Want, Seed: 1}
			b.StartTimer()
			if _, err := v.Run(b.Context(), p); err != nil {
				b.Fatal(err)
			}
			t := p.Log.Total()
			events += t.Offered.Sum() + t.Done[queue.Good].Sum() + t.Done[queue.Late].Sum()
		}
		b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
	})
	b.Run("heap", func(b *testing.B) {
		events := 0
		for range b.N {
			b.StopTimer()
			h := newHeapSim(x, 1)
			b.StartTimer()
			h.run(end)
			events += h.events
		}
		b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
	})
}
