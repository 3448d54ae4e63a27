package bench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/leasestorm/leasestorm/queue/admit"
)

// Fluid is the surge on a fifo as a fluid: all times in timeouts, all work in what one
// timeout of the whole capacity serves. docs/border.md derives it.
type Fluid struct {
	Rho    float64 // ρ, what steady checks take
	Checks float64 // σρH/τ: the work of establishing all N leases, so that B/N = b/Checks
	Spread float64
	Wait   float64 // w
	Delta  float64 // δ
}

// fluidSteps a timeout, and how many timeouts the fluid is followed.
const fluidSteps, fluidTimeouts = 500, 60

// Recovers says whether a burst b of establish work is served in the end.
//
// Work enters a fifo of capacity 1 in parcels, one a step: the burst over the spread, and
// checks at the rate ρ(1 − B/N + g/N), where g are the leases that are back. What of a parcel is unserved a timeout after it
// entered enters again after w, as part of the parcel of that step; the old part stays and
// is served all the same, at δ of its cost. Good is what is served within a timeout of its
// own entry.
func (f Fluid) Recovers(b float64) bool {
	const h = 1.0 / fluidSteps
	n := fluidSteps * fluidTimeouts
	burst := max(1, int(math.Round(f.Spread*fluidSteps)))
	again := fluidSteps + int(math.Round(f.Wait*fluidSteps))
	rate := f.Rho * max(0, 1-b/f.Checks)
	establish, checks := make([]float64, n), make([]float64, n) // left of each parcel
	backE, backC := make([]float64, n), make([]float64, n)      // what enters again at each step
	head, good := 0, 0.0
	for k := range n {
		// A droplet that has its lease back checks as the others do, from a random phase on.
		establish[k], checks[k] = backE[k], (rate+f.Rho*good/f.Checks)*h+backC[k]
		if k < burst {
			establish[k] += b / float64(burst)
		}
		for room := h; room > 1e-15 && head <= k; {
			left := establish[head] + checks[head]
			if left <= 1e-15 {
				head++
				continue
			}
			cost := 1.0
			if dead := k-head >= fluidSteps; dead {
				cost = f.Delta
			}
			share := 1.0
			if cost > 0 {
				share = min(1, room/(left*cost))
			}
			if k-head < fluidSteps {
				good += share * establish[head]
			}
			room -= share * left * cost
			establish[head] -= share * establish[head]
			checks[head] -= share * checks[head]
		}
		if j := k - fluidSteps + 1; j >= 0 && j+again < n { // a timeout after it entered
			backE[j+again] += establish[j]
			backC[j+again] += checks[j]
		}
	}
	return good >= 0.999*b
}

// Border is the burst b* from which the fluid does not recover.
func (f Fluid) Border() float64 {
	low, high := 0.0, 4+(1+f.Wait)/max(f.Delta, 1e-3)
	for high-low > 5e-4 {
		if mid := (low + high) / 2; f.Recovers(mid) {
			low = mid
		} else {
			high = mid
		}
	}
	return (low + high) / 2
}

// fluid is the scenario as a fluid.
func (s *Scenario) fluid() Fluid {
	tau := s.Timeout.Seconds()
	return Fluid{
		Rho: s.Rho, Checks: s.Sigma * s.Rho * s.Interval.Seconds() / tau,
		Spread: s.Spread.Seconds() / tau, Wait: s.Wait.Seconds() / tau, Delta: s.Delta,
	}
}

// batchLaw is the β from which on a fifo does not come back, by the batch law with the
// mean of the first retry's wait.
func batchLaw(s *Scenario) float64 {
	wait := s.Wait.Seconds()
	if retry, err := admit.MakeRetry(s.Retry, s.Timeout); err == nil {
		const draws = 1000
		rng := rand.New(rand.NewPCG(1, 1))
		for range draws {
			wait += retry.Wait(admit.Failure{Tries: 1, Timeout: s.Timeout}, rng).Seconds() / draws
		}
	}
	return 1 + (1+wait/s.Timeout.Seconds())/s.Delta
}

// fluidLaw is the β from which on the scenario is lost by the fluid law; nil where it is not
// about it.
func (s *Scenario) fluidLaw() *float64 {
	if s.Queue != "fifo" || s.Admit != "none" || s.Retry != "immediate" || s.Kappa != 0 {
		return nil
	}
	law := s.fluid().Border() / (1 - s.Rho)
	return &law
}

// Border is where a scenario tips over.
type Border struct {
	Scenario string   `json:"scenario"`
	Queue    string   `json:"queue"`
	Rho      float64  `json:"rho"`
	Spread   float64  `json:"spread_timeouts"`
	Wait     float64  `json:"wait_timeouts"`
	Delta    float64  `json:"delta"`
	Law      *float64 `json:"law_beta"`      // β* of the fluid law; null: it is about fifo with immediate retries
	Beta     *float64 `json:"measured_beta"` // β at which half of the seeds collapse; null: even all leases broken are survived
	Broken   int      `json:"measured_broken"`
	Off      *float64 `json:"difference"` // measured over law, less 1
	Seeds    int      `json:"seeds"`
}

// FindBorder solves the fluid law for a scenario and measures the border by bisection over
// B on the virtual engine: the B at which half of the seeds are not back.
func FindBorder(ctx context.Context, s Scenario, o SimOptions, seeds int) (Border, error) {
	tau := s.Timeout.Seconds()
	out := Border{
		Scenario: s.Name, Queue: s.Queue, Rho: s.Rho, Spread: s.Spread.Seconds() / tau, Wait: s.Wait.Seconds() / tau, Delta: s.Delta, Seeds: seeds,
	}
	if s.Outage == 0 {
		return out, &keyError{"outage", "a border needs a surge; set outage"}
	}
	out.Law = s.fluidLaw()
	s.Duration = max(s.Duration, fluidTimeouts*s.Timeout)
	f := &finder{o, seeds}
	survives := func(broken int) (bool, error) {
		s.Broken = broken
		lost, err := f.lost(ctx, s)
		return !lost, err
	}
	low, high := 0, s.Leases
	if all, err := survives(high); err != nil || all {
		out.Broken = s.Leases
		return out, err
	}
	for high-low > max(1, s.Leases/1000) {
		mid := (low + high) / 2
		ok, err := survives(mid)
		if err != nil {
			return out, err
		}
		if ok {
			low = mid
		} else {
			high = mid
		}
	}
	out.Broken = (low + high) / 2
	s.Broken = out.Broken
	b := betaOf(&s, o.Workers)
	out.Beta = &b
	if out.Law != nil {
		off := b / *out.Law - 1
		out.Off = &off
	}
	return out, nil
}

// Text is the border for a person.
func (b Border) Text() string {
	t := fmt.Sprintf("%s, %s: ρ %g, spread %g τ, w %g τ, δ %g\n", b.Scenario, b.Queue, b.Rho, b.Spread, b.Wait, b.Delta)
	t += fmt.Sprintf("fluid law       β* %s\n", orDash(b.Law, "%.3f"))
	if b.Beta == nil {
		return t + "measured        none: even all leases broken at once are survived\n"
	}
	t += fmt.Sprintf("measured        β* %.3f (B = %d, half of %d seeds)\n", *b.Beta, b.Broken, b.Seeds)
	if b.Off != nil {
		t += fmt.Sprintf("difference      %+.1f %%\n", 100**b.Off)
	}
	return t
}
