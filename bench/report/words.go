package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// outcome is what became of a contestant over its runs.
type outcome struct {
	name     string
	runs     int // valid ones
	verdicts []string
	counts   map[string]int
	ttr      spread // s; of the runs that came back
	result   []archive.Result
}

// spread is a median with the extremes, of n values.
type spread struct {
	median, low, high float64
	n                 int
}

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	return spread{stat.Median(values), slices.Min(values), slices.Max(values), len(values)}
}

// pointer is the median for those who sort; nil if there is none.
func (s spread) pointer() *float64 {
	if s.n == 0 {
		return nil
	}
	return &s.median
}

// text writes the median, and the extremes if they differ.
func (s spread) text(format string) string {
	switch {
	case s.n == 0:
		return "–"
	case s.n == 1 || s.low == s.high:
		return fmt.Sprintf(format, s.median)
	}
	return fmt.Sprintf(format+" ("+format+"–"+format+")", s.median, s.low, s.high)
}

// outcomes is what became of each contestant.
func outcomes(all []archive.Contestant) []outcome {
	var out []outcome
	for _, c := range all {
		o := outcome{name: c.Name, counts: map[string]int{}}
		var ttr []float64
		for _, cell := range c.Cells {
			r := cell.Manifest.Result
			o.result = append(o.result, r)
			if r.Valid {
				o.runs++
			}
			if o.counts[r.Verdict]++; o.counts[r.Verdict] == 1 {
				o.verdicts = append(o.verdicts, r.Verdict)
			}
			if r.TTR != nil && r.Valid {
				ttr = append(ttr, *r.TTR)
			}
		}
		o.ttr = spreadOf(ttr)
		slices.SortStableFunc(o.verdicts, func(a, b string) int { return cmp.Compare(o.counts[b], o.counts[a]) })
		out = append(out, o)
	}
	return out
}

// of gathers a value over the valid runs; nil values are left out.
func (o *outcome) of(value func(archive.Result) *float64) spread {
	var all []float64
	for _, r := range o.result {
		if x := value(r); x != nil && r.Valid {
			all = append(all, *x)
		}
	}
	return spreadOf(all)
}

// verdict writes the verdicts with their counts: "collapsed 2 of 3, recovered 1 of 3".
func (o *outcome) verdict() string {
	if len(o.result) == 1 {
		return o.verdicts[0]
	}
	var all []string
	for _, v := range o.verdicts {
		all = append(all, fmt.Sprintf("%s %d of %d", v, o.counts[v], len(o.result)))
	}
	return strings.Join(all, ", ")
}

// class says whether a contestant survived: good if every run did, bad if none did.
func (o *outcome) class() string {
	switch good := o.counts["recovered"] + o.counts["healthy"]; {
	case good == len(o.result):
		return "good"
	case o.counts["collapsed"]+o.counts["invalid"] > 0:
		return "bad"
	}
	return ""
}

// seconds writes a time of seconds with two or three digits.
func seconds(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f s", x)
	case x >= 10:
		return fmt.Sprintf("%.1f s", x)
	}
	return fmt.Sprintf("%.2f s", x)
}

// sentences say what happened in an experiment: what it was, and what became of whom.
func sentences(cells []archive.Cell, all []outcome) []string {
	m := &cells[0].Manifest
	r := m.Result
	first := show.Count(r.Leases) + " leases"
	if r.Engine != "target" {
		first += fmt.Sprintf(", %d worker%s", r.Workers, show.Plural(r.Workers))
	}
	if beta := spreadOf(betas(cells)); r.Broken > 0 && beta.median > 0 {
		first = fmt.Sprintf("%s of %s leases were broken when the dependency returned; serving them once takes the spare capacity %.1f timeouts (β = %s)",
			show.Count(r.Broken), show.Count(r.Leases), beta.median, beta.text("%.2f"))
	}
	switch r.Engine {
	case "target":
		first += "; asked of " + m.Target.Client.URL
	case "real":
		first += fmt.Sprintf("; on %d core%s of this host, in real time", m.Host.Cores, show.Plural(m.Host.Cores))
	default:
		first += "; in virtual time"
	}
	first += "."
	if len(r.Points) > 0 {
		return []string{first, "The load rises step by step: the chart shows the goodput at each."}
	}
	if len(all) == 1 {
		return []string{first, alone(&all[0])}
	}
	var dead, safe []string
	var back []outcome
	for _, o := range all {
		switch {
		case o.counts["collapsed"] == len(o.result):
			dead = append(dead, o.name)
		case o.counts["healthy"] == len(o.result):
			safe = append(safe, o.name)
		case o.counts["recovered"] == len(o.result) && o.ttr.n > 0:
			back = append(back, o)
		}
	}
	slices.SortStableFunc(back, func(a, b outcome) int { return cmp.Compare(a.ttr.median, b.ttr.median) })
	var parts []string
	if len(back) > 0 {
		text := fmt.Sprintf("First with all leases back: %s, after %s", back[0].name, seconds(back[0].ttr.median))
		if n := len(back) - 1; n == 1 {
			text += fmt.Sprintf("; then %s after %s", back[1].name, seconds(back[1].ttr.median))
		} else if n > 1 {
			text += fmt.Sprintf("; then %d others between %s and %s", n, seconds(back[1].ttr.median), seconds(back[n].ttr.median))
		}
		parts = append(parts, text)
	}
	if len(dead) > 0 {
		parts = append(parts, some(dead)+" collapsed")
	}
	if len(safe) > 0 {
		parts = append(parts, some(safe)+" stayed healthy")
	}
	if rest := len(all) - len(back) - len(dead) - len(safe); rest > 0 {
		parts = append(parts, fmt.Sprintf("%d other%s: see the verdicts", rest, show.Plural(rest)))
	}
	if len(parts) == 0 {
		return []string{first}
	}
	return []string{first, strings.Join(parts, "; ") + "."}
}

// alone is what became of an experiment's only contestant.
func alone(o *outcome) string {
	r := o.result[0]
	text := o.name + ": " + o.verdict()
	switch wasted := o.of(func(r archive.Result) *float64 { return r.WastedWork }); {
	case o.ttr.n > 0 && o.ttr.median > 0:
		text += ", all leases back after " + seconds(o.ttr.median)
		if r.Rescue != nil {
			text += fmt.Sprintf(", %s after the operator acted", seconds(*r.Rescue))
		}
	case r.CollapsedAt != nil:
		text += fmt.Sprintf(" %s after the return", seconds(*r.CollapsedAt))
		if wasted.n > 0 { // a service that is not ours does not say
			text += fmt.Sprintf("; %.0f %% of the work after it was wasted on answers that came too late", 100*wasted.median)
		}
	case r.Verdict == "healthy":
		text += fmt.Sprintf(", never fewer than %s leases active", show.Count(r.ActiveMin))
	}
	return text + "."
}

// some lists up to four names, and counts the others.
func some(names []string) string {
	const most = 4
	if len(names) == 1 {
		return names[0]
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d others", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func betas(cells []archive.Cell) (all []float64) {
	for _, c := range cells {
		if c.Manifest.Result.Valid {
			all = append(all, c.Manifest.Result.Beta)
		}
	}
	return all
}

// contestantTable has a row per contestant, of medians and extremes.
func contestantTable(title string, all []outcome) Table {
	t := Table{Title: title, Columns: []Column{
		{"contestant", true}, {"verdict", true}, {"runs", false}, {"TTR (s)", false}, {"η", false}, {"wasted work (%)", false}, {"establishes/s", false},
		{"p99 time to lease (s)", false}, {"healthy leases lost", false}, {"shed", false}, {"fairness", false}, {"β", false}, {"slip p99.9 (ms)", false}, {"remarks", true},
	}}
	measure := func(name string, scale float64) func(r archive.Result) *float64 {
		m, _ := archive.FindMeasure(name)
		return func(r archive.Result) *float64 {
			x := m.Of(&r)
			if x != nil {
				scaled := scale * *x
				x = &scaled
			}
			return x
		}
	}
	for _, o := range all {
		runs := float64(o.runs)
		row := []Entry{word(o.name), word(o.verdict()), number(&runs, fmt.Sprint(o.runs))}
		for _, c := range []struct {
			format string
			value  func(r archive.Result) *float64
		}{
			{"%.2f", measure("ttr", 1)}, {"%.2f", measure("efficiency", 1)}, {"%.1f", measure("wasted_work", 100)}, {"%.0f", measure("goodput", 1)},
			{"%.2f", measure("time_to_lease_p99", 1)}, {"%.0f", measure("healthy_lost", 1)}, {"%.0f", measure("shed", 1)}, {"%.3f", measure("fairness", 1)},
			{"%.2f", func(r archive.Result) *float64 { return &r.Beta }}, {"%.2f", measure("slip_p999", 1e3)},
		} {
			s := o.of(c.value)
			row = append(row, number(s.pointer(), s.text(c.format)))
		}
		row[3].Text = o.ttr.text("%.2f")
		t.Rows = append(t.Rows, append(row, remark(o.remarks())))
	}
	return t
}

// remarks says what a reader must know of a contestant's runs.
func (o *outcome) remarks() string {
	var all []string
	noisy, why := 0, ""
	for _, r := range o.result {
		if !r.Valid {
			all = append(all, fmt.Sprintf("seed %d invalid: %s", r.Seed, r.Why))
		}
		if len(r.Noisy) > 0 {
			noisy++
			why = cmp.Or(why, r.Noisy[0])
		}
	}
	if noisy > 0 {
		all = append(all, fmt.Sprintf("%d of %d noisy: %s", noisy, len(o.result), why))
	}
	return strings.Join(all, "; ")
}
