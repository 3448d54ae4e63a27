package study

import (
	"context"
	"fmt"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Repetition is a contestant over several seeds: a verdict is a probability.
type Repetition struct {
	Runs     []*bench.Result       `json:"runs"`
	Verdicts map[bench.Verdict]int `json:"verdicts"`
	Collapse Probability           `json:"collapse_probability"` // of the valid runs
	TTR      *Spread               `json:"ttr_s"`                // of those that came back; null: none did
}

// Repeat runs a scenario over n seeds: o.Seed, o.Seed+1, …; if o.Seed is 0, the first is
// random. Each run has a folder of its own in o.Folder, named by its seed. Beside an error
// stands what was finished.
func Repeat(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, n int) (*Repetition, error) {
	o.Seed = bench.DrawSeed(o.Seed)
	all, err := seeds(ctx, runner, s, o, n)
	return repetition(all), err
}

func repetition(all sample) *Repetition {
	return &Repetition{Runs: all, Verdicts: all.verdicts(), Collapse: all.collapse(), TTR: all.valid().spread(ttr)}
}

// Text is the repetition for a person.
func (rep *Repetition) Text() string {
	var b strings.Builder
	b.WriteString(Table(rep.Runs))
	c := rep.Collapse
	fmt.Fprintf(&b, "\nverdicts: %s\ncollapse probability %s (95 %%: %.2f to %.2f; %d of %d valid runs)\n", count(rep.Verdicts, len(rep.Runs)), show.Dash(c.P, "%.2f"), c.Low, c.High, c.K, c.N)
	if t := rep.TTR; t != nil {
		fmt.Fprintf(&b, "TTR %.2f s (%.2f to %.2f; n = %d)\n", t.Median, t.Min, t.Max, t.N)
	}
	return b.String()
}
