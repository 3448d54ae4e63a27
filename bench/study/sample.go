package study

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// sample is runs of one cell: one scenario and contestant, over seeds. All that is made of
// several runs is read from it.
type sample []*bench.Result

// measure is a figure of a run; nil: the run has none.
type measure func(r *bench.Result) *float64

// The measures that a sample is read for.
var (
	beta        measure = func(r *bench.Result) *float64 { return &r.Beta }
	ttr         measure = func(r *bench.Result) *float64 { return r.TTR }
	rescue      measure = func(r *bench.Result) *float64 { return r.Rescue }
	efficiency  measure = func(r *bench.Result) *float64 { return r.Efficiency }
	establishes measure = func(r *bench.Result) *float64 { x := r.Goodput["establish"]; return &x }
	wasted      measure = func(r *bench.Result) *float64 { return r.WastedWork }
	shed        measure = func(r *bench.Result) *float64 { x := float64(r.Shed); return &x }
	fairness    measure = func(r *bench.Result) *float64 { return r.Fairness }
	toLeaseP99  measure = func(r *bench.Result) *float64 { return r.TimeToLease.P99 }
	healthyLost measure = func(r *bench.Result) *float64 { x := float64(r.HealthyLost); return &x }
	launches    measure = func(r *bench.Result) *float64 { return r.LaunchesOK }
	idle        measure = func(r *bench.Result) *float64 { return r.IdleShare }
	slip        measure = func(r *bench.Result) *float64 { return r.Slip.P999 }
)

// keep are the runs for which a condition holds.
func (s sample) keep(holds func(r *bench.Result) bool) (kept sample) {
	for _, r := range s {
		if holds(r) {
			kept = append(kept, r)
		}
	}
	return kept
}

// valid are the runs that the host did not spoil: only they count in a median.
func (s sample) valid() sample { return s.keep(func(r *bench.Result) bool { return r.Valid }) }

// back are the runs that came back.
func (s sample) back() sample { return s.keep(func(r *bench.Result) bool { return !r.Verdict.Lost() }) }

// mostLost says whether half of the runs are not back.
func (s sample) mostLost() bool { return 2*(len(s)-len(s.back())) >= len(s) }

// lost says whether half of the valid runs are not back. Without a valid run there is no answer.
func (s sample) lost() (bool, error) {
	good := s.valid()
	if len(good) == 0 && len(s) > 0 {
		return false, fmt.Errorf("%w: %s", errSpoilt, s[0].Because)
	}
	return good.mostLost(), nil
}

// values are a measure of the runs that have it.
func (s sample) values(of measure) (xs []float64) {
	for _, r := range s {
		xs = appendIf(xs, of(r))
	}
	return xs
}

func (s sample) median(of measure) *float64 { return medianOf(s.values(of)) }
func (s sample) spread(of measure) *Spread  { return spreadOf(s.values(of)) }

// verdicts counts the runs by verdict.
func (s sample) verdicts() map[bench.Verdict]int {
	n := map[bench.Verdict]int{}
	for _, r := range s {
		n[r.Verdict]++
	}
	return n
}

// collapse is the collapse probability: of the valid runs.
func (s sample) collapse() Probability {
	good := s.valid()
	return stat.Wilson(good.verdicts()[bench.Collapsed], len(good))
}

// Probability is a share with its 95 % interval.
type Probability = stat.Probability

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

// spreadOf is the spread, nil of nothing.
func spreadOf(xs []float64) *Spread {
	m := medianOf(xs)
	if m == nil {
		return nil
	}
	return &Spread{Median: *m, Min: slices.Min(xs), Max: slices.Max(xs), N: len(xs)}
}

// medianOf is the median, nil of nothing.
func medianOf(xs []float64) *float64 {
	if len(xs) == 0 {
		return nil
	}
	m := stat.Median(xs)
	return &m
}

func appendIf(xs []float64, x *float64) []float64 {
	if x != nil {
		xs = append(xs, *x)
	}
	return xs
}

func percent(x *float64) *float64 {
	if x == nil {
		return nil
	}
	y := 100 * *x
	return &y
}

// count says how many runs had which verdict.
func count(verdicts map[bench.Verdict]int, n int) string {
	var words []string
	for _, v := range []bench.Verdict{bench.Healthy, bench.Recovered, bench.Degraded, bench.Collapsed, bench.Invalid} {
		switch k := verdicts[v]; {
		case k > 0 && n == 1:
			return string(v)
		case k > 0:
			words = append(words, fmt.Sprintf("%s %d of %d", v, k, n))
		}
	}
	return strings.Join(words, ", ")
}
