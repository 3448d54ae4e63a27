package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Threshold is the largest surge that a contestant survives: a bisection on B for each
// seed, and what they come to.
type Threshold struct {
	Contestant string   `json:"contestant"`
	Engine     string   `json:"engine"`
	Beta       *Spread  `json:"beta"`      // over the seeds; null: it survives even all leases broken at once
	Most       float64  `json:"most_beta"` // β of all leases
	BatchLaw   float64  `json:"batch_law_beta"`
	FluidLaw   *float64 `json:"fluid_law_beta"` // null: by the law there is none, or it is not about this
	Runs       int      `json:"runs"`
}

// Thresholds bisects for each contestant (queue, queue/admit or queue/admit/retry) and seed.
// On the real engine one run comes after the other, each bisection to a twentieth; on the
// virtual one to a two hundredth. Beside an error stand the contestants that were finished.
func Thresholds(ctx context.Context, s Scenario, contestants []string, o SimOptions, seeds int, real bool) ([]Threshold, error) {
	if s.Outage == 0 {
		return nil, &keyError{"outage", "a threshold needs a surge; set outage"}
	}
	s.Duration = max(s.Duration, 60*s.Timeout)
	all := make([]Threshold, len(contestants))
	betas := make([][]float64, len(contestants))
	var mu sync.Mutex
	scenarios := make([]Scenario, len(contestants))
	for i, c := range contestants {
		if err := ctx.Err(); err != nil {
			return nil, err // the laws take their time
		}
		scenarios[i] = s
		if err := contest(&scenarios[i], c); err != nil {
			return nil, err
		}
		if err := scenarios[i].Validate(); err != nil {
			return nil, err
		}
		t := &all[i]
		t.Contestant, t.Engine, t.BatchLaw = c, "virtual", batchLaw(&scenarios[i])
		if real {
			t.Engine = "real"
		}
		every := scenarios[i]
		every.Broken = every.Leases
		t.Most = betaOf(&every, max(1, o.Workers))
		t.FluidLaw, _ = scenarios[i].fluidLaw(max(1, o.Workers), o.Service)
	}
	bisect := func(ctx context.Context, i int, seed uint64) error {
		tolerance := 0.005
		run := func(broken int) (lost bool, beta float64, err error) {
			x := scenarios[i]
			x.Broken = broken
			opts := o
			opts.Seed, opts.Folder, opts.Progress = seed, "", nil
			var res *Result
			for range invalidTries {
				res, err = runOn(ctx, real, x, opts)
				if err != nil || res.Valid {
					break
				}
			}
			if err != nil {
				return false, 0, err
			}
			mu.Lock()
			all[i].Runs++
			mu.Unlock()
			return res.Verdict.Lost() || res.Verdict == Invalid, res.Beta, nil
		}
		low, high := 0, s.Leases
		if real {
			tolerance = 0.05
			high = min(high, 4*s.Broken+1)
		}
		lost, beta, err := run(high)
		if err != nil || !lost {
			return err
		}
		survived := 0.0
		for float64(high-low) > max(1, tolerance*float64(high)) {
			mid := (low + high) / 2
			l, b, err := run(mid)
			if err != nil {
				return err
			}
			if l {
				high, beta = mid, b
			} else {
				low, survived = mid, b
			}
		}
		mu.Lock()
		betas[i] = append(betas[i], (survived+beta)/2)
		mu.Unlock()
		return nil
	}
	finished := make([]int, len(contestants)) // seeds
	one := func(ctx context.Context, n int) error {
		err := bisect(ctx, n/seeds, o.Seed+uint64(n%seeds))
		if err == nil {
			mu.Lock()
			finished[n/seeds]++
			mu.Unlock()
		}
		return err
	}
	var err error
	if real {
		for n := 0; n < len(contestants)*seeds && err == nil; n++ {
			err = one(ctx, n)
		}
	} else {
		err = parallel(ctx, len(contestants)*seeds, one)
	}
	for i := range all {
		slices.Sort(betas[i])
		if 2*len(betas[i]) > seeds {
			all[i].Beta = spreadOf(betas[i])
		}
	}
	if err != nil {
		whole := all[:0]
		for i, t := range all {
			if finished[i] == seeds {
				whole = append(whole, t)
			}
		}
		all = whole
	}
	return all, err
}

// invalidTries is how often a run that the host spoilt is made again.
const invalidTries = 3

// ThresholdText is a table of thresholds.
func ThresholdText(all []Threshold) string {
	rows := [][]string{{"contestant", "engine", "largest β survived", "batch law", "over it", "fluid law", "over it", "runs"}}
	for _, t := range all {
		row := []string{t.Contestant, t.Engine, fmt.Sprintf("all leases (%.1f)", t.Most), fmt.Sprintf("%.2f", t.BatchLaw), "–", orDash(t.FluidLaw, "%.2f"), "–", fmt.Sprint(t.Runs)}
		if t.Beta != nil {
			row[2] = t.Beta.text()
			row[4] = fmt.Sprintf("%+.0f %%", 100*(t.Beta.Median/t.BatchLaw-1))
			if t.FluidLaw != nil {
				row[6] = fmt.Sprintf("%+.1f %%", 100*(t.Beta.Median / *t.FluidLaw - 1))
			}
		}
		rows = append(rows, row)
	}
	return columns(rows)
}
