package admit

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// sim is a closed system in virtual time: one fifo, workers that need service for
// each attempt, and clients who ask, and after any end ask again. It is the same
// at every run.
type sim struct {
	c       Controller
	service time.Duration // of one attempt on one worker
	timeout time.Duration
	now     time.Duration
	fifo    []queue.Item
	busy    []serving
	good    int
	asked   int
	refused int
}

type serving struct {
	it         queue.Item
	start, end time.Duration // end 0: idle
}

// offer brings attempts to the door at now, each with a deadline.
func (s *sim) offer(n int) {
	for range n {
		it := queue.Item{Born: s.now, Timeout: queue.ToMicros(s.timeout), Class: queue.Establish}
		s.asked++
		if admits(s.c, s.now, it, len(s.fifo)) {
			s.fifo = append(s.fifo, it)
		} else {
			s.refused++
		}
	}
}

// run lets time pass in steps, in each of which perStep attempts are offered.
func (s *sim) run(length, step time.Duration, perStep int) {
	for stop := s.now + length; s.now < stop; s.now += step {
		s.offer(perStep)
		for i := range s.busy {
			s.work(&s.busy[i], s.now+step)
		}
	}
}

// work lets one worker serve until then.
func (s *sim) work(w *serving, until time.Duration) {
	free := s.now
	for {
		if w.end != 0 {
			if w.end > until {
				return
			}
			out := queue.Good
			if w.end >= w.it.Deadline() {
				out = queue.Late
			} else {
				s.good++
			}
			s.c.Done(w.end, &w.it, w.start-w.it.Born, out)
			free, w.end = w.end, 0
		}
		if len(s.fifo) == 0 {
			return
		}
		w.it, s.fifo = s.fifo[0], s.fifo[1:]
		w.start, w.end = free, free+s.service
	}
}

// admits asks about a single attempt.
func admits(c Controller, now time.Duration, it queue.Item, queued int) bool {
	return c.Admit(now, []queue.Item{it}, Queued(queued)) == 1
}

// inside is the number of attempts that wait or are served.
func (s *sim) inside() int {
	n := len(s.fifo)
	for _, w := range s.busy {
		if w.end != 0 {
			n++
		}
	}
	return n
}

// Under a steady threefold overload the limit settles about Capacity·target, plus
// one a worker, from below and from above, at every size; what is admitted is then
// served in time, and nothing is lost.
func TestConcurrencyConverges(t *testing.T) {
	tests := []struct {
		name     string
		capacity float64
		workers  int
		ref      string
	}{
		{"where it starts", 5e3, 4, "concurrency"},
		{"from far below", 5e3, 4, "concurrency:initial=4"},
		{"from far above", 5e3, 4, "concurrency:initial=20000"},
		{"from far below, ten times as large", 5e4, 16, "concurrency:initial=16"},
		{"from far above, ten times as large", 5e4, 16, "concurrency:initial=200000"},
		{"small", 200, 2, "concurrency:initial=2"},
		{"small, from above", 200, 2, "concurrency:initial=800"},
		{"another target", 5e3, 4, "concurrency:target=0.3,initial=4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := Config{Timeout: time.Second, Capacity: tt.capacity, Workers: tt.workers}
			l := aimd(t, tt.ref, env)
			s := &sim{
				c: l, timeout: env.Timeout, busy: make([]serving, tt.workers),
				service: time.Duration(float64(tt.workers) / tt.capacity * 1e9),
			}
			step := 5 * time.Millisecond
			load := int(3 * tt.capacity * step.Seconds())
			s.run(40*env.Timeout, step, load)

			want := tt.capacity*l.cfg.window.Seconds() + float64(tt.workers)
			good := s.good
			for range 100 { // ten timeouts more, and a look at each tenth
				s.run(100*time.Millisecond, step, load)
				if got := float64(l.limit.Load()); got < 0.75*want || got > 1.15*want {
					t.Fatalf("at %v: limit %v, want %v, at most a cut and a half below", s.now, got, want)
				}
			}
			if served := float64(s.good-good) / (10 * tt.capacity); served < 0.95 {
				t.Errorf("goodput is %.2f of the capacity, want all of it", served)
			}
			if got, want := int(l.inflight.Load()), s.inside(); got != want {
				t.Errorf("the controller counts %d inside, there are %d", got, want)
			}
		})
	}
}

// A surge that a fifo would die of: ten timeouts' worth of attempts at once, and
// each refused one back after a timeout. Goodput stays, and when the surge is over
// the door is open again.
func TestConcurrencyRecovers(t *testing.T) {
	env := Config{Timeout: time.Second, Capacity: 5e3, Workers: 4}
	l := aimd(t, "concurrency:initial=100000", env) // wide open, as after a night without load
	s := &sim{c: l, timeout: env.Timeout, busy: make([]serving, 4), service: 800 * time.Microsecond}
	step := 5 * time.Millisecond
	s.run(5*time.Second, step, 5) // a fifth of the capacity
	if s.refused != 0 {
		t.Fatalf("%d refused in the steady state", s.refused)
	}
	for range 30 {
		s.offer(50_000)
		s.run(time.Second, step, 5)
	}
	before := s.good
	for range 10 {
		s.offer(50_000)
		s.run(time.Second, step, 5)
	}
	// The burst of a second fills the limit, a tenth of a second's work; the steady
	// fifth comes on top until the next. A fifo without the door would do nothing good.
	if got := float64(s.good-before) / (10 * env.Capacity); got < 0.25 {
		t.Errorf("goodput in the surge is %.2f of the capacity, want above 0.25", got)
	}
	s.run(2*time.Second, step, 5)
	refused := s.refused
	s.run(10*time.Second, step, 5)
	if s.refused != refused {
		t.Errorf("%d refused after the surge", s.refused-refused)
	}
}

// Without the door the same surge leaves nothing good: the sim shows what it should.
func TestSimCollapsesWithoutAdmission(t *testing.T) {
	s := &sim{c: none{}, timeout: time.Second, busy: make([]serving, 4), service: 800 * time.Microsecond}
	for range 10 {
		s.offer(50_000)
		s.run(time.Second, 5*time.Millisecond, 5)
	}
	before := s.good
	s.run(10*time.Second, 5*time.Millisecond, 5)
	if s.good != before {
		t.Errorf("%d good with 100 s of backlog before them", s.good-before)
	}
}
