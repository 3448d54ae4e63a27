package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
)

// quantity is a chart of the recovery: a column of the series, or what is made of some.
type quantity struct {
	title, unit string
	log         bool
	column      string // left out if no run has it above 0
	of          func(c archive.Cell, i int) float64
}

// step is the length in s of the series' i-th step.
func step(c archive.Cell, i int) float64 {
	t := c.Series["t_s"]
	switch {
	case i > 0:
		return t[i] - t[i-1]
	case len(t) > 1:
		return t[1] - t[0]
	}
	return t[0]
}

func rate(class, title string) quantity {
	column := "good_" + class
	return quantity{title, "good answers per second", false, column, func(c archive.Cell, i int) float64 { return c.Series[column][i] / step(c, i) }}
}

func times(column, title string) quantity {
	return quantity{title, "ms", true, column, func(c archive.Cell, i int) float64 {
		if x := 1e3 * c.Series[column][i]; x > 0 {
			return x
		}
		return math.NaN() // none was served; the axis is logarithmic
	}}
}

var quantities = []quantity{
	{"active leases", "% of all", false, "active", func(c archive.Cell, i int) float64 {
		return 100 * c.Series["active"][i] / float64(c.Manifest.Result.Leases)
	}},
	{"queue length", "attempts", false, "queued", func(c archive.Cell, i int) float64 { return c.Series["queued"][i] }},
	rate("establish", "goodput: establishes"),
	rate("check", "goodput: checks"),
	rate("launch", "goodput: launches"),
	times("sojourn_p50_s", "sojourn time, median"),
	times("sojourn_p99_s", "sojourn time, 99th percentile"),
	{"wasted work", "% of the workers' busy time", false, "wasted_work", func(c archive.Cell, i int) float64 { return 100 * c.Series["wasted_work"][i] }},
}

// recovery returns the charts of quantities over time, one line per contestant.
func recovery(all []archive.Contestant, cells []archive.Cell) Part {
	var p Part
	var common Numbers // so that all charts have the same axis
	for _, one := range all {
		common = append(common, archive.Median(one.Cells, func(archive.Cell, int) float64 { return 0 }).X...)
	}
	m := &cells[0].Manifest
	back, returned := m.Phase("return")
	for _, q := range quantities {
		if !slices.ContainsFunc(cells, func(c archive.Cell) bool {
			return slices.ContainsFunc(c.Series[q.column], func(x float64) bool { return x > 0 })
		}) {
			continue
		}
		c := Chart{Title: q.title, YLabel: q.unit, XLabel: "time since the run's start (s)", XUnit: "s", Log: q.log, Fit: q.column == "active", X: slices.Clone(common)}
		lines := make([]archive.Line, len(all))
		for k, one := range all {
			if len(one.Cells) > 0 && len(one.Cells[0].Series[q.column]) > 0 {
				lines[k] = archive.Median(one.Cells, q.of)
			}
		}
		c.join(all, lines)
		if returned {
			c.XLabel = "time since the dependency's return (s)"
			if out, ok := m.Phase("outage"); ok {
				c.Band = &Band{out - back, 0, "outage"}
			}
			c.Marks = append(c.Marks, Mark{At: 0, Text: "return"})
			if at, ok := m.Phase("operator"); ok {
				c.Marks = append(c.Marks, Mark{At: at - back, Text: "the operator acts"})
			}
		}
		if len(p.Charts) == 0 {
			for k, one := range all {
				if len(one.Cells) == 0 {
					continue
				}
				c.Marks = append(c.Marks, verdictMarks(k, one)...)
			}
		}
		p.Charts = append(p.Charts, c)
	}
	return p
}

// verdictMarks marks when a contestant's first run collapsed, and when it was back.
func verdictMarks(key int, one archive.Contestant) (all []Mark) {
	r := one.Cells[0].Manifest.Result
	if r.CollapsedAt != nil {
		all = append(all, Mark{*r.CollapsedAt, "collapsed", &key})
	}
	if r.TTR != nil && *r.TTR > 0 {
		all = append(all, Mark{*r.TTR, "back", &key})
	}
	return all
}

// join puts lines with values of x of their own on a common x, which may have more places.
func (c *Chart) join(all []archive.Contestant, lines []archive.Line) {
	for _, l := range lines {
		c.X = append(c.X, l.X...)
	}
	slices.Sort(c.X)
	c.X = slices.Compact(c.X)
	for k, l := range lines {
		if len(l.X) == 0 {
			continue
		}
		s := Series{Name: all[k].Name, Key: k, Y: c.spread(l.X, l.Y)}
		if l.Low != nil && len(all[k].Cells) > 1 {
			s.Low, s.High = c.spread(l.X, l.Low), c.spread(l.X, l.High)
		}
		c.Series = append(c.Series, s)
	}
	c.thin()
}

// spread lays y, whose places are x, out over the chart's x.
func (c *Chart) spread(x, y []float64) Numbers {
	out := make(Numbers, len(c.X))
	k := 0
	for i, at := range c.X {
		out[i] = math.NaN()
		if k < len(x) && x[k] == at {
			out[i] = y[k]
			k++
		}
	}
	return out
}

// most is the number of points that a line may have: a screen is hardly wider.
const most = 800

// thin replaces a chart of many points by one of two points per bucket: the smallest and the largest
// value of each line, in the order in which they came. So no spike is lost.
func (c *Chart) thin() {
	n := len(c.X)
	if n <= most {
		return
	}
	const buckets = most / 2
	bounds := func(b int) (from, to int) { return b * n / buckets, (b + 1) * n / buckets }
	reduce := func(y Numbers) Numbers {
		if y == nil {
			return nil
		}
		out := make(Numbers, 0, most)
		for b := range buckets {
			from, to := bounds(b)
			low, high := -1, -1
			for i := from; i < to; i++ {
				if math.IsNaN(y[i]) {
					continue
				}
				if low < 0 || y[i] < y[low] {
					low = i
				}
				if high < 0 || y[i] > y[high] {
					high = i
				}
			}
			if low < 0 {
				out = append(out, math.NaN(), math.NaN())
				continue
			}
			out = append(out, y[min(low, high)], y[max(low, high)])
		}
		return out
	}
	x := make(Numbers, 0, most)
	for b := range buckets {
		from, to := bounds(b)
		x = append(x, c.X[from], c.X[(from+to)/2])
	}
	for i, s := range c.Series {
		c.Series[i].Y, c.Series[i].Low, c.Series[i].High = reduce(s.Y), reduce(s.Low), reduce(s.High)
	}
	c.X = x
}

// latency returns the chart of latency by percentile of a class in a phase; ok is false if nothing of
// it was served. Thin lines count from the offer, the others from the intended start.
func latency(all []archive.Contestant, cells []archive.Cell, class, phase string) (c Chart, ok bool, err error) {
	f, err := archive.Latencies(cells, class, phase)
	if err != nil || len(f.Lines) == 0 {
		return c, false, err
	}
	c = Chart{
		Title:  fmt.Sprintf("latency of %s served in the %s, by percentile; thin: from the offer, not from the intended start", map[string]string{"establish": "establishes", "check": "checks"}[class], phaseName(phase)),
		XLabel: "percentile (%)", YLabel: "ms", Log: true, Nines: true,
	}
	for i := 0; i <= 100; i++ {
		c.X = append(c.X, float64(i)/20)
	}
	for i, name := range f.Names {
		key := slices.IndexFunc(all, func(o archive.Contestant) bool { return o.Name == name })
		c.Series = append(c.Series, Series{Name: name, Label: name + ", from the intended start", Key: key, Y: at(f.Lines[i], c.X)},
			Series{Name: name, Label: name + ", from the offer", Key: key, Y: at(f.Thin[i], c.X), Thin: true})
	}
	return c, true, nil
}

// phaseName is a phase in a sentence.
func phaseName(phase string) string {
	if phase == "return" {
		return "time after the return"
	}
	return phase + " state"
}

// at reads a line of percentiles at x: at each percentile the value of the first one that is not
// below it. Behind the maximum there is nothing.
func at(l archive.Line, x Numbers) Numbers {
	out := make(Numbers, len(x))
	for i, v := range x {
		k, _ := slices.BinarySearchFunc(l.X, v, func(a, b float64) int { return cmp.Compare(a, b-1e-9) })
		out[i] = math.NaN()
		if k < len(l.Y) {
			out[i] = l.Y[k]
		}
	}
	return out
}

// ramp returns the chart of goodput over load, with a line per contestant and direction.
func ramp(all []archive.Contestant, cells []archive.Cell) Chart {
	f, pairs := archive.Goodput(cells)
	c := Chart{Title: "goodput over offered load; thin: throughput, late work included", XLabel: "offered load (× capacity)", YLabel: "goodput (× capacity)"}
	if pairs {
		c.Title = "goodput over offered load; thin: load falling"
	}
	each := max(1, len(f.Lines)/max(1, len(all)))
	for _, l := range f.Lines {
		c.X = append(c.X, l.X...)
	}
	slices.Sort(c.X)
	c.X = slices.Compact(c.X)
	for i, l := range f.Lines {
		own, _, _ := strings.Cut(f.Names[i], ", load ")
		key := slices.IndexFunc(all, func(o archive.Contestant) bool { return o.Name == own })
		s := Series{Name: f.Names[i], Label: f.Names[i], Key: key, Y: c.spread(l.X, l.Y), Thin: i%each > 0}
		if l.Low != nil && each == 1 {
			s.Low, s.High = c.spread(l.X, l.Low), c.spread(l.X, l.High)
		}
		c.Series = append(c.Series, s)
		if i < len(f.Thin) {
			c.Series = append(c.Series, Series{Name: f.Names[i], Label: f.Names[i] + ", throughput", Key: key, Y: c.spread(f.Thin[i].X, f.Thin[i].Y), Thin: true})
		}
	}
	return c
}
