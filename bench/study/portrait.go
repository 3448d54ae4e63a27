package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// ErrNoPart is wrapped by the error for a name that no part has.
var ErrNoPart = errors.New("no such part")

// Portrait is what a part is and does: its catalog entry, its border, and a run of the surge.
type Portrait struct {
	Kind   string  `json:"kind"` // one of PartKinds
	What   string  `json:"what"` // the kind, for a person
	Name   string  `json:"name"`
	Doc    string  `json:"doc"`
	Source string  `json:"source"`
	Clock  bool    `json:"real_engine_only"`
	Params []Param `json:"parameters"`

	Contestant string  `json:"contestant"` // the part among the plain ones; empty: it changes nothing that is run
	Border     *Border `json:"border"`     // nil: there is no run
	Drawing    *Course `json:"surge"`      // nil: there is no run
}

// Param is a parameter of a part with its unit and its default.
type Param struct {
	Name    string `json:"name"`
	Unit    string `json:"unit"`
	Default string `json:"default"`
	Bounds  string `json:"bounds"`
	Doc     string `json:"doc"`
}

// Course is a run of the surge at its steps.
type Course struct {
	Step    float64       `json:"step_s"`
	From    float64       `json:"outage_from_s"`
	To      float64       `json:"outage_to_s"`
	Lost    []int         `json:"lost"` // leases, at the end of each step
	Queued  []int         `json:"queued"`
	Verdict bench.Verdict `json:"verdict"`
	TTR     *float64      `json:"ttr_s"`
	Wasted  float64       `json:"wasted_work"`
	Leases  int           `json:"leases"`
	Broken  int           `json:"broken"`
	Beta    float64       `json:"beta"`
}

// PartKinds are the kinds of parts, as in "queue/edf".
var PartKinds = []string{"queue", "wrapper", "admit", "estimator", "retry", "table"}

// Portraits returns what is known of all parts that a name stands for, without a run: "edf" is a
// discipline and a wrapper, "queue/edf" is one of them, and "coalesce+deadline" is two parts. A
// name may have parameters. Errors wrap ErrNoPart or catalog.ErrParam.
func Portraits(name string) ([]Portrait, error) {
	kind, ref, picked := strings.Cut(name, "/")
	if !picked {
		kind, ref = "", name
	}
	outer, rest, composed := strings.Cut(ref, "+")
	controller, estimator := admit.Parts(ref)
	if admit.Validate(controller) != nil {
		estimator = "" // the plus is a discipline's
	}
	switch {
	case estimator != "" && (kind == "" || kind == "admit"):
		return composition(admit.Validate(ref), "admit/"+controller, "estimator/"+estimator, "fifo/"+ref+"/retry-after")
	case composed && (kind == "" || kind == "queue"):
		return composition(queue.Validate(ref), "wrapper/"+outer, "queue/"+rest, ref)
	}
	var all []Portrait
	var last error
	for _, k := range PartKinds {
		if kind != "" && k != kind {
			continue
		}
		p, err := portrait(k, ref)
		switch {
		case err == nil:
			all = append(all, p)
		case last == nil || errors.Is(err, catalog.ErrParam):
			last = err
		}
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, unknown(name, last)
}

// composition returns what is known of two parts, one around the other. It is drawn once, behind what it
// is made of.
func composition(err error, outer, inner, contestant string) ([]Portrait, error) {
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoPart, err)
	}
	all, err := Portraits(outer)
	if err != nil {
		return nil, err
	}
	rest, err := Portraits(inner)
	if err != nil {
		return nil, err
	}
	all = append(all, rest...)
	for i := range all {
		all[i].Contestant = ""
	}
	all[len(all)-1].Contestant = contestant
	return all, nil
}

func unknown(name string, err error) error {
	if errors.Is(err, catalog.ErrParam) {
		return err
	}
	return fmt.Errorf("%w: %q is no discipline, wrapper, controller, Retry-After estimator, retry policy or table; a kind before it picks one: %s; 'leasestorm list' has the names", ErrNoPart, name, strings.Join(PartKinds, "/, ")+"/")
}

// portrait is what a catalog says of one of its parts.
func portrait(kind, ref string) (Portrait, error) {
	switch kind {
	case "queue":
		return entry(queue.Catalog, kind, "queue discipline", ref, ref)
	case "wrapper":
		around := ref + "+fifo"
		if queue.Validate(around) != nil {
			around = ref + "+deadline"
		}
		return entry(queue.Wrappers, kind, "queue wrapper", ref, around)
	case "admit":
		return entry(admit.Controllers, kind, "admission controller", ref, "fifo/"+ref+"/retry-after")
	case "estimator":
		return entry(admit.Estimators, kind, "Retry-After estimator", ref, "fifo/limit+"+ref+"/retry-after")
	case "retry":
		return entry(admit.Retries, kind, "retry policy", ref, "fifo/none/"+ref)
	}
	return entry(lease.Catalog, kind, "lease table", ref, "")
}

func entry[F any](parts *catalog.Catalog[F], kind, what, ref, contestant string) (Portrait, error) {
	e, v, err := parts.Resolve(ref)
	if err != nil {
		return Portrait{}, err
	}
	p := Portrait{Kind: kind, What: what, Name: ref, Doc: e.Doc, Source: e.Source, Clock: e.HostClock, Contestant: contestant}
	for _, d := range e.Params {
		doc := d.Doc
		if x := v[d.Name]; x != d.Default {
			doc += "; here " + d.Format(x)
		}
		unit := d.Unit
		if unit == "1" {
			unit = ""
		}
		p.Params = append(p.Params, Param{d.Name, unit, d.Format(d.Default), d.Bounds(), doc})
	}
	return p, nil
}

// Of the surge in a portrait.
const (
	portraitLeases = 20_000 // a run takes a tenth of a second, and the border is that of the whole surge within 2 %
	portraitSteps  = 60     // of a quarter of a second
)

// Sit runs the surge for the portrait: once for its course, and as often as its border asks for.
// A part that has no course in virtual time is left without one.
func (p *Portrait) Sit(ctx context.Context) error {
	if p.Contestant == "" || p.Clock {
		return nil
	}
	s, err := scenario.Load("surge")
	if err == nil {
		err = cmp.Or(s.Contest(p.Contestant), s.Set(fmt.Sprintf("leases=%d", portraitLeases), fmt.Sprintf("broken=%d", portraitLeases/10)))
	}
	if err != nil {
		return err
	}
	if p.Clock = bench.CheckVirtual(&s) != nil; p.Clock { // for another part of a composition
		return nil
	}
	c := &Course{Step: s.Timeout.Seconds() / 4, From: s.Steady.Seconds(), To: (s.Steady + s.Outage).Seconds(), Leases: s.Leases, Broken: s.Broken}
	step := s.Timeout / 4
	res, err := bench.Virtual{}.Run(ctx, s, bench.Options{Seed: 1, Part: &bench.Part{Step: step, Done: func(log *record.Log) {
		for _, r := range log.Rows() {
			if len(c.Lost) < portraitSteps {
				c.Lost, c.Queued = append(c.Lost, s.Leases-r.Active), append(c.Queued, r.Queued)
			}
		}
	}}})
	if err != nil {
		return err
	}
	c.Verdict, c.TTR, c.Wasted, c.Beta = res.Verdict, res.TTR, *res.WastedWork, res.Beta
	s.Duration = time.Duration(BorderTimeouts) * s.Timeout
	b, err := FindBorder(ctx, bench.Virtual{}, s, bench.Options{Seed: 1, MaxQueue: portraitLeases * BorderTimeouts}, 1)
	if err == nil {
		p.Border, p.Drawing = &b, c
	}
	return err
}

// Text is the portrait for a person.
func (p *Portrait) Text() string {
	var b strings.Builder
	rows := [][]string{{"  source", p.Source}}
	for _, d := range p.Params {
		rows = append(rows, []string{"  " + d.Name, fmt.Sprintf("default %s (%s): %s", d.Default, d.Bounds, d.Doc)})
	}
	switch {
	case p.Clock:
		rows = append(rows, []string{"  runs on", "the real engine only, since it reads the host's clock"})
	case p.Kind == "table":
		rows = append(rows, []string{"  border", "that of the discipline and the controller beside it: all tables hold the same leases"})
	}
	if p.Border != nil {
		rows = append(rows, []string{"  border", p.Border.short(p.Drawing)})
	}
	if c := p.Drawing; c != nil {
		lost, queued := show.Spark(c.Lost, c.Broken), show.Spark(c.Queued, 0)
		rows = append(rows,
			[]string{"  surge", c.short(p.Contestant)},
			[]string{"  lost", lost + "  leases, of " + show.Count(c.Broken) + " broken"},
			[]string{"  queued", queued + "  attempts, at most " + show.Count(most(c.Queued))},
			[]string{"", c.marks()})
	}
	fmt.Fprintf(&b, "%s: %s (%s/%s)\n  %s\n%s", p.Name, p.What, p.Kind, p.Name, p.Doc, show.Columns(rows))
	return b.String()
}

// short is a border in a line. The number of leases is for the surge of a million.
func (b *Border) short(c *Course) string {
	leases := func(beta float64) string {
		return fmt.Sprintf("β* %.2f, which is %s of a million leases broken", beta, show.Count(int(beta/c.Beta*float64(c.Broken)*1e6/float64(c.Leases)+500)/1000*1000))
	}
	law, measured := "fluid law: not about it", "in virtual time: none"
	switch {
	case b.Law != nil:
		law = "fluid law: " + leases(*b.Law)
	case b.ByLaw:
		law = "fluid law: none, it comes back from the loss of all leases"
	}
	if b.Beta != nil {
		measured = fmt.Sprintf("in %d timeouts of virtual time: %s", BorderTimeouts, leases(*b.Beta))
	}
	return law + "; " + measured
}

func (c *Course) short(contestant string) string {
	end := string(c.Verdict)
	if c.TTR != nil {
		end += fmt.Sprintf(" after %.2f s", *c.TTR)
	}
	return fmt.Sprintf("%s: %s, wasted work %.0f %%; β %.2f, %s leases, virtual time", contestant, end, 100*c.Wasted, c.Beta, show.Count(c.Leases))
}

// marks says where in a drawing the outage is.
func (c *Course) marks() string {
	line := []rune(strings.Repeat(" ", len(c.Lost)))
	for i := range line {
		if end := float64(i+1) * c.Step; end > c.From && end <= c.To {
			line[i] = '‾'
		}
	}
	return fmt.Sprintf("%s  ‾ the outage; a column is %g s", string(line), c.Step)
}

func most(all []int) (m int) {
	for _, n := range all {
		m = max(m, n)
	}
	return m
}
