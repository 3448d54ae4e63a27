package admittest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var (
	extremeTimeouts = []time.Duration{10 * time.Millisecond, time.Second, time.Hour}
	extremeStarts   = []time.Duration{0, 1, time.Hour, 100 * 24 * time.Hour, 1 << 61}
)

// latest is 250 years, 42 years before a time.Duration ends.
const latest = 250 * 365 * 24 * time.Hour

// longestWait is the bound of admit.Retry.Wait.
const longestWait time.Duration = 1 << 61

// corners returns each combination of the parameters' ends and defaults. A parameter
// without an upper bound has the end 1e300.
func corners(params []catalog.Param) []catalog.Values {
	all := []catalog.Values{{}}
	for _, p := range params {
		most := p.Max
		if most == 0 {
			most = 1e300
		}
		var next []catalog.Values
		for _, v := range all {
			for i, x := range []float64{p.Default, p.Min, most} {
				if i > 0 && x == p.Default {
					continue
				}
				w := catalog.Values{p.Name: x}
				for name, y := range v {
					w[name] = y
				}
				next = append(next, w)
			}
		}
		all = next
	}
	return all
}

// Extremes checks a controller with each parameter at its default and at both ends of its range,
// in each combination that its constructor takes. The run begins at times up to 73 years. It has
// bursts at one instant, waits of up to a million timeouts, and queues of any length. Afterwards
// one attempt at a time ends Good at once, and the controller must admit again: no limit may be
// NaN, negative or 0 for good.
func Extremes(t *testing.T, e catalog.Entry[admit.New]) {
	for _, timeout := range extremeTimeouts {
		for n, v := range corners(e.Params) {
			cfg := Config
			cfg.Timeout = timeout
			cfg.Capacity = []float64{1000, 1.0 / 60, 1e9}[n%3]
			cfg.Return = []time.Duration{0, time.Hour}[n%2]
			for _, start := range extremeStarts {
				c, err := e.New(cfg, v)
				if errors.Is(err, catalog.ErrParam) {
					break // the parameters contradict each other
				}
				if err != nil {
					t.Fatalf("%v: %v", v, err)
				}
				what := fmt.Sprintf("timeout %v, capacity %g, from %v, %v", timeout, cfg.Capacity, start, v)
				now := storm(t, c, cfg, start, uint64(n), what)
				if got := calm(c, now); got < 8 {
					t.Errorf("%s: %d of the last 10 attempts were admitted though all before ended well at once", what, got)
				}
			}
		}
	}
}

// storm returns when the last attempt of it is over.
func storm(t *testing.T, c admit.Controller, cfg admit.Config, start time.Duration, seed uint64, what string) time.Duration {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, uint64(start)))
	pick := func(of ...time.Duration) time.Duration { return of[rng.IntN(len(of))] }
	now := start
	var inside []queue.Item
	for range 40 {
		items := make([]queue.Item, rng.IntN(40))
		for i := range items {
			items[i] = item(now, i, queue.Class(rng.IntN(int(queue.Classes))))
		}
		n := c.Admit(now, items, admit.Queued(int(pick(0, 1, 25_000, 1<<31, 1<<40))))
		if n < 0 || n > len(items) {
			t.Fatalf("%s: %d of %d admitted", what, n, len(items))
		}
		inside = append(inside, items[:n]...)
		now += pick(0, 0, 1, time.Millisecond, cfg.Timeout/10, cfg.Timeout)
		end := len(inside)
		if rng.IntN(2) == 0 {
			end = rng.IntN(end + 1)
		}
		for i := range inside[:end] {
			c.Done(now, &inside[i], pick(0, 1, time.Millisecond, cfg.Timeout, 1e6*cfg.Timeout), queue.Outcome(rng.IntN(int(queue.Outcomes))))
		}
		inside = inside[end:]
	}
	for i := range inside {
		c.Done(now, &inside[i], cfg.Timeout, queue.Late)
	}
	return now
}

// calm offers one establish at a time, at steps that grow from 1 ms to years. It returns how
// many of the last ten, which are a year apart, are admitted.
func calm(c admit.Controller, now time.Duration) (last int) {
	const year = 365 * 24 * time.Hour
	n := 0
	ask := func() (admitted int) {
		items := []queue.Item{item(now, n, queue.Establish)}
		n++
		if admitted = c.Admit(now, items, admit.Queued(0)); admitted == 1 {
			c.Done(now, &items[0], 0, queue.Good)
		}
		return admitted
	}
	for step := float64(time.Millisecond); now < latest-10*year; step *= 1.07 {
		ask()
		now = min(now+time.Duration(step), latest-10*year)
	}
	for ; now < latest; now += year {
		last += ask()
	}
	return last
}

// idleness: after a storm and a minute in which nothing came, the door decides as that of a
// twin to which an empty batch came every few milliseconds: the state after idleness is the
// state of the law that has ticked through it.
func idleness(t *testing.T, newController New) {
	for seed := range uint64(20) {
		idle, ticked := controller(t, newController, Config), controller(t, newController, Config)
		now := storm(t, idle, Config, time.Second, seed, "storm")
		storm(t, ticked, Config, time.Second, seed, "storm")
		later := now + time.Minute
		for ; now < later; now += 7 * time.Millisecond {
			ticked.Admit(now, nil, admit.Queued(0))
		}
		for i := range 30 {
			batch := func() []queue.Item {
				items := make([]queue.Item, 10)
				for k := range items {
					items[k] = item(now, 10*i+k, queue.Class(k%int(queue.Classes)))
				}
				return items
			}
			if a, b := idle.Admit(now, batch(), admit.Queued(i)), ticked.Admit(now, batch(), admit.Queued(i)); a != b {
				t.Fatalf("storm %d, batch %d after an idle minute: %d admitted, and %d where the law ticked through it", seed, i, a, b)
			}
		}
	}
}

// RetryExtremes checks a retry policy with each parameter at its default and at both ends of its
// range, in each combination that its constructor takes, at times up to 250 years, and after
// waits, counts and appointments of any size. A wait must be 0 to 73 years, and at most the
// policy's Longest.
func RetryExtremes(t *testing.T, e catalog.Entry[admit.NewRetry]) {
	for _, timeout := range extremeTimeouts {
		for _, v := range corners(e.Params) {
			r, err := e.New(timeout, v)
			if errors.Is(err, catalog.ErrParam) {
				continue
			}
			if err != nil {
				t.Fatalf("%v: %v", v, err)
			}
			most := longestWait
			if l, ok := r.(admit.Longest); ok {
				if most = l.Longest(); most < 0 || most > longestWait {
					t.Errorf("timeout %v, %v: the longest wait is %v", timeout, v, most)
				}
			}
			retryExtremes(t, r, timeout, most, v)
		}
	}
}

func retryExtremes(t *testing.T, r admit.Retry, timeout, most time.Duration, v catalog.Values) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	for _, now := range append(extremeStarts, latest) {
		for _, tries := range []int{1, 2, 10, 63, 64, admit.MostTries, math.MaxInt} {
			for _, prev := range []time.Duration{0, 1, timeout, 1e6 * timeout, math.MaxInt64} {
				for _, after := range []time.Duration{-1, 0, 1, timeout, math.MaxInt64} {
					f := admit.Failure{Tries: tries, Prev: prev, Timeout: timeout, After: after, Now: now, Droplet: uint32(tries % 4)}
					if wait := r.Wait(f, rng); wait < 0 || wait > most {
						t.Errorf("%v: a wait of %d ns after %+v, want 0 to %d", v, wait, f, most)
						return
					}
				}
				if l, learns := r.(admit.Learner); learns && prev == timeout {
					l.Good(now, uint32(tries%4))
				}
			}
		}
	}
}
