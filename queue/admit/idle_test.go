package admit

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// An hour of idleness after an interval of long waits: the door is open, and the first wait
// after it says nothing of the interval before.
func TestCodelAdmitAfterIdleness(t *testing.T) {
	const ms = time.Millisecond
	c := make1(t, "codel-admit", testConfig)
	wait := func(now, sojourn time.Duration) { c.Done(now, &queue.Item{}, sojourn, queue.Good) }
	admits := func(now time.Duration, want int, when string) {
		t.Helper()
		if n, _ := door(c, now, queue.Establish, 0, 1, 9); n != want {
			t.Errorf("%s: %d let in, want %d", when, n, want)
		}
	}
	wait(0, 50*ms)
	admits(99*ms, 1, "in the first interval")
	admits(100*ms, 0, "after an interval of long waits")
	admits(199*ms, 0, "at the end of the next, empty so far")
	admits(200*ms, 1, "after an empty interval")
	wait(time.Hour, 0)
	admits(time.Hour, 1, "at the first short wait after an hour")
	admits(time.Hour+99*ms, 1, "in its interval")
	wait(time.Hour+100*ms, 50*ms)
	admits(time.Hour+150*ms, 1, "after an interval with a short wait")
	wait(time.Hour+200*ms, 50*ms)
	admits(time.Hour+299*ms, 0, "after one without")
}

// What the credits knew of the wait before an idle hour does not shut the door after it, and
// does not count in the first window after it.
func TestCreditsAfterIdleness(t *testing.T) {
	c := make1(t, "credits", testConfig).(*credits)
	c.exact = 100
	c.pool.Store(100)
	done := func(now, sojourn time.Duration) {
		c.Done(now, &queue.Item{Class: queue.Check}, sojourn, queue.Good)
	}
	done(0, 0)                                     // a first window: 101 credits
	done(5*time.Millisecond, 500*time.Millisecond) // in the second: five targets
	// The window ends by itself at 10 ms, with 101·(1 − 0.02·4) credits, and nothing waits.
	if n, _ := door(c, time.Hour, queue.Establish, 0, 1, 0); n != 1 || c.pool.Load() != 92 {
		t.Errorf("%d let in with %d credits, want 1 with 92", n, c.pool.Load())
	}
	if n, _ := door(c, time.Hour, queue.Establish, 1, 50, 1); n != 50 {
		t.Errorf("%d of 50 let in behind one that waits, want all", n)
	}
	done(time.Hour+20*time.Millisecond, 0) // below the target, for 51 clients: one credit more
	if c.pool.Load() != 93 {
		t.Errorf("%d credits after the first wait, want 93", c.pool.Load())
	}
}

// A wait above twice the target shuts the door while something waits, and not an hour after.
func TestCreditsOpenAfterIdleness(t *testing.T) {
	c := make1(t, "credits", testConfig).(*credits)
	c.exact = 100
	c.pool.Store(100)
	c.Done(time.Second, &queue.Item{Class: queue.Check}, 900*time.Millisecond, queue.Good)
	if n, _ := door(c, time.Second, queue.Establish, 0, 10, 1); n != 0 {
		t.Fatalf("%d let in with a wait of nine targets", n)
	}
	for queued, want := range []int{10, 10} {
		if n, _ := door(c, time.Hour, queue.Establish, 0, 10, queued); n != want {
			t.Errorf("after an hour, %d queued: %d let in, want %d", queued, n, want)
		}
	}
}

// After an idle window nothing is known of rate and time: no limit holds at the door.
func TestBBRAfterIdleness(t *testing.T) {
	c := make1(t, "bbr", testConfig)
	for i := range time.Duration(20) {
		c.Admit(i*50*time.Millisecond, make([]queue.Item, 1), Queued(0))
		c.Done(i*50*time.Millisecond, &queue.Item{Born: (i - 1) * 50 * time.Millisecond}, 0, queue.Good)
	}
	if n, _ := door(c, time.Second, queue.Check, 0, 100, 0); n > 10 {
		t.Fatalf("%d let in: no limit to forget", n)
	}
	if n, _ := door(c, time.Hour, queue.Check, 0, 100, 0); n != 100 {
		t.Errorf("%d of 100 let in after an hour, want all", n)
	}
}

// The window that idleness left open ends by what was in it, and not by what comes after.
func TestDagorAfterIdleness(t *testing.T) {
	c := make1(t, "dagor", testConfig).(*dagor)
	door(c, 0, queue.Establish, 0, 10, 0) // a first window, which ends at once
	door(c, 1, queue.Establish, 0, 1000, 0)
	c.Done(2, &queue.Item{}, time.Second, queue.Good)
	if got := c.cursor.Load(); got != dagorLevels-1 {
		t.Fatalf("cursor %d before the window is over", got)
	}
	door(c, time.Hour, queue.Check, 0, 1000, 0) // another crowd, of the best levels
	got := c.cursor.Load()
	if got < 370 || got > 379 { // a twentieth of 128 cohorts below 383
		t.Errorf("cursor %d, want about 376, a twentieth of the establishes less", got)
	}
	if c.all != 1000 || c.waits.any() {
		t.Errorf("the new window has %d attempts, waits %v; want 1000, none", c.all, c.waits.any())
	}
}

// A tally is exact at any number and size of waits, from many workers.
func TestTally(t *testing.T) {
	const workers, each = 4, 300_000
	var c tally
	var want [workers]float64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			for range each {
				wait := []time.Duration{0, 1, time.Millisecond, time.Second, longWait, longWait + 1, 24 * time.Hour, -time.Millisecond}[rng.IntN(8)]
				c.add(wait)
				want[w] += float64(wait)
			}
		})
	}
	all.Wait()
	total := want[0] + want[1] + want[2] + want[3]
	if n, sum := c.sums(); n != workers*each || sum < total*(1-1e-12) || sum > total*(1+1e-12) {
		t.Errorf("%d waits of %v ns, want %d of %v", n, sum, workers*each, total)
	}
	if n, _ := c.take(); n != workers*each || c.any() {
		t.Errorf("took %d, and some are left: %v", n, c.any())
	}
	if n, sum := c.take(); n != 0 || sum != 0 {
		t.Errorf("%d waits of %v ns after all were taken", n, sum)
	}
}
