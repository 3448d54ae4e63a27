package study

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Table is the results of a suite for a person: a line a contestant, in the order of
// scenario and parts; of several valid runs the median, with the extremes of TTR.
func Table(all []*bench.Result) string {
	rows := [][]string{{"scenario", "table", "queue", "admit", "retry", "broken", "β", "verdict", "TTR (s)", "η", "establishes/s", "wasted", "launches ok", "slip p99.9"}}
	for _, g := range groups(all) {
		r := g[0]
		verdicts := map[bench.Verdict]int{}
		for _, r := range g {
			verdicts[r.Verdict]++
		}
		var beta, ttr, eta, goodput, wasted, slip, launches []float64
		for _, r := range valid(g) {
			beta = append(beta, r.Beta)
			ttr = appendIf(ttr, r.TTR)
			eta = appendIf(eta, r.Efficiency)
			launches = appendIf(launches, r.LaunchesOK)
			goodput = append(goodput, r.Goodput["establish"])
			wasted = append(wasted, r.WastedWork)
			slip = appendIf(slip, r.Slip.P999)
		}
		rows = append(rows, []string{
			r.Scenario, r.Table, r.Queue, r.Admit, r.Retry, fmt.Sprint(r.Broken), middle(beta, "%.2f", 1), count(verdicts, len(g)),
			spread(ttr, "%.2f"), middle(eta, "%.2f", 1), show.RateOrDash(medianOf(goodput)), middle(wasted, "%.0f %%", 100), middle(launches, "%.0f %%", 100), middle(slip, "%.2f ms", 1),
		})
	}
	return columns(rows)
}

// groups puts the runs of one contestant together.
func groups(all []*bench.Result) [][]*bench.Result {
	key := func(r *bench.Result) string {
		return strings.Join([]string{r.Scenario, r.Table, r.Queue, r.Admit, r.Retry, r.Then, fmt.Sprintf("%9d", r.Broken)}, "\x00")
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *bench.Result) int { return strings.Compare(key(a), key(b)) })
	var out [][]*bench.Result
	for i, r := range sorted {
		if i == 0 || key(r) != key(sorted[i-1]) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

// valid are the runs that the host did not spoil: only they count in a median.
func valid(all []*bench.Result) (good []*bench.Result) {
	for _, r := range all {
		if r.Valid {
			good = append(good, r)
		}
	}
	return good
}

func appendIf(xs []float64, x *float64) []float64 {
	if x != nil {
		xs = append(xs, *x)
	}
	return xs
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

func median(xs []float64) float64 {
	xs = slices.Sorted(slices.Values(xs))
	return (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2
}

// medianOf is the median, nil of nothing.
func medianOf(xs []float64) *float64 {
	if len(xs) == 0 {
		return nil
	}
	m := median(xs)
	return &m
}

func middle(xs []float64, format string, scale float64) string {
	if len(xs) == 0 {
		return "–"
	}
	return fmt.Sprintf(format, scale*median(xs))
}

// spread is the median and the extremes.
func spread(xs []float64, format string) string {
	if len(xs) < 2 {
		return middle(xs, format, 1)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median(xs), slices.Min(xs), slices.Max(xs))
}

// columns aligns cells under each other.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		line := ""
		for i, c := range row {
			line += c + strings.Repeat(" ", widths[i]-len([]rune(c))+2)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// WriteBenchmarks writes results in Go's benchmark format, a line a valid run, so that
// benchstat compares two suites as they are (golang.org/design/14313-benchmark-format).
func WriteBenchmarks(w io.Writer, all []*bench.Result) error {
	if _, err := fmt.Fprintln(w, "Unit ttr-s better=lower\nUnit wasted-% better=lower\nUnit efficiency better=higher\nUnit establish/s better=higher\nUnit slip-p999-ms better=lower"); err != nil {
		return err
	}
	for _, g := range groups(all) {
		for _, r := range valid(g) {
			line := fmt.Sprintf("Benchmark%s/table=%s/queue=%s/admit=%s/retry=%s/broken=%d 1", title(r.Scenario),
				scenario.FileName(r.Table), scenario.FileName(r.Queue), scenario.FileName(r.Admit), scenario.FileName(r.Retry), r.Broken)
			if r.TTR != nil {
				line += fmt.Sprintf(" %.3f ttr-s", *r.TTR)
			}
			if r.Efficiency != nil {
				line += fmt.Sprintf(" %.3f efficiency", *r.Efficiency)
			}
			goodput := fmt.Sprintf("%.1f", r.Goodput["establish"])
			if r.Goodput["establish"] < 9.995 {
				goodput = show.Rate(r.Goodput["establish"])
			}
			line += fmt.Sprintf(" %s establish/s %.2f wasted-%%", goodput, 100*r.WastedWork)
			if r.Slip.P999 != nil {
				line += fmt.Sprintf(" %.3f slip-p999-ms", *r.Slip.P999)
			}
			if _, err := fmt.Fprintln(w, line); err != nil {
				return err
			}
		}
	}
	return nil
}

// title is a scenario's name as the name of a benchmark begins.
func title(name string) string {
	out := ""
	for word := range strings.SplitSeq(name, "-") {
		if word != "" {
			out += strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return out
}
