package compare

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/measure"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// Head is the head of a comparison's table.
var Head = []string{"measure", "A", "B", "change", "", "p", "n"}

// Same says that all values of both sides are one.
func (r *Row) Same() bool { return r.A != nil && r.B != nil && constant(r.x, r.y) }

// Fields are the texts of a row, under Head.
func (r *Row) Fields() []string {
	what := r.Measure
	if r.Unit != "" {
		what += " (" + r.Unit + ")"
	}
	return []string{what, r.side(r.A), r.side(r.B), r.ChangeText(), r.Mark(), r.PText(), r.nText()}
}

// side is a sample: the median with the extremes, or a share with its interval.
func (r *Row) side(s *Sample) string {
	switch {
	case s == nil:
		return "–"
	case s.Share != nil:
		return fmt.Sprintf("%.0f %% (%.0f–%.0f)", 100*s.Median, 100*s.Share.Low, 100*s.Share.High)
	case s.N == 1 || s.Min == s.Max:
		return r.value(s.Median)
	}
	return fmt.Sprintf("%s (%s–%s)", r.value(s.Median), r.value(s.Min), r.value(s.Max))
}

func (r *Row) value(x float64) string {
	switch r.measure.Kind {
	case measure.Ratio, measure.Share:
		return fmt.Sprintf("%.4g %%", 100*x)
	case measure.Rate, measure.Number:
		return show.Rate(x)
	case measure.Seconds, measure.Load:
	}
	return fmt.Sprintf("%.3g", x)
}

// ChangeText is the change; of shares in points.
func (r *Row) ChangeText() string {
	if r.A == nil || r.B == nil {
		return "–"
	}
	if r.Change == nil {
		if r.B.Median == 0 {
			return "0"
		}
		return "from 0"
	}
	unit, digits := "%", "%+.1f "
	if k := r.measure.Kind; k == measure.Ratio || k == measure.Share {
		unit = "points"
	}
	if *r.Change != 0 && math.Abs(*r.Change) < 0.0005 {
		digits = "%+.1g "
	}
	return fmt.Sprintf(digits, 100**r.Change) + unit
}

// Mark says whether the difference is real: worse or better, ~ where it is not known to be, = where
// there is none.
func (r *Row) Mark() string {
	switch {
	case r.Real && (r.A == nil || r.B == nil):
		return "differs"
	case r.Real && r.Worse:
		return "worse"
	case r.Real && r.Change != nil && *r.Change == 0 && mean(r.x) == mean(r.y):
		return "differs"
	case r.Real:
		return "better"
	case r.Exact || r.Same():
		return "="
	}
	return "~"
}

// Why says in words why the difference of a row is real, or is not.
func (r *Row) Why() string {
	switch {
	case r.A == nil && r.B == nil:
		return "no valid run has the measure"
	case r.Exact && r.Real:
		return "exact: virtual time, the same seeds"
	case r.Exact:
		return "exact: no difference"
	case r.A == nil:
		return "no valid run in A has the measure"
	case r.B == nil:
		return "no valid run in B has the measure"
	case r.P == nil:
		return "all values are the same"
	case r.Real && r.Envelope != nil:
		return "the corrected p is at most alpha, and the change is outside the A/A envelope"
	case r.Real:
		return "the corrected p is at most alpha"
	case r.blind:
		return "too few runs to show a difference in so many tests"
	case *r.Holm <= Alpha:
		return "inside the A/A envelope"
	}
	return "the corrected p is above alpha"
}

// MarshalJSON adds to a row's fields its mark, and why it has it.
func (r Row) MarshalJSON() ([]byte, error) {
	type fields Row
	return json.Marshal(struct {
		fields
		Mark string `json:"mark"`
		Why  string `json:"why"`
	}{fields(r), r.Mark(), r.Why()})
}

// PText is p of the test, and why a difference that it calls one is none.
func (r *Row) PText() string {
	switch {
	case r.Exact:
		return "exact"
	case r.P == nil:
		return "–"
	}
	text := fmt.Sprintf("%.3f", *r.P)
	if *r.P < 0.0005 {
		text = fmt.Sprintf("%.1g", *r.P)
	}
	if r.Holm != nil && *r.P <= stat.Alpha {
		text += fmt.Sprintf(" (%.2g)", *r.Holm)
		if *r.Holm <= Alpha && !r.Real {
			text += fmt.Sprintf(", inside A/A ±%.1f %%", 100**r.Envelope)
		}
	}
	return text
}

func (r *Row) nText() string {
	n := func(s *Sample) int {
		if s == nil {
			return 0
		}
		return s.N
	}
	if n(r.A) == n(r.B) {
		return fmt.Sprint(n(r.A))
	}
	return fmt.Sprintf("%d + %d", n(r.A), n(r.B))
}

// Text is the comparison for a terminal.
func (c *Comparison) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "A: %s\nB: %s\n", c.A, c.B)
	for _, line := range c.Unlike {
		fmt.Fprintf(&b, "UNLIKE, compared all the same: %s\n", line)
	}
	for _, line := range c.Problems {
		fmt.Fprintf(&b, "warning: %s\n", line)
	}
	for i, rows := range c.Groups() {
		if i == 0 || rows[0].Experiment != "" {
			fmt.Fprintf(&b, "\n%s: %s\n", rows[0].Experiment, rows[0].Contestant)
		}
		table, same := [][]string{Head}, []string{}
		for _, r := range rows {
			if r.Same() && r.Measure != "collapsed" {
				same = append(same, r.Measure)
				continue
			}
			table = append(table, r.Fields())
		}
		if len(table) > 1 {
			b.WriteString(show.Columns(table))
		}
		if len(same) > 0 {
			fmt.Fprintf(&b, "the same in all runs of both: %s\n", strings.Join(same, ", "))
		}
	}
	fmt.Fprintf(&b, "\n%s\n", c.Verdict())
	for _, line := range append(c.Method(), c.Notes...) {
		fmt.Fprintln(&b, line)
	}
	return b.String()
}

// Groups are the rows by contestant.
func (c *Comparison) Groups() (all [][]Row) {
	for i, r := range c.Rows {
		if i == 0 || r.Experiment != c.Rows[i-1].Experiment || r.Contestant != c.Rows[i-1].Contestant {
			all = append(all, nil)
		}
		all[len(all)-1] = append(all[len(all)-1], r)
	}
	return all
}

// Verdict counts what is real.
func (c *Comparison) Verdict() string {
	better, worse, other := 0, 0, 0
	for _, r := range c.Rows {
		switch r.Mark() {
		case "better":
			better++
		case "worse":
			worse++
		case "differs":
			other++
		}
	}
	n := better + worse + other
	if n == 0 {
		return fmt.Sprintf("No difference is real, of %d measures.", len(c.Rows))
	}
	text := fmt.Sprintf("%d of %d differences %s real: %d better in B, %d worse", n, len(c.Rows), map[bool]string{true: "is", false: "are"}[n == 1], better, worse)
	if other > 0 {
		text += fmt.Sprintf(", %d neither", other)
	}
	return text + "."
}

// Method says what the marks mean.
func (c *Comparison) Method() []string {
	var lines []string
	if c.Tests > 0 {
		lines = append(lines, fmt.Sprintf("Medians (extremes); shares with 95 %% intervals. p: Mann-Whitney U; after it, p corrected for all %d tests (Holm).", c.Tests),
			fmt.Sprintf("worse, better: the difference is real at α = %g. ~: not known to be real. =: no difference.", c.Alpha))
	}
	if c.Envelope != "" && c.Tests > 0 {
		lines = append(lines, "No change inside the A/A envelope of "+c.Envelope+" is called real.")
	}
	for _, only := range []struct {
		dir   string
		names []string
	}{{c.A, c.OnlyA}, {c.B, c.OnlyB}} {
		if len(only.names) > 0 {
			lines = append(lines, fmt.Sprintf("Only in %s: %s.", only.dir, strings.Join(only.names, ", ")))
		}
	}
	return lines
}

// Regressions are the real changes for the worse that are larger than most: of a value as a share of
// A's, of a share in points/100.
func (c *Comparison) Regressions(most float64) (all []Row) {
	for _, r := range c.Rows {
		if r.Real && r.Worse && (r.Change == nil || math.Abs(*r.Change) > most) {
			all = append(all, r)
		}
	}
	return all
}

// Blind names the contestants of which no difference can be real: they have too few runs for so many
// tests. all says that it is every contestant.
func (c *Comparison) Blind() (names []string, all bool) {
	groups := c.Groups()
	for _, rows := range groups {
		if slices.ContainsFunc(rows, func(r Row) bool { return r.blind }) && !slices.ContainsFunc(rows, func(r Row) bool { return r.P != nil && !r.blind }) {
			names = append(names, rows[0].Experiment+" "+rows[0].Contestant)
		}
	}
	return names, len(names) == len(groups)
}

// Line is a row in one line.
func (r *Row) Line() string {
	f := r.Fields()
	p := "p " + f[5]
	if r.Exact {
		p = "exact"
	}
	return fmt.Sprintf("%s %s: %s %s → %s, %s (%s, n %s)", r.Experiment, r.Contestant, f[0], f[1], f[2], f[3], p, f[6])
}
