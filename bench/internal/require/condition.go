package require

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/measure"
)

var (
	compared = regexp.MustCompile(`(<=|>=|==|!=|<|>|≤|≥|=)`)
	overForm = regexp.MustCompile(`^([a-z0-9]+)\s*\((.*)\)$`)
	quantile = regexp.MustCompile(`^p(\d{1,2})$`)
	number   = regexp.MustCompile(`^([0-9][0-9_]*\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+)\s*(.*)$`)
)

// condition reads one. Of inner ones, those of share(…), a verdict's name is one, too.
func (p *parser) condition(text string, at int, window, inner bool) (c Condition, err error) {
	text, at = trim(text, at)
	c.Text = text
	if text == "" {
		return c, p.bad(at, "a condition is missing: want one as in ttr<8s")
	}
	if inner && slices.Contains(measure.Verdicts, text) {
		if window {
			return c, p.bad(at, "a verdict is one of the whole run: leave out the time window")
		}
		c.Verdict, c.Op = text, "=="
		return c, nil
	}
	ops := compared.FindAllStringIndex(text, -1)
	if len(ops) == 0 {
		return c, p.bad(at+len(text), "%q: want a comparison: one of <, <=, >, >=, ==, !=", text)
	}
	op := ops[0]
	if strings.HasPrefix(text, "share") { // its inside has one of its own, perhaps
		op = ops[len(ops)-1]
	}
	c.Op = strings.NewReplacer("≤", "<=", "≥", ">=").Replace(text[op[0]:op[1]])
	if c.Op == "=" {
		return c, p.bad(at+op[0], "= compares nothing: write ==")
	}
	left, leftAt := trim(text[:op[0]], at)
	right, rightAt := trim(text[op[1]:], at+op[1])
	if m := overForm.FindStringSubmatchIndex(left); m != nil {
		if inner {
			return c, p.bad(leftAt, "%q: a function stands outside only", left)
		}
		c.Over = left[m[2]:m[3]]
		body, bodyAt := left[m[4]:m[5]], leftAt+m[4]
		switch {
		case c.Over == "share":
			in, err := p.condition(body, bodyAt, window, true)
			if err != nil {
				return c, err
			}
			c.Inner, c.Measure = &in, measure.Measure{Name: "share", Kind: measure.Share}
			return p.value(c, right, rightAt)
		case quantile.MatchString(c.Over) || slices.Contains([]string{"min", "max", "mean"}, c.Over):
		default:
			return c, p.bad(leftAt, "%q: there are p50 and other percentiles of the runs, min, max, mean and share", c.Over)
		}
		left, leftAt = trim(body, bodyAt)
	}
	return p.comparison(c, left, leftAt, right, rightAt, window)
}

// comparison is that of a verdict or a measure with a value.
func (p *parser) comparison(c Condition, left string, leftAt int, right string, rightAt int, window bool) (Condition, error) {
	if left == "verdict" {
		switch {
		case window:
			return c, p.bad(leftAt, "a verdict is one of the whole run: leave out the time window")
		case c.Over != "":
			return c, p.bad(leftAt, "a verdict is no number: share(recovered) counts runs")
		case c.Op != "==" && c.Op != "!=":
			return c, p.bad(leftAt, "a verdict is compared with == or !=")
		case !slices.Contains(measure.Verdicts, right):
			return c, p.bad(rightAt, "%q is no verdict: there are %s", right, strings.Join(measure.Verdicts, ", "))
		}
		c.Verdict = right
		return c, nil
	}
	all := measure.Runs
	if window {
		all = measure.Windows
	}
	var ok bool
	if c.Measure, ok = measure.Find(all, strings.Join(strings.Fields(left), "_")); !ok {
		names := []string{}
		for _, m := range all {
			names = append(names, m.Name)
		}
		if !window {
			names = append(names, "verdict")
		}
		return c, p.bad(leftAt, "%q is no measure: there are %s", left, strings.Join(names, ", "))
	}
	return p.value(c, right, rightAt)
}

// units are those that a kind's values may have, with what one is.
var units = map[measure.Kind]map[string]float64{
	measure.Seconds: {"s": 1, "ms": 1e-3, "µs": 1e-6, "us": 1e-6, "min": 60, "h": 3600, tau: 1, "tau": 1},
	measure.Rate:    {"": 1, "/s": 1, "1/s": 1},
	measure.Number:  {"": 1},
	measure.Ratio:   {"": 1, "%": 0.01},
	measure.Share:   {"": 1, "%": 0.01},
	measure.Load:    {"/s": 1, "1/s": 1, "%": 0.01},
}

// wanted says how such a value is written.
var wanted = map[measure.Kind]string{
	measure.Seconds: "a time with its unit, as in 8s, 500ms or 2τ (timeouts)", measure.Rate: "a number per second, as in 600 or 600/s",
	measure.Number: "a number, as in 1000", measure.Ratio: "a share, as in 5% or 0.05", measure.Share: "a share, as in 90% or 0.9",
	measure.Load: "a share of capacity or a rate, as in 60% or 600/s",
}

func (p *parser) value(c Condition, text string, at int) (Condition, error) {
	kind := c.Measure.Kind
	m := number.FindStringSubmatch(text)
	if m == nil {
		return c, p.bad(at, "%q: want %s", text, wanted[kind])
	}
	x, err := strconv.ParseFloat(strings.ReplaceAll(m[1], "_", ""), 64)
	one, ok := units[kind][m[2]]
	if err != nil || !ok {
		return c, p.bad(at, "%q: want %s", text, wanted[kind])
	}
	c.Value = x * one
	switch m[2] {
	case tau, "tau":
		c.Unit = tau
	case "%":
		c.Unit = "%"
	}
	if (kind == measure.Ratio || kind == measure.Share) && c.Value > 1 {
		return c, p.bad(at, "%q is more than all: want %s", text, wanted[kind])
	}
	return c, nil
}

// Holds says whether the comparison holds for a value.
func (c *Condition) Holds(x float64) bool {
	switch c.Op {
	case "<":
		return x < c.Value
	case "<=":
		return x <= c.Value
	case ">":
		return x > c.Value
	case ">=":
		return x >= c.Value
	case "==":
		return x == c.Value
	}
	return x != c.Value
}

// Quantile is the share of the runs that Over asks for, as 0.5 of p50. ok is false of another one.
func (c *Condition) Quantile() (q float64, ok bool) {
	m := quantile.FindStringSubmatch(c.Over)
	if m == nil {
		return 0, false
	}
	n, err := strconv.Atoi(m[1])
	return float64(n) / 100, err == nil
}

// Show is a value as the condition has it: in its unit.
func (c *Condition) Show(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "never"
	case c.Measure.Kind == measure.Ratio, c.Measure.Kind == measure.Share, c.Unit == "%":
		return fmt.Sprintf("%.4g %%", 100*x)
	case c.Measure.Unit() != "":
		return fmt.Sprintf("%.4g %s", x, strings.Replace(c.Measure.Unit(), "1/s", "/s", 1))
	}
	return fmt.Sprintf("%.10g", x)
}
