package study

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
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

// Probability is a share with its 95 % interval (E. B. Wilson, JASA 22, 1927).
type Probability struct {
	P    *float64 `json:"p"` // null of no trials
	Low  float64  `json:"low"`
	High float64  `json:"high"`
	K    int      `json:"k"`
	N    int      `json:"n"`
}

// Spread is a median with its extremes.
type Spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
	// Above is how many of the N, the largest, are known as lower bounds only. Max is such a
	// bound then, and so is a median that is made of one.
	Above int `json:"above,omitempty"`
}

// bound says whether the median is a lower bound.
func (s *Spread) bound() bool { return s.Above > s.N-1-s.N/2 }

func spreadOf(xs []float64) *Spread {
	if len(xs) == 0 {
		return nil
	}
	return &Spread{Median: median(xs), Min: slices.Min(xs), Max: slices.Max(xs), N: len(xs)}
}

func (s *Spread) text() string {
	if s == nil {
		return "–"
	}
	at := func(x float64, bound bool) string {
		if bound {
			return fmt.Sprintf("≥ %.2f", x)
		}
		return fmt.Sprintf("%.2f", x)
	}
	middle := at(s.Median, s.bound())
	if s.N == 1 {
		return middle
	}
	return fmt.Sprintf("%s (%s–%s)", middle, at(s.Min, s.Above == s.N), at(s.Max, s.Above > 0))
}

// Wilson is the score interval of k successes in n trials.
func Wilson(k, n int) Probability {
	if n == 0 {
		return Probability{High: 1}
	}
	const z = 1.959964 // 97.5 % of a normal distribution
	p, m := float64(k)/float64(n), float64(n)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Probability{P: &p, Low: max(0, centre-half), High: min(1, centre+half), K: k, N: n}
}

// Repeat runs a scenario over seeds o.Seed, o.Seed+1, …; if o.Seed is 0, the first is
// random. Each run has a folder of its own in o.Folder, named by its seed.
func Repeat(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, seeds int) (*Repetition, error) {
	rep := &Repetition{Verdicts: map[bench.Verdict]int{}}
	base := o.Folder
	o.Seed = bench.DrawSeed(o.Seed)
	for i := range seeds {
		run := o
		run.Seed = seedAt(o.Seed, i)
		if base != "" {
			run.Folder = filepath.Join(base, fmt.Sprintf("s%d", run.Seed))
		}
		res, err := runner.Run(ctx, s, run)
		if errors.Is(err, bench.ErrFiles) {
			rep.Runs = append(rep.Runs, res)
		}
		if err != nil {
			rep.sum()
			return rep, err
		}
		o.Say("%d of %d: %s, TTR %s", i+1, seeds, res.Verdict, show.Dash(res.TTR, "%.2f s"))
		rep.Runs = append(rep.Runs, res)
	}
	rep.sum()
	return rep, nil
}

// seedAt is the seed of the i-th repetition. It leaves out 0, which asks for a random seed.
func seedAt(first uint64, i int) uint64 {
	seed := first + uint64(i)
	if seed < first {
		seed++ // beyond the largest seed comes 1
	}
	return seed
}

func (rep *Repetition) sum() {
	for _, r := range rep.Runs {
		rep.Verdicts[r.Verdict]++
	}
	good := valid(rep.Runs)
	var ttr []float64
	for _, r := range good {
		ttr = appendIf(ttr, r.TTR)
	}
	rep.Collapse = Wilson(rep.Verdicts[bench.Collapsed], len(good))
	rep.TTR = spreadOf(ttr)
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
