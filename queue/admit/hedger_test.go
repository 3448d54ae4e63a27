package admit

import (
	"testing"
	"time"
)

// A6: the first attempt is always sent, and a hedge only above half of the tokens. Five failures of ten
// tokens stop the hedges, and a good answer lets them go on.
func TestHedgers(t *testing.T) {
	for _, ref := range []string{"grpc-pushback", "retry-budget"} {
		r := retry(t, ref, time.Second)
		h := r.(Hedger)
		for n := range 5 {
			if !h.Hedge(0, 7, 0) {
				t.Errorf("%s: no hedge after %d failures", ref, n)
			}
			if n%2 == 0 {
				h.HedgeFailed(0, 7)
			} else {
				r.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: 7}, atMost)
			}
		}
		if h.Hedge(0, 7, 5) || !h.Hedge(0, 8, 0) {
			t.Errorf("%s: after five failures of droplet 7: hedges %v, of another droplet %v; want false, true", ref, h.Hedge(0, 7, 5), h.Hedge(0, 8, 0))
		}
		r.(Learner).Good(0, 7)
		if !h.Hedge(0, 7, 0) {
			t.Errorf("%s: no hedge after a good answer", ref)
		}
	}
	if r := retry(t, "grpc-pushback:tokens=0", time.Second).(Hedger); !r.Hedge(0, 0, 0) {
		t.Error("without throttling hedges are held back")
	}
}

// A hedge through Envoy is a retry: one of num_retries, and in the budget while its request is out.
func TestEnvoyHedges(t *testing.T) {
	p := retry(t, "envoy-budget:min=1,percent=0,retries=2,pause=1000", time.Second).(*envoyBudget)
	p.Asked(0, 1)
	p.Asked(0, 2)
	if !p.Hedge(0, 1, 0) || p.Hedge(0, 1, 0) || p.Hedge(0, 2, 0) {
		t.Error("want one hedge: the budget has one retry")
	}
	fails := func(tries int) bool { // and is tried again
		return p.Wait(Failure{Tries: tries, Timeout: time.Second, Droplet: 1}, atMost) < time.Second
	}
	if !fails(1) { // the hedge is out no more
		t.Error("a failure and a hedge of two retries: the request is over")
	}
	p.Asked(0, 1)
	if p.Hedge(0, 1, 1) {
		t.Error("a third retry, of two")
	}
	if fails(2) {
		t.Error("tried again after two retries")
	}
	p.Asked(0, 1)
	if !p.Hedge(0, 1, 0) {
		t.Error("no hedge of the next request")
	}
	p.Good(0, 1)
	if !p.Hedge(0, 2, 0) {
		t.Error("an answered request keeps its retries")
	}
}

// The retries and hedges of one request are not counted against the next.
func TestEnvoyHedgesAnew(t *testing.T) {
	for name, between := range map[string]func(p *envoyBudget){
		"the client was silenced": func(p *envoyBudget) { p.Silenced(0, 1) },
		"the lease lapsed": func(p *envoyBudget) { // while the next try of the request waited
			p.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: 1}, atMost)
		},
		"a check replaced the last": func(*envoyBudget) {},
	} {
		p := retry(t, "envoy-budget:min=10,retries=2,pause=1000", time.Second).(*envoyBudget)
		p.Asked(0, 1)
		if !p.Hedge(0, 1, 0) {
			t.Fatal("no hedge of the first request")
		}
		between(p)
		p.Asked(0, 1)
		for n, want := range []bool{true, true, false} {
			if got := p.Hedge(0, 1, 0); got != want {
				t.Errorf("%s: hedge %d of the next request: %v, want %v", name, n+1, got, want)
			}
		}
		if p.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: 1}, atMost) < time.Second {
			t.Errorf("%s: a third retry, of two", name)
		}
		p.Drop(0, 1)
		if c := *p.proxies.of(1); c != (envoyCounts{}) {
			t.Errorf("%s: in the end %+v are out", name, c)
		}
	}
	// Without a hedge of the next request, too.
	p := retry(t, "envoy-budget:min=10,retries=2,pause=1000", time.Second).(*envoyBudget)
	p.Asked(0, 1)
	p.Hedge(0, 1, 0)
	for _, tries := range []int{1, 1, 2} { // the lease lapses after the first
		if p.Wait(Failure{Tries: tries, Timeout: time.Second, Droplet: 1}, atMost) >= time.Second {
			t.Errorf("after %d failures: no retry", tries)
		}
		p.Asked(0, 1)
	}
}
