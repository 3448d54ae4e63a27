package admit

import (
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

const d = 100 * time.Millisecond

func aimd(t testing.TB, ref string, env Config) *concurrency {
	t.Helper()
	c, err := Make(ref, env)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*concurrency)
}

func TestConcurrencyStart(t *testing.T) {
	tests := []struct {
		name, ref string
		env       Config
		want      int64
	}{
		{"what is served within the target, and one a worker", "concurrency",
			Config{Timeout: time.Second, Capacity: 5e4, Workers: 4}, 5004},
		{"a small one", "concurrency", Config{Timeout: time.Second, Capacity: 10, Workers: 1}, 2},
		{"a tiny one still serves", "concurrency", Config{Timeout: time.Millisecond, Capacity: 0.1, Workers: 1}, 1},
		{"capacity beyond all bounds", "concurrency", Config{Timeout: math.MaxInt64, Capacity: 1e300, Workers: 1}, 1<<40 + 1},
		{"initial is taken as given", "concurrency:initial=7", Config{Timeout: time.Second, Capacity: 5e4, Workers: 4}, 7},
		{"but not below min", "concurrency:initial=7,min=9", Config{Timeout: time.Second, Capacity: 5e4, Workers: 4}, 9},
		{"nor above max", "concurrency:max=6", Config{Timeout: time.Second, Capacity: 5e4, Workers: 4}, 6},
		{"max below the workers", "concurrency:max=1", Config{Timeout: time.Second, Capacity: 5e4, Workers: 4}, 1},
	}
	for _, tt := range tests {
		if got := aimd(t, tt.ref, tt.env).limit.Load(); got != tt.want {
			t.Errorf("%s: limit %d, want %d", tt.name, got, tt.want)
		}
	}
	if _, err := Make("concurrency:min=3,max=2", Config{Timeout: 1, Capacity: 1, Workers: 1}); !errors.Is(err, catalog.ErrParam) {
		t.Errorf("min above max: got %v, want ErrParam", err)
	}
}

// What one window does to the limit. The window is 100 ms, the limit 100, step 1.
func TestConcurrencyWindow(t *testing.T) {
	env := Config{Timeout: time.Second, Capacity: 1000, Workers: 1}
	type sample struct {
		n       int
		sojourn time.Duration
		out     queue.Outcome
	}
	tests := []struct {
		name    string
		at      time.Duration // when the attempts end
		hold    int           // attempts admitted and held, beside those that end
		samples []sample
		want    int64
	}{
		{"below the target and pressed on: one step up", d, 50, []sample{{10, d / 2, queue.Good}}, 101},
		{"below the target, not half used: no change", d, 30, []sample{{10, d / 2, queue.Good}}, 100},
		{"on the target is not above it", d, 50, []sample{{10, d, queue.Good}}, 101},
		{"above the target: a tenth down", d, 50, []sample{{10, d + d/50, queue.Good}}, 90},
		{"above the target, hardly used: down all the same", d, 0, []sample{{10, 2 * d, queue.Good}}, 90},
		{"nine samples are too few", d, 50, []sample{{9, 9 * d, queue.Good}}, 100},
		{"the window is not over", d - 1, 50, []sample{{20, 9 * d, queue.Good}}, 100},
		{"one in ten late is on the target", d, 50, []sample{{9, 0, queue.Good}, {1, 0, queue.Late}}, 101},
		{"two in ten late are overload", d, 50, []sample{{8, 0, queue.Good}, {2, 0, queue.Late}}, 90},
		{"dropped from the queue counts as late", d, 50, []sample{{8, 0, queue.Good}, {2, 0, queue.Shed}}, 90},
		{"a failing dependency says nothing of the queue", d, 50, []sample{{10, 0, queue.Failed}}, 101},
		{"one dug up after an hour counts as a timeout", d, 50, []sample{{19, 0, queue.Good}, {1, time.Hour, queue.Good}}, 101},
		{"a wait below zero, by clock skew, is none", d, 50, []sample{{10, -time.Second, queue.Good}}, 101},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := aimd(t, "concurrency:initial=100", env)
			total := 0
			for _, s := range tt.samples {
				total += s.n
			}
			for range tt.hold + total {
				admits(c, 0, queue.Item{}, 0)
			}
			for _, s := range tt.samples {
				for range s.n {
					c.Done(tt.at, &queue.Item{}, s.sojourn, s.out)
				}
			}
			if got := c.limit.Load(); got != tt.want {
				t.Errorf("limit %d, want %d", got, tt.want)
			}
		})
	}
}

// A cut is given time to work before the next.
func TestConcurrencyCutsOnceARoundTrip(t *testing.T) {
	env := Config{Timeout: time.Second, Capacity: 1000, Workers: 1}
	end := func(c *concurrency, from time.Duration, n int, cuts uint32) { // n ends of what was admitted after so many cuts
		for i := range n { // one each 10 ms: ten a window
			it := queue.Item{}
			it.SetMark(cuts)
			c.Done(from+time.Duration(i)*d/10, &it, 2*d, queue.Good)
		}
	}
	t.Run("nothing is cut while more than the limit are inside", func(t *testing.T) {
		c := aimd(t, "concurrency:initial=1000", env)
		for range 1000 {
			admits(c, 0, queue.Item{}, 0)
		}
		end(c, d, 10, 0)
		end(c, 4*d, 80, 0)
		if got := c.limit.Load(); got != 900 {
			t.Errorf("limit %d with %d inside, want one cut, 900", got, c.inflight.Load())
		}
		end(c, 12*d, 40, 0)
		if got := c.limit.Load(); got != 810 {
			t.Errorf("limit %d with %d inside, want the next cut, 810", got, c.inflight.Load())
		}
	})
	t.Run("what was admitted before the cut does not count for two windows", func(t *testing.T) {
		c := aimd(t, "concurrency:initial=1000", env)
		for range 500 {
			admits(c, 0, queue.Item{}, 0)
		}
		end(c, d, 10, 0) // the last of them at 1.9 d, and then the cut
		end(c, 2*d, 19, 0)
		if got := c.limit.Load(); got != 900 {
			t.Errorf("limit %d, want one cut, 900", got)
		}
		end(c, 4*d, 10, 0)
		if got := c.limit.Load(); got != 810 {
			t.Errorf("limit %d after two windows, want the next cut, 810", got)
		}
		end(c, 5*d, 10, 2)
		if got := c.limit.Load(); got != 729 {
			t.Errorf("limit %d after a window of what was admitted under the new limit, want 729", got)
		}
	})
}

// The invariants, under any calls: 0 ≤ inflight ≤ the limit at the last admission;
// admitted = done + inflight; min ≤ limit ≤ max; refused only when full.
func TestConcurrencyInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		least := rapid.Int64Range(1, 20).Draw(t, "min")
		most := least + rapid.Int64Range(0, 50).Draw(t, "room")
		c, err := newConcurrency(
			Config{Timeout: time.Second, Capacity: rapid.SampledFrom([]float64{1, 100, 1e4}).Draw(t, "capacity"), Workers: 2},
			catalog.Values{
				"target": 0.1, "backoff": rapid.Float64Range(0.1, 0.999).Draw(t, "backoff"),
				"min": float64(least), "max": float64(most), "initial": rapid.Float64Range(0, 100).Draw(t, "initial"),
			})
		if err != nil {
			t.Fatal(err)
		}
		l := c.(*concurrency)
		var waiting []queue.Item
		now := time.Duration(0)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				now += time.Duration(rapid.Int64Range(-int64(d/100), int64(2*d)).Draw(t, "step"))
			},
			"ask": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "asks") {
					it := queue.Item{Born: now, Class: queue.Class(len(waiting) % int(queue.Classes))}
					limit := l.limit.Load()
					admit := admits(l, now, it, len(waiting))
					if want := int64(len(waiting)) < limit; admit != want {
						t.Fatalf("admit is %v with %d of %d in the manager", admit, len(waiting), limit)
					}
					if admit {
						waiting = append(waiting, it)
					}
				}
			},
			"done": func(t *rapid.T) {
				for range min(len(waiting), rapid.IntRange(1, 40).Draw(t, "ends")) {
					l.Done(now, &waiting[0], now-waiting[0].Born, queue.Outcome(rapid.IntRange(0, int(queue.Outcomes)-1).Draw(t, "outcome")))
					waiting = waiting[1:]
				}
			},
			"": func(t *rapid.T) {
				if n := l.inflight.Load(); n != int64(len(waiting)) {
					t.Fatalf("inflight %d, want %d", n, len(waiting))
				}
				if n := l.limit.Load(); n < least || n > most {
					t.Fatalf("limit %d, want %d to %d", n, least, most)
				}
			},
		})
	})
}

// Many goroutines at once: no place is given twice and none is lost.
func TestConcurrencyConcurrent(t *testing.T) {
	const doors, asks, most = 8, 5_000, 3
	c := aimd(t, "concurrency:max=3,min=1", Config{Timeout: time.Second, Capacity: 1000, Workers: 1})
	var mu sync.Mutex
	inside, peak := 0, 0
	var wg sync.WaitGroup
	for door := range doors {
		wg.Go(func() {
			for i := range asks {
				now := time.Duration(i)*time.Millisecond + time.Duration(door)*time.Microsecond
				it := queue.Item{Born: now}
				if !admits(c, now, it, 0) {
					continue
				}
				mu.Lock()
				inside++
				peak = max(peak, inside)
				mu.Unlock()
				sojourn := time.Duration(i%4) * d / 2
				mu.Lock()
				inside--
				mu.Unlock()
				c.Done(now, &it, sojourn, queue.Good)
			}
		})
	}
	wg.Wait()
	if peak > most {
		t.Errorf("%d in the manager at once, want at most %d", peak, most)
	}
	if n := c.inflight.Load(); n != 0 {
		t.Errorf("%d places lost", n)
	}
	if n := c.limit.Load(); n < 1 || n > most {
		t.Errorf("limit %d, want 1 to %d", n, most)
	}
}
