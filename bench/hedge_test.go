package bench

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// steadyAt is five timeouts of the steady state of 200,000 leases under 64 workers, of whom three are busy on average, with
// exponential services.
func steadyAt(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("steady")
	if err == nil {
		err = s.Set(append([]string{"leases=200000", "workers=64", "rho=0.05", "service_law=exponential"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Where nobody waits, the response R of a hedged request is the least of exponential services that begin
// h apart. So with services of mean 1 the k-th hedge is sent with probability P(R > kh), which is
// exp(−(1 + 2 + … + k)·h), and while k+1 attempts are out each is as likely as the others to be the first. This gives the
// counts, the mean and the quantiles.
func TestHedgeLaw(t *testing.T) {
	plain := simulate(t, steadyAt(t), Options{Seed: 1})
	requests, service := float64(plain.Zones[0].Asked+plain.Zones[1].Asked+plain.Zones[2].Asked), plain.Service["check"]/1e6 // s
	if requests < 49_000 {
		t.Fatalf("%g requests", requests)
	}
	for _, most := range []int{2, 3, 5} {
		for _, h := range []float64{0.25, 1, 2} {
			after := math.Round(h*service*1e6) / 1e6
			h := after / service
			res := simulate(t, steadyAt(t, fmt.Sprintf("hedge_after=%.0fus", 1e6*after), fmt.Sprint("hedge_most=", most)), Options{Seed: 1})
			sent, won, mean, alive := 0.0, 0.0, 0.0, 1.0 // alive: P(R > k·h)
			quantile := map[float64]float64{.5: 0, .99: 0, .999: 0}
			for k := range most {
				n := float64(k + 1) // attempts that are out
				leaves := 1 - math.Exp(-n*h)
				if k == most-1 {
					leaves = 1
				}
				if k > 0 {
					sent += alive
				}
				won += alive * leaves * float64(k) / n
				mean += alive * leaves / n
				for q := range quantile {
					if alive >= 1-q && alive*(1-leaves) < 1-q {
						quantile[q] = float64(k)*h + math.Log(alive/(1-q))/n
					}
				}
				alive *= 1 - leaves
			}
			name := fmt.Sprintf("%d attempts, %.2f services apart", most, h)
			// Five standard deviations.
			for what, x := range map[string][2]float64{"sent": {float64(res.Hedges.Sent), sent}, "won": {float64(res.Hedges.Won), won}} {
				if want := requests * x[1]; math.Abs(x[0]-want) > 5*math.Sqrt(want*float64(most)) {
					t.Errorf("%s: %s %.0f, want %.0f", name, what, x[0], want)
				}
			}
			got, n := 0.0, 0.0
			for _, z := range res.Zones {
				got += *z.Mean * *z.Good * float64(z.Asked)
				n += *z.Good * float64(z.Asked)
			}
			if got /= n * service; math.Abs(got-mean) > 5/math.Sqrt(requests) {
				t.Errorf("%s: mean response %.4f services, want %.4f", name, got, mean)
			}
			c := res.Hedges.Checks
			for q, x := range map[float64]*float64{.5: c.P50, .99: c.P99, .999: c.P999} {
				// The error of a quantile is that of the count above it, over the density.
				if tolerance := 5*math.Sqrt(q/(1-q)/requests) + 0.002; math.Abs(*x/service-quantile[q]) > tolerance {
					t.Errorf("%s: quantile %g is %.4f services, want %.4f ± %.4f", name, q, *x/service, quantile[q], tolerance)
				}
			}
		}
	}
}

// However many attempts a request has, it is good once, and each attempt ends once: a run with an attempt that is
// lost or counted twice returns an error. The work for the others is wasted, or cancelled where the manager sees it.
func TestHedgesCountOnce(t *testing.T) {
	for _, q := range []string{"fifo", "lifo", "deadline", "slack", "codel", "coalesce+fifo", "percore+edf", "random"} {
		for _, set := range [][]string{nil, {"cancel_seen=1"}, {"admit=token-bucket", "retry=backoff"}, {"retry=retry-budget:pause=3", "admit=limit+constant"}, {"hedge_most=5", "wait=100ms", "launch=0.05"}} {
			s := surgeAt(t, append([]string{"queue=" + q, "hedge_after=5ms", "workers=3", "service_law=exponential", "duration=6s"}, set...)...)
			log := filepath.Join(t.TempDir(), "run")
			res, err := Virtual{}.Run(t.Context(), s, Options{Seed: 2, Folder: log})
			if err != nil {
				t.Fatalf("%s %v: %v", q, set, err)
			}
			good := answered(res)
			if per := (res.Goodput["check"] + res.Goodput["establish"]) * (res.Run - 2); good > per+1 || good < per*0.99 {
				t.Errorf("%s %v: %g requests were answered, and %g attempts are good", q, set, good, per)
			}
			if res.Hedges.Sent == 0 {
				t.Errorf("%s %v: %+v", q, set, res.Hedges)
			}
			if set != nil && set[0] == "cancel_seen=1" && res.ShedBy["cancelled"] == 0 {
				t.Errorf("%s: no hedge was cancelled: %v", q, res.ShedBy)
			}
		}
	}
}

// answered is the number of requests born since the return that had a good answer.
func answered(res *Result) (good float64) {
	for _, z := range res.Zones {
		if z.Good != nil {
			good += *z.Good * float64(z.Asked)
		}
	}
	return good
}

// The real engine drives the same hedges: in a surge whose work takes many hedge_after, some are sent, and
// every attempt is accounted for.
func TestHedgesOnTheHost(t *testing.T) {
	res, err := Real{}.Run(t.Context(), tiny(t, "hedge_after=1ms", "queue=percore+deadline", "cancel_seen=0.5"), Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if h := res.Hedges; h == nil || h.Sent == 0 || h.Won > h.Sent || h.Checks.N == 0 {
		t.Errorf("%+v", h)
	}
}

// Without hedges a run is what it was, and says nothing of them.
func TestNoHedges(t *testing.T) {
	if res := simulate(t, surgeAt(t, "duration=2s"), Options{Seed: 1}); res.Hedges != nil {
		t.Errorf("%+v", res.Hedges)
	}
	for set, want := range map[string]string{
		"hedge_after=1s": "0 (never), or less than the timeout, 1s", "hedge_after=1500ns": "no whole number of microseconds",
		"hedge_most=1": "2 to 5 attempts", "hedge_most=6": "2 to 5 attempts",
	} {
		s := surgeAt(t)
		if err := s.Set(set); !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", set, err, want)
		}
	}
}

// A storm hedges with second calls. The service answers both, and one of the answers is good: the other is late.
func TestStormHedges(t *testing.T) {
	res, err := Target{}.Run(t.Context(), stormy(t, "hedge_after=1us"), Options{Seed: 7, Target: serviceAt(t, leaseService(t), "none", "connections.most=64")})
	if err != nil {
		t.Fatal(err)
	}
	if h := res.Hedges; h == nil || h.Sent == 0 || res.Storm.Statuses["200"] <= uint64(h.Sent) {
		t.Errorf("%+v, statuses %v", h, res.Storm.Statuses)
	}
	// Nearly every request is hedged, so that there would be two good attempts of each.
	good, attempts := answered(res), (res.Goodput["check"]+res.Goodput["establish"])*(res.Run-0.2)
	if good < 20 || float64(res.Hedges.Sent) < 0.8*good || attempts > 1.3*good+3 {
		t.Errorf("%g requests were answered, %d hedges were sent, and %g attempts are good", good, res.Hedges.Sent, attempts)
	}
}

// The agents of a storm hedge, and the result has the sums of what they measured.
func TestSpreadHedges(t *testing.T) {
	url, _ := counting(t)
	var hedges fleet.Hedges
	var answered int64
	good := 0
	crew := choir{size: 3, after: func(ends []AgentEnd) {
		for i := range ends {
			part := ends[i].Partial
			if part.Hedges.Sent == 0 || part.Answered == nil || part.Answered.TotalCount() == 0 {
				t.Fatalf("agent %d: %+v", i, part.Hedges)
			}
			hedges.Add(part.Hedges)
			answered += part.Answered.TotalCount()
			for _, z := range part.Zones {
				good += z.Good
			}
		}
	}}
	s := stormy(t, "hedge_after=1us", "hedge_most=3", "launch=0")
	res, err := Spread{crew}.Run(t.Context(), s, Options{Seed: 7, Target: serviceAt(t, url, "none", "prime=false", "connections.most=96")})
	if err != nil {
		t.Fatal(err)
	}
	if h := res.Hedges; h == nil || h.Hedges != hedges || h.Checks.N != answered || h.Checks.P50 == nil {
		t.Errorf("%+v, want the sum %+v and %d answers", h, hedges, answered)
	}
	if attempts := (res.Goodput["check"] + res.Goodput["establish"]) * (res.Run - 0.2); good < 20 || attempts > 1.3*float64(good)+3 {
		t.Errorf("%d requests were answered, and %g attempts are good", good, attempts)
	}
}
