package study

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/speed"
)

// CompareRow is a contestant over its repetitions; numbers are medians of the valid ones,
// null where there is none.
type CompareRow struct {
	Rank        *int                  `json:"rank"` // shared by those that are not told apart; null: no run is valid
	N           int                   `json:"n"`    // valid runs
	Queue       string                `json:"queue"`
	Admit       string                `json:"admit"`
	Retry       string                `json:"retry"`
	Then        string                `json:"then,omitempty"` // what the operator switched to, after the collapse
	Engine      string                `json:"engine"`
	Verdict     bench.Verdict         `json:"verdict"` // of most valid runs; invalid: none is valid
	Verdicts    map[bench.Verdict]int `json:"verdicts"`
	Collapse    Probability           `json:"collapse_probability"`
	TTR         *Spread               `json:"ttr_s"`                // null: none came back
	Rescue      *Spread               `json:"ttr_after_operator_s"` // null: nobody acted, or in vain
	Eta         *float64              `json:"efficiency"`
	Goodput     *float64              `json:"establishes_per_s"`
	Wasted      *float64              `json:"wasted_work"`
	Shed        *float64              `json:"shed"`
	Fairness    *float64              `json:"fairness"`
	P99         *float64              `json:"time_to_lease_p99_s"`
	HealthyLost *float64              `json:"healthy_lost"`
	// What an attempt costs in the parts, on one thread of the host that made the table: a
	// push and a pop; an admission and its end.
	QueueCost *speed.Cost     `json:"queue_cost"`
	AdmitCost *speed.Cost     `json:"admit_cost"`
	Runs      []*bench.Result `json:"runs"`
}

// MeasureCosts fills in what the parts cost; those that cannot be made without their
// scenario are left out.
func MeasureCosts(rows []CompareRow) {
	queues, doors := map[string]*speed.Cost{}, map[string]*speed.Cost{}
	once := func(known map[string]*speed.Cost, ref string, measure func(string) (speed.Cost, error)) *speed.Cost {
		if _, done := known[ref]; !done {
			known[ref] = nil
			if c, err := measure(ref); err == nil {
				known[ref] = &c
			}
		}
		return known[ref]
	}
	for i := range rows {
		rows[i].QueueCost = once(queues, rows[i].Queue, speed.QueueCost)
		rows[i].AdmitCost = once(doors, rows[i].Admit, speed.AdmitCost)
	}
}

func costText(c *speed.Cost) string {
	if c == nil {
		return "–"
	}
	return fmt.Sprintf("%.0f, %.2f", c.Nanoseconds, c.Allocs)
}

// Compare ranks contestants: by collapse probability, then by how many runs came back, then
// by TTR. Those of which no run is valid come last. A contestant shares the rank of the first
// before it from which tests at a level of 0.05 do not tell it apart: of the share that
// collapsed (Fisher's exact test), then of the share that came back, then of TTR among those
// that came back (the exact Mann-Whitney U test). Two contestants need 4 valid runs each, or 3
// and 5, or 2 and 8, to be told apart at all.
func Compare(all []*bench.Result) []CompareRow {
	var rows []CompareRow
	for _, runs := range groups(all) {
		rows = append(rows, compareRow(runs))
	}
	slices.SortStableFunc(rows, func(a, b CompareRow) int {
		ttr := func(r CompareRow) float64 {
			if r.TTR == nil {
				return 1e9
			}
			return r.TTR.Median
		}
		back := func(r CompareRow) float64 { // share of the valid runs
			return -float64(r.Verdicts[bench.Recovered]+r.Verdicts[bench.Healthy]) / float64(max(1, r.Collapse.N))
		}
		unknown := func(r CompareRow) int {
			if r.Collapse.N == 0 {
				return 1
			}
			return 0
		}
		return cmp.Or(unknown(a)-unknown(b), cmp.Compare(show.OrZero(a.Collapse.P), show.OrZero(b.Collapse.P)), cmp.Compare(back(a), back(b)), cmp.Compare(ttr(a), ttr(b)))
	})
	rank(rows)
	return rows
}

func compareRow(runs sample) CompareRow {
	r, good := runs[0], runs.valid()
	row := CompareRow{
		Queue: r.Queue, Admit: r.Admit, Retry: r.Retry, Then: r.Then, Engine: r.Engine, N: len(good), Runs: runs,
		Verdict: bench.Invalid, Verdicts: runs.verdicts(), Collapse: runs.collapse(), TTR: good.spread(ttr), Rescue: good.spread(rescue),
		Eta: good.median(efficiency), Goodput: good.median(establishes), Wasted: good.median(wasted), Shed: good.median(shed),
		Fairness: good.median(fairness), P99: good.median(toLeaseP99), HealthyLost: good.median(healthyLost),
	}
	for v, n := range row.Verdicts {
		most := row.Verdicts[row.Verdict]
		if v != bench.Invalid && (row.Verdict == bench.Invalid || n > most || n == most && v > row.Verdict) {
			row.Verdict = v
		}
	}
	return row
}

var compareHead = []string{"rank", "queue", "admission", "retry", "n", "verdict", "TTR (s)", "η", "establishes/s", "wasted work (%)", "shed", "fairness", "p99 time to lease (s)", "healthy leases lost", "push + pop (ns, allocations)", "admit + done (ns, allocations)"}

func (r CompareRow) fields() []string {
	return []string{r.Queue, r.Admit, r.Retry, strconv.Itoa(r.N), count(r.Verdicts, len(r.Runs)), r.TTR.text(), show.Dash(r.Eta, "%.2f"), show.RateOrDash(r.Goodput),
		show.Dash(percent(r.Wasted), "%.0f"), show.GroupOrDash(r.Shed), show.Dash(r.Fairness, "%.3f"), show.Dash(r.P99, "%.2f"), show.GroupOrDash(r.HealthyLost), costText(r.QueueCost), costText(r.AdmitCost)}
}

// CompareText is the ranked table, for a terminal or in Markdown.
func CompareText(rows []CompareRow, markdown bool) string {
	table, ranks := [][]string{compareHead}, rankTexts(rows)
	for i, r := range rows {
		table = append(table, append([]string{ranks[i]}, r.fields()...))
	}
	return tableText(table, markdown) + "\n" + rankNote(rows) + spoiltNotes(rows)
}

// WriteCompareCSV writes the rows with plain numbers.
func WriteCompareCSV(w io.Writer, rows []CompareRow) error {
	c := csv.NewWriter(w)
	_ = c.Write(strings.Fields("queue admit retry then engine verdict runs collapsed ttr_s ttr_min_s ttr_max_s efficiency establishes_per_s wasted_work shed fairness time_to_lease_p99_s healthy_lost valid_runs rank invalid_because"))
	num := func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
	for _, r := range rows {
		ttr := []string{"", "", ""}
		if r.TTR != nil {
			ttr = []string{num(r.TTR.Median), num(r.TTR.Min), num(r.TTR.Max)}
		}
		place := ""
		if r.Rank != nil {
			place = strconv.Itoa(*r.Rank)
		}
		_ = c.Write(append(append([]string{r.Queue, r.Admit, r.Retry, r.Then, r.Engine, string(r.Verdict), strconv.Itoa(len(r.Runs)), strconv.Itoa(r.Verdicts[bench.Collapsed])}, ttr...),
			orEmpty(r.Eta), orEmpty(r.Goodput), orEmpty(r.Wasted), orEmpty(r.Shed), orEmpty(r.Fairness), orEmpty(r.P99), orEmpty(r.HealthyLost), strconv.Itoa(r.N), place, strings.TrimSpace(spoiltNote(r.Runs))))
	}
	c.Flush()
	return c.Error()
}

func orEmpty(x *float64) string {
	if x == nil {
		return ""
	}
	return strconv.FormatFloat(*x, 'g', 6, 64)
}

// RemedyText has each control in place before the surge beside the same one switched on
// after the collapse.
func RemedyText(rows []CompareRow, markdown bool) string {
	type pair struct{ before, after *CompareRow }
	pairs := map[string]*pair{}
	var names []string
	for i := range rows {
		r := &rows[i]
		name := r.Then
		if name == "" {
			name = bench.Changed(r.Queue, r.Admit, r.Retry)
		}
		if pairs[name] == nil {
			pairs[name] = &pair{}
			names = append(names, name)
		}
		if r.Then == "" {
			pairs[name].before = r
		} else {
			pairs[name].after = r
		}
	}
	table := [][]string{{"control", "in place before the surge", "TTR (s)", "switched on after the collapse", "TTR after it (s)"}}
	for _, n := range names {
		row := []string{n, "–", "–", "–", "–"}
		if b := pairs[n].before; b != nil {
			row[1], row[2] = count(b.Verdicts, len(b.Runs)), b.TTR.text()
		}
		if a := pairs[n].after; a != nil {
			row[3], row[4] = count(a.Verdicts, len(a.Runs)), a.Rescue.text()
		}
		table = append(table, row)
	}
	return tableText(table, markdown) + spoiltNotes(rows)
}

// tableText is a table for a terminal, or in Markdown.
func tableText(table [][]string, markdown bool) string {
	if !markdown {
		return show.Columns(table)
	}
	var b strings.Builder
	for i, row := range table {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(slices.Repeat([]string{"---"}, len(row)), " | "))
		}
	}
	return b.String()
}

// FairnessText is what each zone got since the return: the share of its attempts that were
// answered in time, and how long a good answer took.
func FairnessText(rows []CompareRow, markdown bool) string {
	table := [][]string{{"queue", "verdict", "TTR (s)", "fairness", "zone with the surge: good, mean wait (s)", "the others: good, mean wait (s)", "healthy leases lost"}}
	for _, r := range rows {
		good := sample(r.Runs).valid()
		zones := func(own bool) string {
			var share, wait []float64
			for _, run := range good {
				for z, s := range run.Zones {
					if own == (z == 0) {
						share, wait = appendIf(share, s.Good), appendIf(wait, s.Mean)
					}
				}
			}
			return show.Dash(percent(medianOf(share)), "%.0f %%") + ", " + show.Dash(medianOf(wait), "%.3f")
		}
		table = append(table, []string{
			r.Queue, count(r.Verdicts, len(r.Runs)), r.TTR.text(), show.Dash(r.Fairness, "%.3f"), zones(true), zones(false), show.GroupOrDash(r.HealthyLost),
		})
	}
	return tableText(table, markdown) + spoiltNotes(rows)
}
