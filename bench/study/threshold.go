package study

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/bisect"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Threshold is the largest surge that a contestant survives: a bisection on B for each
// seed, and what they come to.
type Threshold struct {
	Contestant string   `json:"contestant"`
	Engine     string   `json:"engine"`
	Seed       uint64   `json:"seed"`         // the first
	Beta       *Spread  `json:"beta"`         // over the seeds; one that survived all that was tried is a lower bound. null: no seed counts
	Most       float64  `json:"most_beta"`    // β of all leases
	Tried      int      `json:"tried_broken"` // leases: the largest surge tried
	All        bool     `json:"tried_all"`    // that is all leases that can break
	BatchLaw   float64  `json:"batch_law_beta"`
	FluidLaw   *float64 `json:"fluid_law_beta"` // null: by the law there is none, or it is not about this
	Runs       int      `json:"runs"`
	Invalid    int      `json:"invalid_seeds"` // that do not count: the host spoilt each try of a run
}

// bound is what a bisection found about a seed.
type bound struct {
	beta    float64
	above   bool // it survived all that was tried: its threshold is above beta
	invalid bool // nothing is known
}

// bisectBroken looks between no lease and high for the largest surge that is survived, to a
// tolerance that is a share of it.
func bisectBroken(high int, tolerance float64, tries int, run func(broken int) (*bench.Result, error)) (bound, error) {
	var survived, lost float64 // β of the last ones
	_, found, err := bisect.Find(high, bisect.Tolerance{Share: tolerance, Within: 1}, func(broken int) (bool, error) {
		for range tries {
			res, err := run(broken)
			switch {
			case err != nil:
				return false, err
			case !res.Valid:
				continue
			case res.Verdict.Lost():
				lost = res.Beta
			default:
				survived = res.Beta
			}
			return res.Verdict.Lost(), nil
		}
		return false, errSpoilt
	})
	switch {
	case errors.Is(err, errSpoilt):
		return bound{invalid: true}, nil
	case err != nil:
		return bound{invalid: true}, err
	case !found:
		return bound{beta: survived, above: true}, nil
	}
	return bound{beta: (survived + lost) / 2}, nil
}

// errSpoilt ends a bisection: the host spoilt each try of a run.
var errSpoilt = errors.New("the host spoilt each try of a run; make it quiet")

// bisectionRuns is about how many runs a bisection to a two hundredth takes. Once it has ended, its number is
// known.
const bisectionRuns = 9

// ThresholdTimeouts is how long after the return, in timeouts, a run of a threshold should go on.
const ThresholdTimeouts = 60

// Thresholds bisects for each contestant (queue, queue/admit or queue/admit/retry) and seed.
// Where runs must be alone one comes after the other, each bisection to a twentieth; else to
// a two hundredth. Beside an error stand the contestants that were finished.
func Thresholds(ctx context.Context, runner bench.Runner, s scenario.Scenario, contestants []string, o bench.Options, seeds int, progress func(done, of int)) ([]Threshold, error) {
	if s.Outage == 0 {
		return nil, scenario.Bad("outage", "a threshold needs a surge; set outage")
	}
	o.Seed = bench.DrawSeed(o.Seed)
	tolerance, most := 0.005, s.MostBroken()
	if runner.Alone() {
		tolerance, most = 0.05, min(s.MostBroken(), 4*s.Broken+1)
	}
	tries := invalidTries
	if _, ok := runner.(*Memory); ok {
		tries = 1 // it has made them again already
	}
	all := make([]Threshold, len(contestants))
	bounds := make([][]bound, len(contestants))
	var mu sync.Mutex
	scenarios := make([]scenario.Scenario, len(contestants))
	for i, c := range contestants {
		if err := ctx.Err(); err != nil {
			return nil, err // the laws take their time
		}
		scenarios[i] = s
		if err := scenarios[i].Contest(c); err != nil {
			return nil, err
		}
		scenarios[i].Broken = min(s.Broken, s.MostBroken())
		if err := scenarios[i].Validate(); err != nil {
			return nil, err
		}
		t := &all[i]
		t.Contestant, t.Engine, t.Seed, t.Tried, t.BatchLaw = c, runner.Name(), o.Seed, most, law.Batch(&scenarios[i])
		t.All = most == scenarios[i].MostBroken()
		every := scenarios[i]
		every.Broken = every.MostBroken()
		t.Most = every.Beta()
		t.FluidLaw, _ = law.Beta(&scenarios[i])
	}
	bisect := func(ctx context.Context, i int, seed uint64) error {
		runs := 0
		found, err := bisectBroken(most, tolerance, tries, func(broken int) (*bench.Result, error) {
			x, opts := scenarios[i], unrecorded(o)
			x.Broken = broken
			opts.Seed = seed
			runs++
			return runner.Run(ctx, x, opts)
		})
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		all[i].Runs += runs
		bounds[i] = append(bounds[i], found)
		return nil
	}
	finished := make([]int, len(contestants)) // seeds
	done := 0                                 // bisections
	one := func(ctx context.Context, n int) error {
		err := bisect(ctx, n/seeds, seedAt(o.Seed, n%seeds))
		if err == nil {
			mu.Lock()
			finished[n/seeds]++
			if done++; progress != nil {
				progress(done, len(contestants)*seeds)
			}
			mu.Unlock()
		}
		return err
	}
	at, _ := atOnce(runner, s)
	err := each(ctx, runner, at, len(contestants)*seeds, bisectionRuns, one)
	for i := range all {
		all[i].sum(bounds[i])
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

// sum takes the seeds together.
func (t *Threshold) sum(bounds []bound) {
	var betas []float64
	above := 0
	for _, b := range bounds {
		switch {
		case b.invalid:
			t.Invalid++
			continue
		case b.above:
			above++
		}
		betas = append(betas, b.beta)
	}
	if t.Beta = spreadOf(betas); t.Beta != nil {
		t.Beta.Above = above
	}
}

// invalidTries is how often a run that the host spoilt is made again.
const invalidTries = 3

// ThresholdText is a table of thresholds.
func ThresholdText(all []Threshold) string {
	rows := [][]string{{"contestant", "engine", "largest β survived", "batch law", "over it", "fluid law", "over it", "runs"}}
	for _, t := range all {
		row := []string{t.Contestant, t.Engine, t.Beta.text(), fmt.Sprintf("%.2f", t.BatchLaw), "–", show.Dash(t.FluidLaw, "%.2f"), "–", fmt.Sprint(t.Runs)}
		switch b := t.Beta; {
		case b == nil:
		case b.Above == b.N && t.All:
			row[2] = fmt.Sprintf("all leases (%.1f)", t.Most)
		case b.Above == b.N:
			row[2] += fmt.Sprintf(", %s leases, the most tried", show.Count(t.Tried))
		case !b.bound():
			row[4] = fmt.Sprintf("%+.0f %%", 100*(b.Median/t.BatchLaw-1))
			if t.FluidLaw != nil {
				row[6] = fmt.Sprintf("%+.1f %%", 100*(b.Median / *t.FluidLaw - 1))
			}
		}
		if t.Invalid > 0 {
			row[7] += fmt.Sprintf(", %d seeds invalid", t.Invalid)
		}
		rows = append(rows, row)
	}
	return show.Columns(rows)
}
