package study

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Table is the results of a suite for a person: a line a contestant, in the order of
// scenario and parts; of several valid runs the median, with the extremes of TTR.
func Table(all []*bench.Result) string {
	rows := [][]string{{"scenario", "table", "queue", "admit", "retry", "broken", "β", "verdict", "TTR (s)", "η", "establishes/s", "wasted", "launches ok", "slip p99.9"}}
	for _, g := range groups(all) {
		r, good := g[0], g.valid()
		rows = append(rows, []string{
			r.Scenario, r.Table, r.Queue, r.Admit, r.Retry, show.Count(r.Broken), show.Dash(good.median(beta), "%.2f"), count(g.verdicts(), len(g)),
			good.spread(ttr).text(), show.Dash(good.median(efficiency), "%.2f"), show.RateOrDash(good.median(establishes)), show.Dash(percent(good.median(wasted)), "%.0f %%"),
			show.Dash(percent(good.median(launches)), "%.0f %%"), show.Dash(good.median(slip), "%.2f ms"),
		})
	}
	return show.Columns(rows) + spoiltNote(all)
}

// groups puts the runs of one contestant together.
func groups(all []*bench.Result) []sample {
	key := func(r *bench.Result) string {
		return strings.Join([]string{r.Scenario, r.Table, r.Queue, r.Admit, r.Retry, r.Then, fmt.Sprintf("%9d", r.Broken)}, "\x00")
	}
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b *bench.Result) int { return strings.Compare(key(a), key(b)) })
	var out []sample
	for i, r := range sorted {
		if i == 0 || key(r) != key(sorted[i-1]) {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

// spoiltNote says of each run of which a try is invalid how many are, and why: a line each.
func spoiltNote(all []*bench.Result) string {
	var b strings.Builder
	for _, r := range all {
		reasons := r.Spoilt
		if !r.Valid && len(reasons) == 0 {
			reasons = []string{r.Because}
		}
		if len(reasons) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s, seed %d: %d of %d tries invalid: %s\n", strings.TrimPrefix(r.Scenario+", "+strings.Join([]string{r.Queue, r.Admit, r.Retry}, "/"), ", "), r.Seed, len(reasons), max(1, r.Tries), strings.Join(reasons, "; "))
	}
	return b.String()
}

// spoiltNotes is spoiltNote of the runs of all rows, after an empty line.
func spoiltNotes(rows []CompareRow) string {
	text := ""
	for _, r := range rows {
		text += spoiltNote(r.Runs)
	}
	if text != "" {
		text = "\n" + text
	}
	return text
}
