package admit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

var testConfig = Config{Timeout: time.Second, Capacity: 1000, Rho: 0.2, Workers: 1}

func make1(t *testing.T, ref string, cfg Config) Controller {
	t.Helper()
	c, err := Make(ref, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// door asks for n attempts of a class, of droplets from a number on, and returns how many
// are let in.
func door(c Controller, now time.Duration, class queue.Class, from, n, queued int) (admitted int, items []queue.Item) {
	items = make([]queue.Item, n)
	for i := range items {
		items[i] = queue.Item{Born: now, Timeout: queue.ToMicros(time.Second), Class: class, Droplet: uint32(from + i)}
	}
	return c.Admit(now, items, Queued(queued)), items
}

// Breakwater's law, worked out from its definition: d_t 100, A·n 7, B 0.02.
func TestCreditLaw(t *testing.T) {
	pool := 10.0
	for i, tt := range []struct{ wait, more, want float64 }{
		{50, 7, 17},                                                             // below: + A·n
		{99, 0.5, 18},                                                           // at least + 1
		{100, 7, 18},                                                            // at the target: × 1
		{150, 7, 17.82},                                                         // × (1 − 0.02·0.5)
		{600, 7, 16.038},                                                        // × 0.9
		{5100, 7, 8.019},                                                        // × max(1 − 1, 0.5)
		{9e9, 7, 4.0095},                                                        // never less than half
		{0, 7, 11.0095},                                                         //
		{9e9, 0, 5.50475}, {9e9, 0, 2.752375}, {9e9, 0, 1.3761875}, {9e9, 0, 1}, // at least one
	} {
		pool = creditLaw(pool, tt.wait, 100, tt.more, 0.02)
		if math.Abs(pool-tt.want) > 1e-9 {
			t.Fatalf("step %d: %v credits, want %v", i, pool, tt.want)
		}
	}
}

// Who finds no credit is told when to come, one after the other at the manager's rate, and
// checks need none.
func TestCredits(t *testing.T) {
	c := make1(t, "credits", testConfig) // one credit at first
	n, items := door(c, time.Second, queue.Establish, 0, 5, 0)
	if n != 1 {
		t.Fatalf("%d of 5 admitted, want 1", n)
	}
	for i, it := range items[1:] {
		if want := time.Duration(i+1) * time.Millisecond; it.RetryAfter() != want {
			t.Errorf("refused %d: told %v, want %v", i, it.RetryAfter(), want)
		}
	}
	if n, _ = door(c, time.Second, queue.Check, 9, 3, 100); n != 3 {
		t.Errorf("%d of 3 checks", n)
	}
	if n, items = door(c, time.Second, queue.Launch, 20, 1, 0); n != 0 || items[0].RetryAfter() != 5*time.Millisecond {
		t.Errorf("%d admitted, told %v: want the end of the line, 5 ms", n, items[0].RetryAfter())
	}
	// A wait above twice the target shuts the door for all but checks.
	it := queue.Item{Class: queue.Establish}
	c.Done(2*time.Second, &it, 900*time.Millisecond, queue.Good)
	if n, _ = door(c, 2*time.Second, queue.Establish, 30, 1, 10); n != 0 {
		t.Error("let in with a wait of nine targets")
	}
}

// DAGOR's window, by hand: F times too much converges in ln F / −ln(1−α) windows.
func TestDagorConverges(t *testing.T) {
	for _, tt := range []struct {
		load    float64
		windows float64 // from the definition
	}{{2, 13.5}, {4, 27}, {10, 44.9}} {
		c := make1(t, "dagor:requests=1000000000", testConfig).(*dagor)
		const each = 20_000
		windows, now := 0, time.Duration(0)
		c.Done(now, &queue.Item{}, 0, queue.Good) // the first window begins
		for ; windows < 200; windows++ {
			n, _ := door(c, now, queue.Establish, 0, each, 0)
			if float64(n) <= each/tt.load {
				break
			}
			c.Done(now, &queue.Item{}, time.Second, queue.Good)
			now += time.Second
		}
		// A cohort is a 128th: the cursor moves in whole ones.
		if got := float64(windows); got < 0.6*tt.windows || got > 1.3*tt.windows {
			t.Errorf("%g times too much: %g windows, want about %g", tt.load, got, tt.windows)
		}
	}
}

// The cursor's walk on a histogram made by hand.
func TestDagorCursor(t *testing.T) {
	c := make1(t, "dagor", testConfig).(*dagor)
	c.came[0], c.came[100], c.came[300] = 60, 30, 10
	c.all, c.admitted = 100, 100
	for _, tt := range []struct {
		from       int64
		admitted   int
		overloaded bool
		want       int64
	}{
		{383, 100, true, 299},  // down past the 10: 90 of 95 are left
		{299, 90, true, 99},    // past the 30
		{99, 60, true, 0},      // never below the first
		{0, 60, false, 100},    // up for 1 more: to the 30
		{299, 90, false, 300},  //
		{300, 100, false, 383}, // all
	} {
		c.cursor.Store(tt.from)
		c.admitted = tt.admitted
		if got := c.next(tt.overloaded); got != tt.want {
			t.Errorf("from %d, overloaded %v: %d, want %d", tt.from, tt.overloaded, got, tt.want)
		}
	}
	// What keeps a lease comes before what asks for one, whatever the cohort.
	for droplet := range uint32(1000) {
		check, establish := dagorLevel(0, &queue.Item{Droplet: droplet}), dagorLevel(0, &queue.Item{Droplet: droplet + 1, Class: queue.Establish})
		if check >= dagorCohorts || establish < 2*dagorCohorts || establish >= dagorLevels {
			t.Fatalf("droplet %d: levels %d and %d", droplet, check, establish)
		}
	}
}

// A standing queue has no short wait; a burst has.
func TestCodelAdmit(t *testing.T) {
	c := make1(t, "codel-admit", testConfig)
	wait := func(now, sojourn time.Duration) { c.Done(now, &queue.Item{}, sojourn, queue.Good) }
	ms := time.Millisecond
	wait(0, 50*ms)
	wait(50*ms, 4*ms) // a short one in between
	wait(100*ms, 50*ms)
	if n, _ := door(c, 100*ms, queue.Establish, 0, 1, 9); n != 1 {
		t.Error("refused after an interval with a wait below the target")
	}
	wait(150*ms, 6*ms)
	wait(200*ms, 50*ms) // ends an interval whose shortest was 6 ms
	if n, _ := door(c, 200*ms, queue.Establish, 0, 1, 9); n != 0 {
		t.Error("let in after an interval whose shortest wait was above the target")
	}
	if n, _ := door(c, 200*ms, queue.Check, 0, 1, 9); n != 1 {
		t.Error("a check was refused")
	}
	if n, _ := door(c, 200*ms, queue.Establish, 0, 1, 0); n != 1 {
		t.Error("refused at an empty queue")
	}
}

// Kratos' product, by hand: at most 30 in a bucket of 100 ms, mean time at least 20 ms:
// 30·20/100 = 6.
func TestBBR(t *testing.T) {
	c := make1(t, "bbr", testConfig)
	done := func(bucket, n int, rtt time.Duration, out queue.Outcome) {
		now := time.Duration(bucket)*100*time.Millisecond + 50*time.Millisecond
		for range n {
			c.Admit(now, make([]queue.Item, 1), Queued(0))
			c.Done(now, &queue.Item{Born: now - rtt}, 0, out)
		}
	}
	if n, _ := door(c, 0, queue.Check, 0, 1000, 0); n != 1000 {
		t.Fatalf("%d of 1000 before anything is known", n)
	}
	for range 1000 {
		c.Done(0, &queue.Item{}, 0, queue.Late) // out again; late ones are no bandwidth
	}
	done(1, 10, 20*time.Millisecond, queue.Good)
	done(2, 30, 40*time.Millisecond, queue.Good)
	done(3, 500, 30*time.Millisecond, queue.Late)
	done(4, 1, time.Second, queue.Good)
	if n, _ := door(c, 500*time.Millisecond, queue.Check, 0, 100, 0); n != 6 {
		t.Errorf("%d let in, want 6", n)
	}
}

// The breaker's three states.
func TestBreaker(t *testing.T) {
	c := make1(t, "breaker:failures=2,open=1,probes=1", testConfig)
	admits := func(now time.Duration, n, want int, when string) []queue.Item {
		t.Helper()
		got, items := door(c, now, queue.Establish, 0, n, 0)
		if got != want {
			t.Errorf("%s: %d of %d let in, want %d", when, got, n, want)
		}
		return items[:got]
	}
	end := func(it queue.Item, now time.Duration, out queue.Outcome) { c.Done(now, &it, 0, out) }
	before := admits(0, 9, 9, "at the start")
	for i, out := range []queue.Outcome{queue.Failed, queue.Failed, queue.Good, queue.Failed, queue.Failed} {
		end(before[i], time.Duration(i), out)
	}
	admits(6, 5, 5, "two in a row")
	end(before[5], 7, queue.Late)
	admits(8, 5, 0, "three in a row")
	if n, _ := door(c, 8, queue.Check, 0, 2, 0); n != 2 {
		t.Error("checks were refused")
	}
	half := time.Second + 8
	probe := admits(half, 5, 1, "half open")
	end(before[6], half+1, queue.Good) // of before: says nothing
	admits(half+2, 5, 0, "while the probe is out")
	end(probe[0], half+3, queue.Late)
	admits(half+4, 5, 0, "after a bad probe")
	again := 2*time.Second + 100
	probe = admits(again, 5, 1, "half open again")
	end(probe[0], again+1, queue.Good)
	after := admits(again+2, 5, 5, "after a good probe")
	for _, it := range []queue.Item{before[7], before[8], probe[0], after[0], after[1]} {
		end(it, again+3, queue.Failed)
	}
	admits(again+4, 5, 5, "after two failures of its own, and three of before")
	end(after[2], again+5, queue.Failed)
	admits(again+6, 5, 0, "after three failures of its own")
}

// A probe counts as what it is, however short after the opening's end it came and however
// much later than it was meant: 1 ns to 2 µs late, where an item's slip has whole
// microseconds.
func TestBreakerKnowsItsProbes(t *testing.T) {
	for late := time.Duration(0); late <= 2*time.Microsecond; late += 100 {
		c := make1(t, "breaker", testConfig).(*breaker)
		n, items := door(c, 0, queue.Establish, 0, 6, 0)
		for i := range items[:n] {
			c.Done(time.Millisecond, &items[i], 0, queue.Failed)
		}
		at := time.Millisecond + c.open
		probe := []queue.Item{{Born: at - late, Timeout: queue.ToMicros(time.Second), Class: queue.Establish}}
		probe[0].SetOffered(at)
		if c.Admit(at, probe, Queued(0)) != 1 {
			t.Fatalf("%v late: the probe was refused", late)
		}
		c.Done(at+time.Millisecond, &probe[0], 0, queue.Good)
		if n, _ := door(c, at+2*time.Millisecond, queue.Establish, 0, 5, 0); n != 5 {
			t.Errorf("%v late: %d of 5 let in after a good probe, want all", late, n)
		}
	}
}

// Whoever admitted an attempt hears of its end, also of those that come in the instant of
// the switch, late or not: no place leaks in either.
func TestSwitchTellsWhoAdmitted(t *testing.T) {
	first, then := make1(t, "limit:limit=50", testConfig), make1(t, "limit:limit=20", testConfig)
	s := NewSwitch(first, then)
	now := 10*time.Second + 777
	offer := func(n int) (in []queue.Item) {
		items := make([]queue.Item, n)
		for i := range items {
			items[i] = queue.Item{Born: now - time.Duration(300+i*100), Droplet: uint32(i), Class: queue.Class(i % int(queue.Classes))}
			items[i].SetOffered(now)
		}
		return items[:s.Admit(now, items, Queued(0))]
	}
	in := offer(30)
	s.Do()
	in = append(in, offer(30)...)
	if len(in) != 50 {
		t.Fatalf("%d let in, want 30 and 20", len(in))
	}
	for i := range in {
		s.Done(now+time.Millisecond, &in[i], 0, queue.Good)
	}
	for name, c := range map[string]Controller{"first": first, "then": then} {
		if n := c.(*fixedLimit).inflight.Load(); n != 0 {
			t.Errorf("%s: %d places leaked", name, n)
		}
	}
}

// The ramp lets in what is under a straight line, and the end's rate after it.
func TestSlowStart(t *testing.T) {
	cfg := testConfig
	cfg.Return = 10 * time.Second
	c := make1(t, "slow-start:from=0.1,ramp=4,rate=0.5,burst=0.05", cfg) // 400 a second in the end
	got := make([]int, 8)
	for now := cfg.Return; now < cfg.Return+8*time.Second; now += time.Millisecond {
		n, _ := door(c, now, queue.Establish, 0, 2, 0)
		got[(now-cfg.Return)/time.Second] += n
	}
	for i, want := range []int{55, 150, 250, 350, 400, 400, 400, 400} {
		if got[i] < want-8 || got[i] > want+8 {
			t.Errorf("second %d: %d let in, want about %d", i, got[i], want)
		}
	}
}

// gRPC's throttling, by hand: 4 tokens, retries above 2 only, half a token a good answer.
func TestBudget(t *testing.T) {
	r, err := MakeRetry("retry-budget:tokens=4,ratio=0.5,pause=10", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	at := func(droplet uint32, paused bool, what string) {
		t.Helper()
		wait := r.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: droplet}, rng)
		if paused && (wait < 5*time.Second || wait > 15*time.Second) || !paused && wait != 0 {
			t.Errorf("%s: waits %v", what, wait)
		}
	}
	at(1, false, "3 tokens left")
	at(1, true, "2 left")
	at(1, true, "1 left")
	at(0, false, "another droplet")
	for range 5 {
		r.(Learner).Good(0, 1)
	}
	at(1, false, "1 + 2.5 − 1 = 2.5 left")
}

// The throttle's law: with nothing accepted a droplet rejects all but one try in n + 1, and
// with everything accepted none.
func TestAdaptive(t *testing.T) {
	r, err := MakeRetry("client-throttle", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	sum := 0.0
	const droplets = 20_000
	for d := range uint32(droplets) { // after one failure p is 1/2, then 2/3, …: mean rejections diverge, so count the first
		if r.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: d}, rng) > 0 {
			sum++
		}
	}
	if p := sum / droplets; p < 0.48 || p > 0.52 {
		t.Errorf("after one failure of one a share of %.3f rejects its next try, want 1/2", p)
	}
	for range 10 {
		r.(Learner).Good(0, 7)
	}
	s := *r.(*adaptive).seen.of(7)
	s.requests, s.accepted = 10, 10
	*r.(*adaptive).seen.of(7) = s
	if wait := r.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: 7}, rng); wait != 0 {
		t.Errorf("after ten that were accepted: waits %v", wait)
	}
	if f := r.(*adaptive).faded(120*time.Second, 7); f.requests > 11/math.E+0.01 || f.requests < 11/math.E-0.01 {
		t.Errorf("after the window %v requests are left, want 11/e", f.requests)
	}
}

func TestRetryAfter(t *testing.T) {
	r, err := MakeRetry("retry-after", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 1000 {
		if wait := r.Wait(Failure{Tries: 5, Timeout: time.Second, After: 2 * time.Second}, rng); wait < 2*time.Second || wait > 2200*time.Millisecond {
			t.Fatalf("told 2 s: waits %v", wait)
		}
		if wait := r.Wait(Failure{Tries: 1, Timeout: time.Second}, rng); wait > time.Second {
			t.Fatalf("told nothing: waits %v", wait)
		}
	}
}

func retry(t *testing.T, ref string, timeout time.Duration) Retry {
	t.Helper()
	r, err := MakeRetry(ref, timeout)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Decorrelated jitter is min(cap, U[base, 3·prev]): its mean, and its share at the cap.
func TestDecorrelatedLaw(t *testing.T) {
	for _, tt := range []struct {
		ref       string
		base, cap float64 // s
	}{{"decorrelated", 0.1, 8}, {"decorrelated:base=1,cap=8", 1, 8}, {"decorrelated:base=0.000001,cap=1000000", 1e-6, 1e6}, {"decorrelated:base=2,cap=2", 2, 2}} {
		r := retry(t, tt.ref, time.Second)
		rng := rand.New(rand.NewPCG(3, 4))
		for _, prev := range []float64{0, 0.01, 0.5, 2.9, 8, 1e6, 9e9} {
			low, high := tt.base, 3*min(max(prev, tt.base), tt.cap)
			over := max(0, high-tt.cap) / (high - low) // share of the draws above the cap
			want := over*tt.cap + (1-over)*(low+min(high, tt.cap))/2
			const n = 50_000
			sum, atCap := 0.0, 0.0
			for range n {
				w := r.Wait(Failure{Tries: 2, Prev: time.Duration(prev * 1e9), Timeout: time.Second}, rng).Seconds()
				if w < low-1e-9 || w > min(high, tt.cap)+1e-9 {
					t.Fatalf("%s after %g s: waits %g s, want %g to %g", tt.ref, prev, w, low, min(high, tt.cap))
				}
				sum += w
				if w == tt.cap {
					atCap++
				}
			}
			// A uniform's mean strays by 0.3 of its width over sqrt(n): five times that is allowed.
			if allowed := 0.007 * (high - low); math.Abs(sum/n-want) > allowed {
				t.Errorf("%s after %g s: mean %.4f s, want %.4f", tt.ref, prev, sum/n, want)
			}
			if high > tt.cap && math.Abs(atCap/n-over) > 0.012 {
				t.Errorf("%s after %g s: a share of %.3f is at the cap, want %.3f", tt.ref, prev, atCap/n, over)
			}
		}
	}
}
