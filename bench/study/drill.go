package study

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// DrillScore is how a runbook did.
type DrillScore struct {
	Runbook     scenario.Runbook `json:"runbook"`
	Verdict     bench.Verdict    `json:"verdict"`
	Score       *float64         `json:"last_lease_back_s"` // from the first step; null: not all came back
	Shed        uint64           `json:"shed"`
	HealthyLost int              `json:"healthy_lost"`
	Result      *bench.Result    `json:"result"`
}

// Drill plays a runbook on a scenario that has collapsed by its first step.
func Drill(ctx context.Context, runner bench.Runner, s scenario.Scenario, b scenario.Runbook, o bench.Options) (*DrillScore, error) {
	o.Runbook = &b
	res, err := runner.Run(ctx, s, o)
	if err != nil {
		return nil, err
	}
	return &DrillScore{Runbook: b, Verdict: res.Verdict, Score: res.Rescue, Shed: res.Shed, HealthyLost: res.HealthyLost, Result: res}, nil
}

// SearchRunbook tries runbooks of throttle and restarts in batches, and returns them with the best first: by the time to the last lease back. If ctx ends it,
// those that were tried are returned beside its error.
func SearchRunbook(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, first time.Duration) ([]DrillScore, error) {
	var books []scenario.Runbook
	for _, share := range []float64{1, 0.5, 0.25, 0.1} {
		for _, every := range []float64{0.25, 0.5, 1, 2} { // timeouts
			for _, throttle := range []float64{0, 0.5, 0.7, 0.8, 0.9, 1, 1.2} {
				for _, rounds := range []int{1, 2, 3} {
					books = append(books, batches(first, s.Timeout, share, every, throttle, rounds))
				}
			}
		}
	}
	o.Seed = bench.DrawSeed(o.Seed) // one for all of them
	all := make([]DrillScore, len(books))
	at, _ := atOnce(runner, s)
	err := each(ctx, runner, at, len(books), 1, func(ctx context.Context, i int) error {
		score, err := Drill(ctx, runner, s, books[i], o)
		if err == nil {
			all[i] = *score
		}
		return err
	})
	all = slices.DeleteFunc(all, func(d DrillScore) bool { return d.Result == nil }) // interrupted
	slices.SortStableFunc(all, func(a, b DrillScore) int {
		of := func(d DrillScore) float64 {
			if d.Score == nil {
				return 1e9
			}
			return *d.Score
		}
		return cmp.Or(cmp.Compare(of(a), of(b)), cmp.Compare(len(a.Runbook.Steps), len(b.Runbook.Steps)))
	})
	return all, err
}

// batches is a runbook: throttle, then restart a share of the queue at a time until all of
// it was, so many rounds, then relax.
func batches(first, timeout time.Duration, share, every, throttle float64, rounds int) scenario.Runbook {
	b := scenario.Runbook{Name: fmt.Sprintf("share%g-every%g-throttle%g-rounds%d", share, every, throttle, rounds)}
	add := func(at time.Duration, do string, value float64) {
		b.Steps = append(b.Steps, scenario.Step{At: at.String(), Do: do, Value: value, After: at})
	}
	if throttle > 0 {
		add(first, "throttle", throttle)
	}
	at := first
	for range rounds {
		k := max(1, int(1/share+.5))
		for i := range k {
			add(at, "restart", 1/float64(k-i)) // of what is left, so that each partition's is alike
			at += time.Duration(every * float64(timeout))
		}
	}
	b.About = fmt.Sprintf("restart %g of the queue every %g timeouts, %d rounds; throttle %g of capacity (0: none)", share, every, rounds, throttle)
	return b
}

// Text is the score for a person.
func (d *DrillScore) Text() string {
	return fmt.Sprintf("%s: %s; the last lease is back %s after the first step; %s attempts shed, %s healthy leases lost\n",
		d.Runbook.Name, d.Verdict, show.Dash(d.Score, "%.2f s"), show.Count(d.Shed), show.Count(d.HealthyLost))
}

// DrillTable is the best so many, the worst that worked, and how many did not.
func DrillTable(all []DrillScore, best int) string {
	rows := [][]string{{"rank", "last lease back (s)", "shed", "healthy lost", "runbook"}}
	worked := 0
	for _, d := range all {
		if d.Score != nil {
			worked++
		}
	}
	for i, d := range all {
		if i < min(best, worked) || i == worked-1 {
			rows = append(rows, []string{fmt.Sprint(i + 1), show.Dash(d.Score, "%.2f"), show.Count(d.Shed), show.Count(d.HealthyLost), d.Runbook.About})
		}
	}
	return show.Columns(rows) + fmt.Sprintf("%d of %d runbooks did not bring all leases back\n", len(all)-worked, len(all))
}
