package report

import (
	"fmt"
	"strings"

	"github.com/leasestorm/leasestorm/bench/compare"
)

// Comparison is the page of a comparison. command makes it again.
func Comparison(c *compare.Comparison, command string) *Page {
	p := &Page{Title: c.B + " compared with " + c.A, Summary: []string{c.Verdict()}, Damaged: c.Problems, Commands: []Fact{{"This comparison again", command}}}
	for _, line := range c.Unlike {
		p.Alerts = append(p.Alerts, "Unlike, and compared all the same: "+line)
	}
	p.Host = []Fact{{"A, the base", c.A}, {"B", c.B}, {"A/A envelope", "none"}}
	if c.Envelope != "" {
		p.Host[2].Text = c.Envelope
	}
	var at *Section
	for _, rows := range c.Groups() {
		if name := rows[0].Experiment; at == nil || at.Name != name {
			p.Sections = append(p.Sections, Section{Name: name, Title: name, Text: append(c.Method(), c.Notes...), Tables: []Table{{
				Title: name + ": A is " + c.A + ", B is " + c.B,
				Columns: []Column{
					{"contestant", true}, {"measure", true}, {"A", false}, {"B", false}, {"change", false}, {"real", true}, {"p", false}, {"p, corrected", false}, {"n", true}, {"remarks", true},
				},
			}}})
			at = &p.Sections[len(p.Sections)-1]
		}
		better, worse := 0, 0
		for _, r := range rows {
			at.Tables[0].Rows = append(at.Tables[0].Rows, compared(&r))
			switch r.Mark() {
			case "better":
				better++
			case "worse":
				worse++
			}
		}
		v := Verdict{Name: rows[0].Contestant, Text: "no real difference"}
		if better+worse > 0 {
			v.Text = fmt.Sprintf("%d better, %d worse", better, worse)
			v.Class = map[bool]string{true: "bad", false: "good"}[worse > 0]
		}
		at.Verdicts = append(at.Verdicts, v)
	}
	return p
}

// compared is a row of a comparison's table.
func compared(r *compare.Row) []Entry {
	f := r.Fields()
	mark := word(f[4])
	mark.Class += map[string]string{"better": " good", "worse": " bad"}[f[4]]
	median := func(s *compare.Sample) *float64 {
		if s == nil {
			return nil
		}
		return &s.Median
	}
	p := func(x *float64) Entry {
		if x == nil {
			return number(nil, "–")
		}
		return number(x, fmt.Sprintf("%.2g", *x))
	}
	why := ""
	switch {
	case r.Exact:
		why = "exact: virtual time, the same seeds"
	case r.Holm != nil && *r.Holm <= 0.05 && !r.Real:
		_, why, _ = strings.Cut(f[5], ", ")
	}
	return []Entry{word(r.Contestant), word(f[0]), number(median(r.A), f[1]), number(median(r.B), f[2]), number(r.Change, f[3]), mark, p(r.P), p(r.Holm), word(f[6]), remark(why)}
}
