// Package require reads what is required of runs, as in
//
//	queue=deadline: verdict==recovered, ttr<8s, wasted_work<5%
//	from 2τ after the return: establish goodput >= 60 %
//	share(recovered) >= 0.9, p50(ttr) < 8s
//
// A line is a requirement; so is what stands between semicolons. It has a contestant (none: all), a
// time window (none: the whole run) and conditions, of which each must hold.
package require

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/leasestorm/leasestorm/bench/internal/measure"
)

// Requirement is what is required of the runs of some contestants.
type Requirement struct {
	Text   string
	Select [][2]string // keys of a run, with the values that they must have
	Window *Window     // nil: the whole run
	Conds  []Condition
}

// Window is a part of a run.
type Window struct {
	Text     string
	From, To Time // To without a unit: until the recovery, or the end of the run
	Steady   bool // before the outage
}

// Time is a time after the dependency's return.
type Time struct {
	X    float64
	Unit string // s, or τ: timeouts
}

// Seconds is the time in s, for a timeout in s.
func (t Time) Seconds(timeout float64) float64 {
	if t.Unit == tau {
		return float64(t.X * timeout)
	}
	return t.X
}

const tau = "τ"

// Condition is one comparison.
type Condition struct {
	Text string
	// Over is how several runs are taken together: "" (each run by itself), p50 and the like, min, max,
	// mean, or share (of the runs for which Inner holds).
	Over    string
	Measure measure.Measure
	Verdict string // with Op == or !=; empty: Measure is compared
	Op      string
	Value   float64 // in s, per s, or a share
	Unit    string  // τ: in timeouts; %: of a Load, in shares of capacity
	Inner   *Condition
}

// Error says what is wrong with a requirement, and where.
type Error struct {
	Line   string
	Number int // of the line, from 1
	Column int // in characters, from 1
	What   string
}

func (e *Error) Error() string {
	at := fmt.Sprintf("column %d", e.Column)
	if e.Number > 1 {
		at = fmt.Sprintf("line %d, %s", e.Number, at)
	}
	return fmt.Sprintf("%s: %s\n  %s\n  %s^", at, e.What, e.Line, strings.Repeat(" ", e.Column-1))
}

// Parse reads requirements. An error is an *Error.
func Parse(text string) (all []Requirement, err error) {
	for i, line := range strings.Split(text, "\n") {
		line = strings.Map(printable, strings.TrimRight(line, "\r"))
		at := 0
		for _, piece := range strings.SplitAfter(line, ";") {
			p := parser{line: line, number: i + 1}
			body := strings.TrimSuffix(piece, ";")
			if strings.TrimSpace(body) != "" {
				r, err := p.requirement(body, at)
				if err != nil {
					return nil, err
				}
				all = append(all, r)
			}
			at += len(piece)
		}
	}
	if len(all) == 0 {
		return nil, &Error{Line: text, Number: 1, Column: 1, What: "there is no requirement: want one as in ttr<8s"}
	}
	return all, nil
}

// printable takes the place of a control character: a scenario of somebody else must not reach the
// terminal by way of an error.
func printable(r rune) rune {
	if r != '\t' && unicode.IsControl(r) {
		return unicode.ReplacementChar
	}
	return r
}

type parser struct {
	line   string
	number int
}

// bad is the error at an offset of the line, in bytes.
func (p *parser) bad(at int, format string, args ...any) error {
	at = min(at, len(p.line))
	return &Error{Line: p.line, Number: p.number, Column: utf8.RuneCountInString(p.line[:at]) + 1, What: fmt.Sprintf(format, args...)}
}

// trim leaves out spaces, and moves the offset.
func trim(text string, at int) (string, int) {
	left := strings.TrimLeft(text, " \t")
	return strings.TrimRight(left, " \t"), at + len(text) - len(left)
}

// heading ends with a colon and a space: a part's parameters have colons, too.
var heading = regexp.MustCompile(`:\s`)

func (p *parser) requirement(text string, at int) (r Requirement, err error) {
	r.Text = strings.TrimSpace(text)
	for {
		end := heading.FindStringIndex(text)
		if end == nil {
			break
		}
		head, start := trim(text[:end[0]], at)
		if strings.HasPrefix(head, "from ") || strings.HasPrefix(head, "in ") {
			if r.Window != nil {
				return r, p.bad(start, "%q: a second time window", head)
			}
			r.Window, err = p.window(head, start)
		} else {
			if r.Select != nil || r.Window != nil {
				return r, p.bad(start, "%q: want the contestant, then a time window, then conditions", head)
			}
			r.Select, err = p.selection(head, start)
		}
		if err != nil {
			return r, err
		}
		text, at = text[end[1]:], at+end[1]
	}
	for _, piece := range strings.SplitAfter(text, ",") {
		c, err := p.condition(strings.TrimSuffix(piece, ","), at, r.Window != nil, false)
		if err != nil {
			return r, err
		}
		r.Conds = append(r.Conds, c)
		at += len(piece)
	}
	return r, nil
}

// selectable are the keys that a contestant is named by.
var selectable = []string{"scenario", "queue", "admit", "retry", "table", "then", "broken", "engine"}

func (p *parser) selection(text string, at int) (all [][2]string, err error) {
	for _, w := range regexp.MustCompile(`\S+`).FindAllStringIndex(text, -1) {
		word := text[w[0]:w[1]]
		k, v, ok := strings.Cut(word, "=")
		v = strings.TrimSuffix(v, ",")
		if !ok || v == "" || strings.HasPrefix(v, "=") {
			return nil, p.bad(at+w[0], "%q: want a contestant as in queue=deadline, or a time window as in from 2τ after the return", word)
		}
		if !slices.Contains(selectable, k) {
			return nil, p.bad(at+w[0], "%q is no key of a contestant: there are %s", k, strings.Join(selectable, ", "))
		}
		all = append(all, [2]string{k, v})
	}
	return all, nil
}

var (
	windowForm = regexp.MustCompile(`^from\s+(\S+)(?:\s+to\s+(\S+))?\s+after the return$`)
	timeForm   = regexp.MustCompile(`^([0-9.eE+-]+)(τ|tau|ms|s|min|h)$`)
)

func (p *parser) window(text string, at int) (*Window, error) {
	if text == "in the steady state" {
		return &Window{Text: text, Steady: true}, nil
	}
	m := windowForm.FindStringSubmatchIndex(text)
	if m == nil {
		return nil, p.bad(at, "%q: want a time window as in from 2τ after the return, from 2τ to 10s after the return, or in the steady state", text)
	}
	w := &Window{Text: text}
	for i, t := range []*Time{&w.From, &w.To} {
		from, to := m[2*i+2], m[2*i+3]
		if from < 0 {
			continue
		}
		parts := timeForm.FindStringSubmatch(text[from:to])
		if parts == nil {
			return nil, p.bad(at+from, "%q: want a time with its unit, as in 8s, 500ms or 2τ (timeouts)", text[from:to])
		}
		x, err := strconv.ParseFloat(parts[1], 64)
		if err != nil || !(x >= 0 && x <= 1e9) {
			return nil, p.bad(at+from, "%q is not a time after the return", text[from:to])
		}
		*t = Time{X: x, Unit: tau}
		if unit := parts[2]; unit != tau && unit != "tau" {
			one, _ := time.ParseDuration("1" + strings.Replace(unit, "min", "m", 1)) // units of the pattern
			*t = Time{X: x * one.Seconds(), Unit: "s"}
		}
	}
	if w.To.Unit == w.From.Unit && w.To.X <= w.From.X {
		return nil, p.bad(at+m[4], "the window ends before it begins")
	}
	return w, nil
}
