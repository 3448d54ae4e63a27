package study

import (
	"cmp"
	"context"
	"fmt"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/bisect"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

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

// BorderTimeouts is how long after the return, in timeouts, a run of a border should go on: as long
// as the law looks.
const BorderTimeouts = law.FluidTimeouts

// FindBorder solves the fluid law for a scenario and measures the border by bisection over
// B: the B at which half of the seeds are not back.
func FindBorder(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, n int) (Border, error) {
	tau := s.Timeout.Seconds()
	o.Seed = bench.DrawSeed(o.Seed)
	out := Border{
		Scenario: s.Name, Queue: s.Queue, Retry: s.Retry, Service: cmp.Or(s.ServiceLaw, scenario.FixedServices),
		Rho: s.Rho, Spread: s.Spread.Seconds() / tau, Wait: s.Wait.Seconds() / tau, Delta: s.Delta, Seeds: n, Seed: o.Seed,
	}
	if s.Outage == 0 {
		return out, scenario.Bad("outage", "a border needs a surge; set outage")
	}
	if x, err := scenario.Fit(s, 1); err == nil {
		out.Rho = x.Rho
	}
	var fluid law.Fluid
	if fluid, out.ByLaw = law.Of(&s); out.ByLaw {
		if back, ok := fluid.Recovery(fluid.Checks); ok {
			out.LawBack = &back
		} else {
			out.Law = fluid.BorderBeta()
		}
	}
	inTimeouts := func(r *bench.Result) *float64 {
		if r.TTR == nil {
			return nil
		}
		t := *r.TTR / tau
		return &t
	}
	most := s.MostBroken()
	s.Broken = most
	out.Most = s.Beta()
	edge, found, err := bisect.Find(most, bisect.Tolerance{Within: max(1, float64(most/1000))}, func(broken int) (bool, error) {
		s.Broken = broken
		all, err := seeds(ctx, runner, s, unrecorded(o), n)
		if broken == most {
			out.Back = sample(all).back().median(inTimeouts)
		}
		if err != nil {
			return false, err
		}
		return sample(all).lost()
	})
	if err != nil {
		return out, err
	}
	if !found {
		out.Broken = most
		return out, nil
	}
	s.Broken = (edge.Survived + edge.Lost + 1) / 2 // above what is survived
	out.Broken = s.Broken
	b := s.Beta()
	out.Beta = &b
	if out.Law != nil {
		off := b / *out.Law - 1
		out.Off = &off
	}
	return out, nil
}

// Text is the border for a person.
func (b Border) Text() string {
	t := fmt.Sprintf("%s, %s, %s, %s services: ρ %.4g, spread %.4g τ, w %.4g τ, δ %.4g\n", b.Scenario, b.Queue, b.Retry, b.Service, b.Rho, b.Spread, b.Wait, b.Delta)
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
	t += fmt.Sprintf("measured        β* %.3f (B = %s, half of %d seeds)", *b.Beta, show.Count(b.Broken), b.Seeds) + all(b.Back)
	if b.Off != nil {
		t += fmt.Sprintf("difference      %+.1f %%\n", 100**b.Off)
	}
	return t
}
