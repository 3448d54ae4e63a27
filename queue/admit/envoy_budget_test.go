package admit

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// A proxy with some requests out, of which some fail. Each row's failures are of first attempts.
func TestEnvoyBudget(t *testing.T) {
	for _, tt := range []struct {
		params        string
		out, fail, ok int
	}{
		{"", 3, 3, 3},                 // min, of any number
		{"", 10, 10, 3},               // a fifth of 9 is 1
		{"", 100, 1, 1},               //
		{"", 100, 100, 16},            // a failed attempt is out no more: the 17th finds 83, 16.6 and 16 retries
		{"percent=100", 100, 100, 50}, // the 51st finds 49
		{"percent=0", 100, 100, 3},
		{"min=0", 4, 1, 0}, // 20 % of 3
		{"min=0", 6, 2, 1}, // 20 % of 5, and of 4
		{"min=0,percent=29", 101, 1, 1},
		{"retries=0", 100, 10, 0},
		{"clients=0", 100, 100, 100},
		{"clients=2", 10, 10, 6},
	} {
		r := retry(t, strings.TrimSuffix("envoy-budget:pause=1000,"+tt.params, ","), time.Second).(*envoyBudget)
		for i := range tt.out {
			r.Asked(0, uint32(i))
			r.Asked(0, uint32(i)) // a check instead of a check is one request
		}
		got := 0
		for i := range tt.fail {
			if r.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: uint32(i)}, atMost) < time.Second {
				got++
			}
		}
		if got != tt.ok {
			t.Errorf("%q: %d of %d retried with %d out, want %d", tt.params, got, tt.fail, tt.out, tt.ok)
		}
	}
}

// A retry's place is free again when it is good, fails, or falls silent, and not when it goes out.
func TestEnvoyBudgetEnds(t *testing.T) {
	r := retry(t, "envoy-budget:pause=1000", time.Second).(*envoyBudget)
	granted := func(droplet uint32, tries int) bool {
		return r.Wait(Failure{Tries: tries, Timeout: time.Second, Droplet: droplet}, atMost) < time.Second
	}
	full := func(when string, want bool) {
		t.Helper()
		if got := !granted(99, 1); got != want {
			t.Errorf("%s: full is %v, want %v", when, got, want)
		}
		r.Good(0, 99)
	}
	for i := range uint32(3) {
		granted(i, 1)
	}
	full("three wait", true)
	for i := range uint32(3) {
		r.Asked(0, i)
	}
	full("three are out", true)
	r.Good(0, 0)
	full("one was good", false)
	granted(0, 1)
	full("another waits", true)
	if granted(1, 2) {
		t.Error("a second retry of one request")
	}
	full("one failed again", false)
	granted(1, 1)
	r.Silenced(0, 2)
	full("one fell silent", false)
	granted(2, 1)
	full("again three wait", true)
	r.Drop(0, 2)
	full("one was dropped while it waited", false)
	if c := *r.proxies.of(0); c.requests != 0 || c.retries != 2 {
		t.Errorf("%+v, want no request and two retries", c)
	}
}

// The waits are below 25, 50, 100, 200, 250, 250 ms …: base·2^(n−1), at most ten times the base.
func TestEnvoyBudgetBackoff(t *testing.T) {
	r := retry(t, "envoy-budget:pause=1000,retries=7", time.Second)
	if got, want := play(t, r, strings.Repeat("late ", 8)), "25 50 100 200 250 250 250 up"; got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	sum := 0.0
	const n = 20_000
	for range n {
		sum += r.Wait(Failure{Tries: 1, Timeout: time.Second}, rng).Seconds() / n
	}
	if sum < 0.0123 || sum > 0.0127 { // standard error 0.05 ms
		t.Errorf("a mean of %.5f s, want 0.0125 s", sum)
	}
}
