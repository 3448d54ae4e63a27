// Package admittest is the conformance suite of admission controllers and retry policies. One
// call runs it on a controller of another module:
//
//	func TestMine(t *testing.T) { admittest.Run(t, newMine) }
package admittest

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Config is the run that the suite assumes.
var Config = admit.Config{Timeout: time.Second, Capacity: 1000, Rho: 0.25, Workers: 2}

// New makes the controller under test.
type New func(cfg admit.Config) (admit.Controller, error)

// Run checks the controller against admit.Controller's documentation.
func Run(t *testing.T, newController New) {
	t.Run("partition", func(t *testing.T) { partition(t, newController) })
	t.Run("light-load", func(t *testing.T) { light(t, newController) })
	t.Run("reopens", func(t *testing.T) { reopens(t, newController) })
	t.Run("idleness", func(t *testing.T) { idleness(t, newController) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, newController) })
	t.Run("allocates", func(t *testing.T) { allocates(t, newController) })
}

func controller(t *testing.T, newController New, cfg admit.Config) admit.Controller {
	t.Helper()
	c, err := newController(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func item(now time.Duration, n int, class queue.Class) queue.Item {
	return queue.Item{Born: now, Timeout: queue.ToMicros(Config.Timeout), Lease: uint64(n), Droplet: uint32(n), Class: class}
}

// partition: whatever comes, in whatever order of times, each item is in front or
// behind, unchanged but for Why; the admitted keep their order. From one attempt an
// hour to 10^9 a second.
func partition(t *testing.T, newController New) {
	seed := testseed.Draw(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, capacity := range []float64{1.0 / 3600, 1, 1000, 1e9} {
		cfg := Config
		cfg.Capacity = capacity
		c := controller(t, newController, cfg)
		n, now := 0, time.Duration(0)
		for range 2000 {
			now = max(0, now+time.Duration(rng.IntN(3000)-1000)*time.Millisecond)
			items := make([]queue.Item, rng.IntN(20))
			first := n
			for i := range items {
				items[i] = item(now, n, queue.Class(rng.IntN(int(queue.Classes))))
				n++
			}
			before := append([]queue.Item(nil), items...)
			admitted := c.Admit(now, items, admit.Queued(rng.IntN(10_000)))
			if admitted < 0 || admitted > len(items) {
				t.Fatalf("%d of %d admitted", admitted, len(items))
			}
			seen := map[uint64]bool{}
			last := uint64(0)
			for i, it := range items {
				if refused := i >= admitted; refused != (it.Why != queue.NotShed) {
					t.Fatalf("item %d of %d, %d admitted: its reason is %q", i, len(items), admitted, it.Why)
				}
				if i > 0 && i < admitted && it.Lease < last {
					t.Fatalf("the admitted have changed their order")
				}
				last = it.Lease
				why := it.Why
				it.Why = queue.NotShed
				done := it
				it.Door = 0 // a mark, or when to ask again
				if seen[it.Lease] || it != before[int(it.Lease)-first] {
					t.Fatalf("item %+v stands twice, or was changed", it)
				}
				seen[it.Lease] = true
				if done.Mark() != done.Door && why == queue.NotShed {
					t.Fatalf("mark %#x has bits that are a wrapper's", done.Door)
				}
				if why == queue.NotShed {
					c.Done(now, &done, time.Duration(rng.IntN(2000))*time.Millisecond, queue.Outcome(rng.IntN(int(queue.Outcomes))))
				}
			}
		}
	}
}

// load lets attempts come one at a time, each served at once, at a share of
// Config.Capacity, and returns the share admitted in the last half.
func load(c admit.Controller, from, length time.Duration, share float64) float64 {
	step := time.Duration(1 / share / Config.Capacity * float64(time.Second))
	asked, admitted, n := 0, 0, 0
	for now := from; now < from+length; now += step {
		items := []queue.Item{item(now, n, queue.Establish)}
		n++
		got := c.Admit(now, items, admit.Queued(0))
		if got == 1 {
			c.Done(now+time.Millisecond, &items[0], 0, queue.Good)
		}
		if now >= from+length/2 {
			asked++
			admitted += got
		}
	}
	return float64(admitted) / float64(asked)
}

// light: at a twentieth of the capacity, each attempt served at once, the door is open.
func light(t *testing.T, newController New) {
	c := controller(t, newController, Config)
	if got := load(c, 0, 20*time.Second, 0.05); got < 0.9 {
		t.Errorf("%.2f of a light load was admitted, want at least 0.9", got)
	}
}

// reopens: after an overload in which all that was admitted came late, the door opens
// again within a minute of light load.
func reopens(t *testing.T, newController New) {
	c := controller(t, newController, Config)
	items := make([]queue.Item, 100)
	now := time.Duration(0)
	for ; now < 10*time.Second; now += 10 * time.Millisecond {
		for i := range items {
			items[i] = item(now, i, queue.Establish)
		}
		admitted := c.Admit(now, items, admit.Queued(20_000))
		for i := range items[:admitted] {
			c.Done(now+2*time.Second, &items[i], 2*time.Second, queue.Late)
		}
	}
	if got := load(c, now+2*time.Second, time.Minute, 0.05); got < 0.9 {
		t.Errorf("%.2f of a light load was admitted half a minute after an overload, want at least 0.9", got)
	}
}

// concurrent: many doors and workers at once, worth most under the race detector.
func concurrent(t *testing.T, newController New) {
	c := controller(t, newController, Config)
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			items := make([]queue.Item, 8)
			for i := range 2000 {
				now := time.Duration(i) * time.Millisecond
				for k := range items {
					items[k] = item(now, k, queue.Class(rng.IntN(int(queue.Classes))))
				}
				admitted := c.Admit(now, items, admit.Queued(i))
				for k := range items[:admitted] {
					c.Done(now+time.Millisecond, &items[k], time.Millisecond, queue.Outcome(rng.IntN(int(queue.Outcomes))))
				}
			}
		})
	}
	all.Wait()
}

func allocates(t *testing.T, newController New) {
	c := controller(t, newController, Config)
	items := make([]queue.Item, 32)
	now := time.Duration(0)
	queued := admit.Queued(1000)
	turn := func() {
		now += time.Millisecond
		for i := range items {
			items[i] = item(now, i, queue.Class(i%int(queue.Classes)))
		}
		admitted := c.Admit(now, items, queued)
		for i := range items[:admitted] {
			c.Done(now+time.Millisecond, &items[i], time.Millisecond, queue.Good)
		}
	}
	turn()
	if a := testing.AllocsPerRun(1000, turn); a >= 1 {
		t.Errorf("%v allocations a batch, want none", a)
	}
}

// NewRetry makes the retry policy under test.
type NewRetry func(timeout time.Duration) (admit.Retry, error)

// RunRetry checks the policy against admit.Retry's documentation: no wait is negative, the same
// random numbers give the same waits, a request ends with its last failure, and no call allocates.
func RunRetry(t *testing.T, newRetry NewRetry) {
	for _, timeout := range []time.Duration{time.Microsecond, time.Second, 24 * time.Hour} {
		r, err := newRetry(timeout)
		if err != nil {
			t.Fatal(err)
		}
		a, b := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
		prev := time.Duration(0)
		for tries := 1; tries < 300; tries++ {
			f := admit.Failure{Tries: tries, Prev: prev, Timeout: timeout}
			wait := r.Wait(f, a)
			if wait < 0 {
				t.Fatalf("a wait of %v after %+v", wait, f)
			}
			if _, learns := r.(admit.Learner); learns {
				prev = wait
				continue // what it has learnt is another state
			}
			if again := r.Wait(f, b); again != wait {
				t.Fatalf("after %+v: %v, and with the same random numbers %v", f, wait, again)
			}
			prev = wait
		}
		if q, quits := r.(admit.Quitter); quits {
			if r.Wait(admit.Failure{Tries: 1, Timeout: timeout, Droplet: 1, Last: true}, a); q.Goes(1) {
				t.Error("a request goes on after its last failure")
			}
		}
		if n := testing.AllocsPerRun(100, func() { r.Wait(admit.Failure{Tries: 3, Timeout: timeout}, a) }); n >= 1 {
			t.Errorf("%v allocations a wait, want none", n)
		}
	}
}
