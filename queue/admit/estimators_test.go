package admit

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

func makeEstimator(t *testing.T, ref string) Estimator {
	t.Helper()
	e, v, err := Estimators.Resolve(ref)
	if err != nil {
		t.Fatal(err)
	}
	made, err := e.New(Config{Timeout: time.Second, Capacity: 100, Workers: 1}, v)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// said is what an estimator says to n refused attempts with n waiting.
func said(e Estimator, now time.Duration, class queue.Class, refused, queued int) (waits []time.Duration) {
	items := make([]queue.Item, refused)
	for i := range items {
		items[i] = queue.Item{Droplet: uint32(i), Class: class, Why: queue.Refused, Door: 7}
	}
	e.Advise(now, items, Queued(queued))
	for i := range items {
		waits = append(waits, items[i].RetryAfter())
	}
	return waits
}

// serve ends attempts at a steady rate for some seconds.
func serve(e Estimator, from time.Duration, class queue.Class, perSecond, seconds int) {
	for i := 1; i <= perSecond*seconds; i++ {
		it := queue.Item{Class: class}
		e.Done(from+time.Duration(i)*time.Second/time.Duration(perSecond), &it, queue.Good)
	}
}

// What each estimator says: 10 attempts a second are served for 5 s, then there are refusals.
func TestEstimates(t *testing.T) {
	const s = time.Second
	for _, tt := range []struct {
		ref     string
		refused int
		queued  int
		want    []time.Duration
	}{
		{"silent", 2, 100, []time.Duration{0, 0}},
		{"constant:wait=30s", 2, 100, []time.Duration{30 * s, 30 * s}},
		{"drain", 2, 25, []time.Duration{2500 * time.Millisecond, 2500 * time.Millisecond}},
		{"drain:round=1s", 1, 25, []time.Duration{3 * s}},
		{"drain:round=1s", 1, 30, []time.Duration{3 * s}},
		{"drain:cap=2s", 1, 25, []time.Duration{2 * s}},
		{"drain:round=1s,cap=2500ms", 1, 25, []time.Duration{2500 * time.Millisecond}},
		{"drain", 1, 0, []time.Duration{0}},
		{"rate", 3, 1000, []time.Duration{100 * time.Millisecond, 100 * time.Millisecond, 100 * time.Millisecond}},
		{"rate:round=1s", 1, 1000, []time.Duration{s}},
		{"appointments", 3, 20, []time.Duration{2100 * time.Millisecond, 2200 * time.Millisecond, 2300 * time.Millisecond}},
		{"appointments:share=0.5", 2, 20, []time.Duration{4200 * time.Millisecond, 4400 * time.Millisecond}},
		{"appointments:round=1s", 3, 8, []time.Duration{s, s, 2 * s}},
	} {
		e := makeEstimator(t, tt.ref)
		if silent := said(e, 0, queue.Establish, 1, 5); !strings.HasPrefix(tt.ref, "constant") && silent[0] != 0 {
			t.Errorf("%s says %v before anything is known", tt.ref, silent)
		}
		serve(e, 0, queue.Establish, 10, 5)
		got := said(e, 5*s, queue.Establish, tt.refused, tt.queued)
		for i := range got {
			if d := got[i] - tt.want[i]; d < -5*time.Microsecond || d > 5*time.Microsecond {
				t.Errorf("%s: %v, want %v", tt.ref, got, tt.want)
				break
			}
		}
	}
}

// The rate of a class is its own; an outage is no rate; what fails tells nothing.
func TestEstimatedRates(t *testing.T) {
	const s = time.Second
	e := makeEstimator(t, "rate:cap=100s")
	serve(e, 0, queue.Check, 50, 4)
	serve(e, 0, queue.Establish, 2, 4)
	if got := []time.Duration{said(e, 4*s, queue.Check, 1, 9)[0], said(e, 4*s, queue.Establish, 1, 9)[0], said(e, 4*s, queue.Launch, 1, 9)[0]}; !slices.Equal(got, []time.Duration{20 * time.Millisecond, 500 * time.Millisecond, 0}) {
		t.Errorf("by class: %v", got)
	}
	e = makeEstimator(t, "drain:cap=1000s")
	serve(e, 0, queue.Establish, 10, 4)
	for i := range 100 {
		e.Done(4*s+time.Duration(i)*100*time.Millisecond, &queue.Item{}, queue.Failed)
	}
	serve(e, 14*s, queue.Establish, 10, 1) // the first second after the outage opens a new count
	if got := said(e, 15*s, queue.Establish, 1, 100)[0]; got != 10*s {
		t.Errorf("after an outage: %v, want 10s", got)
	}
	serve(e, 15*s, queue.Establish, 20, 30) // the average follows
	if got := said(e, 45*s, queue.Establish, 1, 100)[0].Seconds(); math.Abs(got-5) > 0.01 {
		t.Errorf("at twice the speed: %v, want 5 s", got)
	}
}

// In a window all are told what the first was.
func TestEstimateHolds(t *testing.T) {
	e := makeEstimator(t, "drain:window=2s")
	serve(e, 0, queue.Establish, 10, 5)
	for _, tt := range []struct {
		at     time.Duration
		queued int
		want   time.Duration
	}{{5 * time.Second, 10, time.Second}, {6999 * time.Millisecond, 90, time.Second}, {7 * time.Second, 90, 9 * time.Second}} {
		if got := said(e, tt.at, queue.Establish, 1, tt.queued)[0]; got != tt.want {
			t.Errorf("at %v: %v, want %v", tt.at, got, tt.want)
		}
	}
}

// The jitter reaches both ways as far as it is said to, and no further.
func TestEstimateJitter(t *testing.T) {
	got := said(makeEstimator(t, "constant:wait=10s,jitter=0.5"), 0, queue.Establish, 10_000, 0)
	if low, high := slices.Min(got).Seconds(), slices.Max(got).Seconds(); low < 5 || low > 5.1 || high > 15 || high < 14.9 {
		t.Errorf("%v to %v, want 5 to 15", low, high)
	}
	if again := said(makeEstimator(t, "constant:wait=10s,jitter=0.5"), 0, queue.Establish, 10_000, 0); !slices.Equal(got, again) {
		t.Error("it is another in the same run")
	}
}

// The vectors of Kubernetes' tracker, as the seconds at which what is said changes.
func TestDrops(t *testing.T) {
	for perSecond, want := range map[int]string{10: "0:1 1:2 3:4 7:8 15:16 31:32", 3: "0:1 1:2 3:4 7:8 15:16 31:32", 2: "0:1"} {
		e := makeEstimator(t, "drops")
		var got []string
		last := time.Duration(0)
		for sec := range 33 {
			if r := said(e, time.Duration(sec)*time.Second, queue.Establish, perSecond, 0)[0]; r != last {
				got, last = append(got, fmt.Sprintf("%d:%v", sec, r.Seconds())), r
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%d a second: %s, want %s", perSecond, text, want)
		}
		if perSecond != 10 {
			continue
		}
		for i, want := range []time.Duration{31, 30, 29, 28, 27} { // after an hour of silence
			if r := said(e, time.Hour+time.Duration(i)*time.Second, queue.Establish, 1, 0)[0]; r != want*time.Second {
				t.Errorf("after an hour: %v, want %vs", r, int(want))
			}
		}
		if r := said(e, time.Hour, queue.Check, 1, 0)[0]; r != time.Second {
			t.Errorf("another class: %v", r)
		}
	}
}

// An estimator stands behind a controller by name, and overrules it.
func TestBehind(t *testing.T) {
	for ref, want := range map[string]string{
		"limit+drain": "", "token-bucket:rate=1e+1+drain:cap=10s": "", "token-bucket:rate=1e+1": "", "token-bucket+silent": "",
		"none+drain": "refuses no attempt", "limit+nothing": "Retry-After estimator", "limit+": "Retry-After estimator",
		"limit+drain:cap=0s": "cap", "drain": "admission controller", "limit+drain+rate": "admission controller",
	} {
		err := Validate(ref)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", ref, err, want)
		}
	}
	if c, e := Parts("token-bucket:rate=1e+2+drain:cap=10s"); c != "token-bucket:rate=1e+2" || e != "drain:cap=10s" {
		t.Errorf("Parts: %q, %q", c, e)
	}
	cfg := Config{Timeout: time.Second, Capacity: 10, Workers: 1}
	for ref, want := range map[string]bool{"token-bucket:burst=0": true, "token-bucket:burst=0+silent": false, "token-bucket:burst=0+constant": true} {
		c, err := Make(ref, cfg)
		if err != nil {
			t.Fatal(err)
		}
		items := make([]queue.Item, 3)
		for i := range items {
			items[i] = queue.Item{Class: queue.Establish, Droplet: uint32(i)}
		}
		n := c.Admit(0, items, Queued(0))
		if last := &items[2]; n == 3 || (last.RetryAfter() > 0) != want {
			t.Errorf("%s: %d admitted, told %v", ref, n, last.RetryAfter())
		}
	}
}

// A part of the droplets listens, always the same ones; or each to a part of the refusals. want is the
// share of refusals that are listened to, and of droplets that listen to all of theirs.
func TestListeners(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for ref, want := range map[string][2]float64{"retry-after:share=0.3": {0.3, 0.3}, "retry-after:listen=0.3": {0.3, 0}, "retry-after": {1, 1}, "retry-after:share=0": {0, 0}} {
		always, heard := 0.0, 0.0
		r, err := MakeRetry(ref, time.Second)
		if err != nil {
			t.Fatal(err)
		}
		for d := range 1000 {
			all := true
			for range 8 {
				if r.Wait(Failure{Tries: 1, Timeout: time.Second, After: time.Hour, Droplet: uint32(d)}, rng) >= time.Hour {
					heard += 1. / 8000
				} else {
					all = false
				}
			}
			if all {
				always += 1. / 1000
			}
		}
		if math.Abs(heard-want[0]) > 0.05 || math.Abs(always-want[1]) > 0.05 {
			t.Errorf("%s: %.2f of the refusals, and %.2f of the droplets to all, want %v", ref, heard, always, want)
		}
	}
}
