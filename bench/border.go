package bench

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// fluid is the scenario as a fluid, served by workers with that distribution of services;
// false where the law is not about it.
func (s *Scenario) fluid(workers int, services string) (Fluid, bool) {
	tau := s.Timeout.Seconds()
	f := Fluid{
		Rho: s.Rho, Checks: s.Sigma * s.Rho * s.Interval.Seconds() / tau,
		Spread: s.Spread.Seconds() / tau, Wait: s.Wait.Seconds() / tau, Delta: s.Delta, Sigma: s.Sigma,
		TTL: s.TTL.Seconds() / tau,
	}
	if s.Admit != "none" || s.Kappa != 0 || s.Slow != 0 || s.Pause != 0 || s.Launch != 0 || s.Operator != "none" ||
		s.CheckJitter != 0 || s.RenewRate != 0 || s.Grace != 0 || s.ExpirySpread != 0 {
		return f, false
	}
	e, v, err := queue.Catalog.Resolve(s.Queue)
	if err != nil { // a composition
		return f, false
	}
	switch e.Name {
	case "fifo", "fifo-lockfree", "edf": // one timeout for all: the earliest deadline is the oldest
	case "lifo", "lifo-lockfree":
		f.Order = Newest
	case "deadline":
		f.Drop = true
	case "slack":
		f.Order, f.Drop = Establishes, true
	default:
		return f, false
	}
	f.Margin, f.Workers = v["margin"], workers
	switch services {
	case "", "fixed":
	case "exponential":
		f.Exponential = true
	default:
		return f, false
	}
	r, w, err := admit.Retries.Resolve(s.Retry)
	if err != nil {
		return f, false
	}
	switch r.Name {
	case "immediate":
	case "fixed":
		f.Wait += w["wait"]
	case "backoff":
		for bound := w["base"]; len(f.Bounds) == 0 || f.Bounds[len(f.Bounds)-1] < w["cap"]; bound *= 2 {
			f.Bounds = append(f.Bounds, min(bound, w["cap"]))
		}
	default:
		return f, false
	}
	return f, true
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

// fluidLaw is the β from which on the scenario is lost by the fluid law, nil where it never
// is; false where the law is not about it.
func (s *Scenario) fluidLaw(workers int, services string) (beta *float64, ok bool) {
	f, ok := s.fluid(workers, services)
	if !ok {
		return nil, false
	}
	return f.beta(), true
}

// beta is the border as β*; nil if there is none.
func (f Fluid) beta() *float64 {
	b, ok := f.Border()
	if !ok {
		return nil
	}
	b /= 1 - f.Rho
	return &b
}

// Border is where a scenario tips over.
type Border struct {
	Scenario string   `json:"scenario"`
	Queue    string   `json:"queue"`
	Retry    string   `json:"retry"`
	Service  string   `json:"service"`
	Rho      float64  `json:"rho"`
	Spread   float64  `json:"spread_timeouts"`
	Wait     float64  `json:"wait_timeouts"`
	Delta    float64  `json:"delta"`
	ByLaw    bool     `json:"law"`           // the fluid law is about this scenario
	Law      *float64 `json:"law_beta"`      // β* by it; null: none, it recovers from the loss of all leases
	Beta     *float64 `json:"measured_beta"` // β at which half of the seeds are not back; null: even all leases broken are survived
	Broken   int      `json:"measured_broken"`
	Off      *float64 `json:"difference"`                 // measured over law, less 1
	Most     float64  `json:"most_beta"`                  // β of all leases
	LawBack  *float64 `json:"law_all_back_timeouts"`      // when the leases are back if all were lost; null: never
	Back     *float64 `json:"measured_all_back_timeouts"` // median of the seeds that are back
	Seeds    int      `json:"seeds"`
	Seed     uint64   `json:"seed"` // the first
}

// FindBorder solves the fluid law for a scenario and measures the border by bisection over
// B: the B at which half of the seeds are not back.
func FindBorder(ctx context.Context, runner Runner, s Scenario, o Options, seeds int) (Border, error) {
	tau := s.Timeout.Seconds()
	o.drawSeed()
	if o.Service == "" {
		o.Service = "fixed"
	}
	out := Border{
		Scenario: s.Name, Queue: s.Queue, Retry: s.Retry, Service: o.Service,
		Rho: s.Rho, Spread: s.Spread.Seconds() / tau, Wait: s.Wait.Seconds() / tau, Delta: s.Delta, Seeds: seeds, Seed: o.Seed,
	}
	if s.Outage == 0 {
		return out, &keyError{"outage", "a border needs a surge; set outage"}
	}
	workers := max(1, o.Workers)
	var law Fluid
	if law, out.ByLaw = s.fluid(workers, o.Service); out.ByLaw {
		if back, ok := law.Recovery(law.Checks); ok {
			out.LawBack = &back
		} else {
			out.Law = law.beta()
		}
	}
	s.Duration = max(s.Duration, fluidTimeouts*s.Timeout)
	f := &finder{runner, o, seeds}
	low, high := 0, s.mostBroken()
	s.Broken = high
	out.Most = s.Beta(workers)
	results, err := f.runs(ctx, s)
	if err != nil {
		return out, err
	}
	var back []float64
	for _, r := range results {
		if r.TTR != nil && !r.Verdict.Lost() {
			back = append(back, *r.TTR/tau)
		}
	}
	if len(back) > 0 {
		middle := spreadOf(back).Median
		out.Back = &middle
	}
	if !mostLost(results) {
		out.Broken = high
		return out, nil
	}
	for high-low > max(1, s.mostBroken()/1000) {
		s.Broken = (low + high) / 2
		lost, err := f.lost(ctx, s)
		if err != nil {
			return out, err
		}
		if lost {
			high = s.Broken
		} else {
			low = s.Broken
		}
	}
	s.Broken = (low + high + 1) / 2 // above low, which is survived
	out.Broken = s.Broken
	b := s.Beta(workers)
	out.Beta = &b
	if out.Law != nil {
		off := b / *out.Law - 1
		out.Off = &off
	}
	return out, nil
}

// Text is the border for a person.
func (b Border) Text() string {
	t := fmt.Sprintf("%s, %s, %s, %s services: ρ %g, spread %g τ, w %g τ, δ %g\n", b.Scenario, b.Queue, b.Retry, b.Service, b.Rho, b.Spread, b.Wait, b.Delta)
	all := func(back *float64) string {
		if back == nil {
			return "\n"
		}
		return fmt.Sprintf("; if all leases break (β %.1f) they are back after %.1f τ\n", b.Most, *back)
	}
	switch {
	case !b.ByLaw:
		t += "fluid law       not about this scenario\n"
	case b.Law == nil:
		t += "fluid law       no border" + all(b.LawBack)
	default:
		t += fmt.Sprintf("fluid law       β* %.3f", *b.Law) + all(b.LawBack)
	}
	if b.Beta == nil {
		return t + "measured        no border" + all(b.Back)
	}
	t += fmt.Sprintf("measured        β* %.3f (B = %d, half of %d seeds)", *b.Beta, b.Broken, b.Seeds) + all(b.Back)
	if b.Off != nil {
		t += fmt.Sprintf("difference      %+.1f %%\n", 100**b.Off)
	}
	return t
}
