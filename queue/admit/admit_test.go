package admit_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/admit/admittest"
)

// Every controller and policy that the catalogs know: a new one needs no edit here.
func TestControllers(t *testing.T) {
	for _, e := range admit.Controllers.List() {
		t.Run(e.Name, func(t *testing.T) {
			admittest.Run(t, func(cfg admit.Config) (admit.Controller, error) { return admit.Make(e.Name, cfg) })
			if !testing.Short() { // one goroutine: the long run has it
				t.Run("extremes", func(t *testing.T) { admittest.Extremes(t, e) })
			}
		})
	}
}

// A controller with an estimator behind it is a controller still.
func TestEstimators(t *testing.T) {
	for _, e := range admit.Estimators.List() {
		t.Run(e.Name, func(t *testing.T) {
			admittest.Run(t, func(cfg admit.Config) (admit.Controller, error) { return admit.Make("limit+"+e.Name, cfg) })
		})
	}
}

func TestRetries(t *testing.T) {
	for _, e := range admit.Retries.List() {
		t.Run(e.Name, func(t *testing.T) {
			admittest.RunRetry(t, func(timeout time.Duration) (admit.Retry, error) { return admit.MakeRetry(e.Name, timeout) })
			if !testing.Short() {
				t.Run("extremes", func(t *testing.T) { admittest.RetryExtremes(t, e) })
			}
		})
	}
}

func TestMakeRefuses(t *testing.T) {
	for _, cfg := range []admit.Config{
		{}, {Timeout: 1, Capacity: -1, Workers: 1}, {Timeout: 1, Capacity: 1, Rho: 1, Workers: 1}, {Timeout: 1, Capacity: 1},
	} {
		if _, err := admit.Make("none", cfg); err == nil {
			t.Errorf("a controller was made for %+v", cfg)
		}
	}
	for _, ref := range []string{"backoff:base=9,cap=8", "backoff:base=0", "nosuch"} {
		if _, err := admit.MakeRetry(ref, time.Second); err == nil {
			t.Errorf("retry policy %s was made", ref)
		}
	}
}

// A manager of 10 establishes a second; with rate=1 the bucket gains one each d.
const d = 100 * time.Millisecond

var small = admit.Config{Timeout: time.Second, Capacity: 10, Workers: 1, Cost: [queue.Classes]float64{0.25, 1, 1}}

func TestTokenBucket(t *testing.T) {
	type ask struct {
		at      time.Duration
		classes string // e: establish, c: check, l: launch
		want    string // the admitted, in order
	}
	tests := []struct {
		name, ref string
		asks      []ask
	}{
		{"burst of one", "token-bucket:rate=1,burst=0.1", []ask{
			{0, "ee", "e"}, {d / 2, "e", ""}, {d, "e", "e"}, {d, "e", ""},
			{9 * d, "eee", "e"}, // a long rest fills one burst, no more
		}},
		{"burst of three", "token-bucket:rate=1,burst=0.3", []ask{
			{0, "eeee", "eee"}, {2 * d, "eee", "ee"}, {20 * d, "eeeee", "eee"},
		}},
		{"a burst below one establish is one", "token-bucket:rate=1,burst=0", []ask{{0, "ee", "e"}, {d, "ee", "e"}}},
		{"the others pass freely", "token-bucket:rate=1,burst=0.1", []ask{{0, "clecle", "clecl"}, {0, "ce", "c"}}},
		{"a throttle takes all, by their costs", "throttle:rate=1,burst=0.2", []ask{
			{0, "eccccc", "ecccc"}, {0, "c", ""}, {d / 2, "ecc", "cc"}, {d, "lcc", "cc"}, {9 * d, "lel", "le"},
		}},
		{"a clock that steps back earns nothing", "token-bucket:rate=1,burst=0.1", []ask{
			{d, "e", "e"}, {0, "e", ""}, {d, "e", ""}, {0, "e", ""}, {2 * d, "ee", "e"}, {d, "e", ""}, {2 * d, "e", ""},
		}},
	}
	class := map[rune]queue.Class{'c': queue.Check, 'e': queue.Establish, 'l': queue.Launch}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := admit.Make(tt.ref, small)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range tt.asks {
				var items []queue.Item
				for _, r := range a.classes {
					items = append(items, queue.Item{Class: class[r]})
				}
				got := ""
				for _, it := range items[:c.Admit(a.at, items, admit.Queued(0))] {
					got += it.Class.String()[:1]
				}
				if got != a.want {
					t.Errorf("step %d at %v: of %q admitted %q, want %q", i, a.at, a.classes, got, a.want)
				}
			}
		})
	}
}

// A bucket never admits more than rate·t + burst in any interval of length t by the
// latest clock, whatever the order in which skewed clocks come to it.
func TestTokenBucketBound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := admit.Config{Timeout: time.Second, Workers: 1,
			Capacity: rapid.SampledFrom([]float64{1, 33.3, 5e4, 1e7}).Draw(t, "capacity")}
		c, err := admit.Make("token-bucket:rate=0.5,burst=0.2", cfg)
		if err != nil {
			t.Fatal(err)
		}
		rate := 0.5 * cfg.Capacity
		holds := max(rate*0.2, 1)
		gap := rapid.Int64Range(0, int64(4e9/rate)).Draw(t, "gap")
		skew := rapid.Int64Range(0, 1e6).Draw(t, "skew")
		type event struct {
			at time.Duration
			n  int
		}
		var admitted []event
		var latest, clock time.Duration
		for range 60 {
			clock += time.Duration(rapid.Int64Range(0, gap).Draw(t, "step"))
			now := max(0, clock-time.Duration(rapid.Int64Range(0, skew).Draw(t, "back")))
			latest = max(latest, now)
			items := make([]queue.Item, rapid.IntRange(1, 9).Draw(t, "n"))
			for i := range items {
				items[i].Class = queue.Establish
			}
			admitted = append(admitted, event{latest, c.Admit(now, items, admit.Queued(0))})
			sum := 0
			for i := len(admitted) - 1; i >= 0; i-- {
				sum += admitted[i].n
				limit := holds + rate*(latest-admitted[i].at).Seconds()
				if float64(sum) > limit*1.001+1e-6 {
					t.Fatalf("%d admitted in %v; the bound is %v", sum, latest-admitted[i].at, limit)
				}
			}
		}
	})
}

// The waits of full jitter: uniform below min(cap, base·2^(n-1)).
func TestBackoff(t *testing.T) {
	r, err := admit.MakeRetry("backoff", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	for tries, bound := range map[int]float64{0: 1, 1: 1, 2: 2, 3: 4, 4: 8, 5: 8, 64: 8, 255: 8} {
		sum, largest := 0.0, 0.0
		const n = 20_000
		for range n {
			w := r.Wait(admit.Failure{Tries: tries, Timeout: time.Second}, rng).Seconds()
			sum, largest = sum+w, max(largest, w)
		}
		// The mean of n uniforms strays by bound/sqrt(12n) = 0.002 bound; 5 times that is allowed.
		if mean := sum / n; mean < 0.49*bound || mean > 0.51*bound || largest > bound || largest < 0.99*bound {
			t.Errorf("after %d failures: mean %.3f s, largest %.3f s; want %.1f and %.0f", tries, mean, largest, bound/2, bound)
		}
	}
}

func BenchmarkAdmit(b *testing.B) {
	for _, e := range admit.Controllers.List() {
		c, err := admit.Make(e.Name, admittest.Config)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(e.Name, func(b *testing.B) {
			items := make([]queue.Item, 32)
			now := time.Duration(0)
			for i := 0; i < b.N; i += len(items) {
				now += 32 * time.Millisecond
				for k := range items {
					items[k] = queue.Item{Class: queue.Establish}
				}
				n := c.Admit(now, items, admit.Queued(0))
				for k := range items[:n] {
					c.Done(now, &items[k], 0, queue.Good)
				}
			}
		})
	}
}
