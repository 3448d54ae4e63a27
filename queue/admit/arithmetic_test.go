package admit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// A droplet counts to MostTries. Each number of failures that can be asked for opens the
// breaker.
func TestClientBreakerOpens(t *testing.T) {
	e, _, err := Retries.Resolve("client-breaker")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range e.Params {
		if p.Name != "failures" {
			continue
		}
		r, err := e.New(time.Second, map[string]float64{"failures": p.Max, "open": 5})
		if err != nil {
			t.Fatal(err)
		}
		if r.Wait(Failure{Tries: MostTries - 1, Timeout: time.Second}, nil) != 0 {
			t.Errorf("failures=%g: open after %d", p.Max, MostTries-1)
		}
		if r.Wait(Failure{Tries: MostTries, Timeout: time.Second}, nil) != 5*time.Second {
			t.Errorf("failures=%g: never opens, a droplet counts to %d", p.Max, MostTries)
		}
	}
}

// A budget is exact at every size: as many good answers as make up for the failures fill it.
func TestBudgetExact(t *testing.T) {
	for _, ref := range []string{"retry-budget:tokens=10,ratio=0.1", "retry-budget:tokens=1000000,ratio=0.01", "retry-budget:tokens=1000,ratio=0.0001"} {
		r := retry(t, ref, time.Second)
		b := r.(*budget)
		rng := rand.New(rand.NewPCG(1, 2))
		fail := func() bool { return r.Wait(Failure{Tries: 1, Timeout: time.Second}, rng) > 0 }
		failures := int64(1)
		for ; !fail(); failures++ {
		}
		if want := b.most / token / 2; failures != want {
			t.Fatalf("%s: pauses after %d failures, want %d", ref, failures, want)
		}
		for range token / b.ratio { // one token: the next failure finds half of them
			b.Good(0, 0)
		}
		if !fail() {
			t.Errorf("%s: no pause at half the tokens", ref)
		}
		for range token/b.ratio + 1 {
			b.Good(0, 0)
		}
		if fail() {
			t.Errorf("%s: a pause above half the tokens", ref)
		}
	}
}

// Told to come in any time up to 292 years: not before it, and no overflow.
func TestRetryAfterFar(t *testing.T) {
	r := retry(t, "retry-after:jitter=1", time.Second)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, after := range []time.Duration{time.Hour, longest / 2, longest, math.MaxInt64} {
		for range 100 {
			if wait := r.Wait(Failure{Tries: 1, Timeout: time.Second, After: after}, rng); wait < min(after, longest) || wait > longest {
				t.Fatalf("told %d ns: waits %d ns", after, wait)
			}
		}
	}
}

// A throttle of a day fades at steps of 10 ms as it does at one of the day.
func TestAdaptiveFades(t *testing.T) {
	const window = 86400 * time.Second
	a := retry(t, "client-throttle:window=24h", time.Second).(*adaptive)
	a.seen.of(0).requests = 1000
	for now := time.Duration(0); now <= window/10; now += 10 * time.Millisecond {
		a.faded(now, 0)
	}
	if got, want := a.seen.of(0).requests, 1000*math.Exp(-0.1); math.Abs(got-want) > 0.01 {
		t.Errorf("%.2f requests are left after a tenth of the window, want %.2f", got, want)
	}
}

// A queue a hair below the limit of its door makes a token dearer than any number says: the
// door is shut, and the bucket lacks no less than before.
func TestBacklogAtItsLimit(t *testing.T) {
	c := make1(t, "backlog:rate=0.001", Config{Timeout: time.Second, Capacity: math.Nextafter(50_000, 1e9), Workers: 2}).(*backlog)
	if n, _ := door(c, time.Second, queue.Establish, 0, 1, 25_000); n != 1 {
		t.Fatal("refused by a full bucket")
	}
	before := c.bucket.full.Load()
	if n, _ := door(c, time.Second+1, queue.Establish, 0, 1, 25_000); n != 0 || c.bucket.full.Load() < before {
		t.Errorf("%d let in by a bucket that is empty, whose time went from %d to %d", n, before, c.bucket.full.Load())
	}
}

// The bucket's clock turns over: it keeps its rate at any time of a run.
func TestTokenBucketTurnsOver(t *testing.T) {
	c := make1(t, "token-bucket:rate=0.5,burst=0.01", testConfig) // 400 a second, bursts of 4
	const day = 24 * time.Hour
	for now := time.Duration(0); now < 5*365*day; now += 10 * day {
		got := 0
		for i := range time.Duration(1000) {
			n, _ := door(c, now+i*time.Millisecond, queue.Establish, 0, 2, 0)
			got += n
		}
		if got < 400 || got > 404 {
			t.Fatalf("day %d: %d let in within a second, want 400 and a burst of 4", now/day, got)
		}
	}
}

// A line of appointments that is longer than can be told says the longest, and not a short
// one.
func TestAppointmentsFar(t *testing.T) {
	var a appointments
	now := 100 * 24 * time.Hour
	for range 100 {
		items := make([]queue.Item, 40)
		for i := range items {
			items[i].Why = queue.Refused
		}
		a.give(now, items, 1e18) // one in 32 years
		for i := range items {
			if got := items[i].RetryAfter(); got != time.Duration(farthest) {
				t.Fatalf("told %v, want %v", got, time.Duration(farthest))
			}
		}
	}
	items := []queue.Item{{Why: queue.Refused}}
	if a.give(now+2*time.Duration(farthest), items, 1e9); items[0].RetryAfter() != time.Second {
		t.Errorf("after the longest line has passed: told %v, want 1 s", items[0].RetryAfter())
	}
}

// A count below one is one, and 0 alone means the default. One beyond all bounds is none.
func TestWholeParameters(t *testing.T) {
	for ref, want := range map[string]int{"limit:limit=0.3": 1, "limit:limit=1.6": 2, "limit:limit=0": 500,
		"concurrency:min=0.3,max=0.3": 1, "concurrency:initial=1e300": 1000, "concurrency:initial=1e300,max=1e300": 1000} {
		if n, _ := door(make1(t, ref, testConfig), 0, queue.Establish, 0, 1000, 0); n != want {
			t.Errorf("%s: %d of 1000 let in, want %d", ref, n, want)
		}
	}
}

// All end in the instant in which they came: no time is no queue, and the limits grow.
func TestLimitsWithoutTime(t *testing.T) {
	for ref, l := range map[string]law{"gradient2": &gradient2{}, "vegas": &vegas{}} {
		limit := 20.0
		for i := range 20 {
			next := l.next(limit, window{n: 10, inflight: int(limit)})
			if !(next > limit) {
				t.Fatalf("%s: limit %v after %d windows, %v before", ref, next, i+1, limit)
			}
			limit = next
		}
	}
}
