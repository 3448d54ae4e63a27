package compare

import (
	"math"
	"slices"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/measure"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// values are a measure of the runs that have it.
func values(cells []archive.Cell, m archive.Measure) (xs []float64) {
	for _, c := range cells {
		if x := m.Of(&c.Manifest.Result); x != nil {
			xs = append(xs, *x)
		}
	}
	return xs
}

// sample is what values come to; nil of none.
func sample(xs []float64, kind measure.Kind) *Sample {
	if len(xs) == 0 {
		return nil
	}
	s := &Sample{Median: middle(xs, kind), Min: slices.Min(xs), Max: slices.Max(xs), N: len(xs)}
	if kind == measure.Share {
		p := stat.Wilson(int(math.Round(s.Median*float64(s.N))), s.N)
		s.Share = &p
	}
	return s
}

// middle is the median, or the share of ones.
func middle(xs []float64, kind measure.Kind) float64 {
	if kind == measure.Share {
		return mean(xs)
	}
	return stat.Median(xs)
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(len(xs))
}

// change is that from a to b, as a share of a; of shares it is the difference. nil: a is 0.
func change(kind measure.Kind, a, b float64) *float64 {
	d := b - a
	if kind != measure.Ratio && kind != measure.Share {
		if a == 0 {
			return nil
		}
		d /= a
	}
	return &d
}

// distance is how far two values are from one another, in both directions the same: as a share of
// the larger one, or for shares the difference.
func distance(kind measure.Kind, a, b float64) float64 {
	d := math.Abs(b - a)
	if kind == measure.Ratio || kind == measure.Share || d == 0 {
		return d
	}
	return d / max(math.Abs(a), math.Abs(b))
}

// constant says that all values are one. Nothing can be tested then, and it is no test that others
// are to be corrected for.
func constant(x, y []float64) bool {
	all := slices.Concat(x, y)
	return len(all) > 0 && slices.Min(all) == slices.Max(all)
}

func virtual(cells []archive.Cell) bool {
	return !slices.ContainsFunc(cells, func(c archive.Cell) bool { return c.Manifest.Result.OnHost() })
}

// seeds are the runs by seed; nil if a seed has two.
func seeds(cells []archive.Cell) map[uint64]*archive.Result {
	all := map[uint64]*archive.Result{}
	for i := range cells {
		r := &cells[i].Manifest.Result
		if all[r.Seed] != nil {
			return nil
		}
		all[r.Seed] = r
	}
	return all
}

// same says that both sides are in virtual time, with the same seeds.
func same(p pair) bool {
	x, y := seeds(p.a), seeds(p.b)
	if !virtual(p.a) || !virtual(p.b) || x == nil || len(x) != len(y) {
		return false
	}
	for seed := range x {
		if y[seed] == nil {
			return false
		}
	}
	return true
}

// differs says whether any seed has another value on the other side.
func differs(p pair, m archive.Measure) bool {
	y := seeds(p.b)
	for seed, r := range seeds(p.a) {
		a, b := m.Of(r), m.Of(y[seed])
		if (a == nil) != (b == nil) || a != nil && *a != *b {
			return true
		}
	}
	return false
}
