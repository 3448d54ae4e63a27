package admit

import (
	"testing"
	"time"
)

// atOnce is how many of n droplets, whose first attempts fail at now, ask again at once.
func atOnce(r Retry, now time.Duration, from, n int) (granted int) {
	for i := range n {
		if r.Wait(Failure{Tries: 1, Timeout: time.Second, Now: now, Droplet: uint32(from + i)}, atMost) == 0 {
			granted++
		}
	}
	return granted
}

// Both budgets' vectors. Each step is at a time; good answers come first, of droplets whose first
// attempt it was, and then failures of first attempts of others.
func TestRetryBudgets(t *testing.T) {
	type step struct {
		at             time.Duration
		good, fail, ok int
	}
	const ms = time.Millisecond
	for _, tt := range []struct {
		ref   string
		steps []step
	}{
		// tower: 100 retries at once, and none until their slot, 10 s old, falls out.
		{"linkerd-budget", []step{{0, 0, 300, 100}, {999 * ms, 0, 10, 0}, {10_999 * ms, 0, 10, 0}, {11_000 * ms, 0, 300, 100}}},
		// (1000 + 500)/5
		{"linkerd-budget", []step{{0, 500, 0, 0}, {9 * time.Second, 500, 400, 300}}},
		{"linkerd-budget", []step{{0, 500, 0, 0}, {10_999 * ms, 500, 400, 300}}},
		{"linkerd-budget", []step{{0, 500, 0, 0}, {11 * time.Second, 500, 400, 200}}},
		// 0.3 is a third, 0.51 and 0.99 are 1, 1.5 is 1000/666, 0 has the reserve alone.
		{"linkerd-budget:reserve=0,ratio=0.3", []step{{0, 90, 90, 30}}},
		{"linkerd-budget:reserve=0,ratio=0.51", []step{{0, 90, 100, 90}}},
		{"linkerd-budget:reserve=0,ratio=0.99", []step{{0, 90, 100, 90}}},
		{"linkerd-budget:reserve=0,ratio=1.5", []step{{0, 90, 200, 135}}},
		{"linkerd-budget:ratio=0", []step{{0, 1000, 300, 100}}},
		// tower's own tests, with a ttl of 1 s.
		{"linkerd-budget:ttl=1s,reserve=0,ratio=1", []step{{0, 0, 1, 0}}},
		{"linkerd-budget:ttl=1s,reserve=0,ratio=1", []step{{0, 1, 0, 0}, {3 * time.Second, 0, 1, 0}}},
		{"linkerd-budget:ttl=1s,reserve=0,ratio=0.5", []step{{0, 2, 0, 0}, {901 * ms, 0, 1, 1}, {2902 * ms, 1, 0, 0}, {3203 * ms, 1, 0, 0}, {4004 * ms, 1, 2, 1}}},
		{"linkerd-budget:ttl=1s,reserve=5,ratio=1", []step{{0, 0, 6, 5}}},
		// Finagle: failed requests deposit, too: (500,000 + 300·1,000)/5,000.
		{"finagle-budget", []step{{0, 0, 300, 160}}},
		{"finagle-budget:ratio=0", []step{{0, 1000, 300, 100}}},
		{"finagle-budget:ratio=1000", []step{{0, 0, 300, 300}}},
		{"finagle-budget:reserve=0", []step{{0, 1000, 0, 0}, {9 * time.Second, 0, 10, 10}}},
		{"finagle-budget:reserve=0", []step{{0, 1000, 400, 280}}}, // 1,400/5
		// Ten slots with the current one: at 9.999 s the first counts, at 10 s no more.
		{"finagle-budget:reserve=0", []step{{0, 1000, 0, 0}, {9_999 * ms, 0, 400, 280}}},
		{"finagle-budget:reserve=0", []step{{0, 1000, 0, 0}, {10 * time.Second, 0, 400, 80}}},
		{"finagle-budget", []step{{0, 0, 125, 125}, {9_999 * ms, 0, 4, 0}, {10 * time.Second, 0, 300, 160}}}, // (500 + 4 + 300)/5
	} {
		ref := tt.ref + ":"
		if i := len(tt.ref); tt.ref != "linkerd-budget" && tt.ref != "finagle-budget" {
			ref = tt.ref[:i] + ","
		}
		r := retry(t, ref+"clients=1,pause=1000", time.Second)
		who := 0
		for _, s := range tt.steps {
			for range s.good {
				who++
				r.(Learner).Good(s.at, uint32(who))
			}
			if got := atOnce(r, s.at, who+1, s.fail); got != s.ok {
				t.Errorf("%s: %d of %d retried at %v, want %d", tt.ref, got, s.fail, s.at, s.ok)
			}
			who += s.fail
		}
	}
}

// One request of Finagle's has a fifth of the balance, and one of Linkerd's all of it.
func TestRetryBudgetOfOneRequest(t *testing.T) {
	for ref, want := range map[string]int{"finagle-budget": 20, "finagle-budget:reserve=1": 2, "finagle-budget:reserve=0": 0, "linkerd-budget": 100} {
		r := retry(t, ref, time.Second)
		n := 0
		for r.Wait(Failure{Tries: n + 1, Timeout: time.Second}, atMost) == 0 {
			n++
		}
		if n != want {
			t.Errorf("%s: %d retries of one request, want %d", ref, n, want)
		}
	}
}

// Droplets of one client share its budget, others have one of their own.
func TestRetryBudgetShared(t *testing.T) {
	for ref, want := range map[string]int{"linkerd-budget:clients=3,reserve=1": 30, "linkerd-budget:clients=1,reserve=1": 10, "linkerd-budget:reserve=1": 300} {
		if got := atOnce(retry(t, ref, time.Second), 0, 0, 300); got != want {
			t.Errorf("%s: %d of 300 retried, want %d", ref, got, want)
		}
	}
}
