// Package published makes published results of others again, on the virtual engine, and says for each
// whether the published number is within the interval of ours.
package published

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/docs"
	"github.com/leasestorm/leasestorm/queue"
)

// Row is a published result beside ours.
type Row struct {
	Name     string   `json:"name"`
	Source   string   `json:"source"`
	URL      string   `json:"url"`
	Scenario string   `json:"scenario,omitempty"` // file; "": it is not modelled
	Set      []string `json:"set,omitempty"`      // what differs from it, as for --set
	Theirs   string   `json:"theirs"`             // as published
	From     float64  `json:"theirs_low"`         // of Theirs: a share of runs, or a number as exactly as it was published
	To       float64  `json:"theirs_high"`
	Of       int      `json:"theirs_runs"` // that they are a share of; 0: it is a number
	Ours     string   `json:"ours"`
	Measured *float64 `json:"ours_value"` // null: it is not modelled
	// Low and High are the 95 % interval of Measured: by Wilson of a share of seeds, by order statistics of a
	// median over seeds.
	Low    *float64 `json:"low"`
	High   *float64 `json:"high"`
	Seeds  int      `json:"seeds"`
	Seed   uint64   `json:"seed"` // the first
	Agrees Verdict  `json:"agrees"`
	Why    string   `json:"why,omitempty"` // what differs in the model, if they do not agree
}

// Verdict says whether ours agrees. A published number does if it is in the interval of ours. A published
// count of seeds does if the interval of the difference of the two shares holds 0. How one run ended does if
// the interval of the share of our seeds that end so is above one half.
type Verdict string

// The verdicts.
const (
	Agrees      Verdict = "yes"
	Differs     Verdict = "no"
	Undecided   Verdict = "undecided"    // with so few seeds, an outcome may be that of most or of few
	NotModelled Verdict = "not modelled" // the model lacks what the result is about
)

// Options say how the results are made.
type Options struct {
	At    bench.Runner        // where the runs are made, if that is in other processes; nil: in this one
	Seed  uint64              // of the first run of each result; 0: a random one
	Seeds int                 // runs of a result, at most; 0: as many as each has
	Each  func(done, all int) // told of runs that are done; nil: nobody is
}

// run is one run, with its log.
type run struct {
	*bench.Result
	log    *record.Log
	fitted scenario.Fitted
}

// steps returns the goodput of launches by step of the series from run time from on, as a share of capacity.
func (r *run) steps(from time.Duration) (goodput []float64) {
	for _, row := range r.log.Rows() {
		if at := time.Duration(row.Step) * r.log.Step; at >= from && at < r.end() {
			goodput = append(goodput, float64(row.Done[queue.Good][queue.Launch])/r.log.Step.Seconds()/r.Capacity)
		}
	}
	return goodput
}

// before returns how often a launch was attempted and the share of launches that was good, in the d before
// end. load is the launches' share of capacity at the time.
func (r *run) before(end, d time.Duration, load float64) (attempts, good float64) {
	for _, row := range r.log.Rows() {
		if at := time.Duration(row.Step) * r.log.Step; at >= end-d && at < end {
			attempts += float64(row.Offered[queue.Launch])
			good += float64(row.Done[queue.Good][queue.Launch])
		}
	}
	due := r.fitted.Launches(load, r.fitted.Want) * d.Seconds()
	return attempts / due, good / due
}

// end is the end of the last whole step of the series, in run time.
func (r *run) end() time.Duration {
	return time.Duration(math.Round(r.Run * 1e9)).Truncate(r.log.Step)
}

// Load returns the scenario of a point, with what the point sets.
func (p *Point) Load() (scenario.Scenario, error) {
	text, err := docs.Published.ReadFile("examples/published/" + p.Scenario)
	if err != nil {
		return scenario.Scenario{}, err
	}
	s, err := scenario.Parse(p.Scenario, text)
	if err == nil {
		err = s.Set(p.Set...)
	}
	return s, err
}

// group is the points that are read from the same runs.
type group struct {
	scenario scenario.Scenario
	points   []int
	runs     int
}

// groups returns the points by scenario, in their order, with the runs that the most demanding of each has.
func groups(points []Point, most int) (all []group, err error) {
	of := map[string]int{}
	for i := range points {
		p := &points[i]
		if p.Scenario == "" {
			continue
		}
		key := p.Scenario + " " + strings.Join(p.Set, " ")
		k, known := of[key]
		if !known {
			s, err := p.Load()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			k = len(all)
			of[key], all = k, append(all, group{scenario: s})
		}
		all[k].points = append(all[k].points, i)
		all[k].runs = max(all[k].runs, runsOf(p, most))
	}
	return all, nil
}

// runsOf is the number of runs of a point, most at most; 0: as many as it has.
func runsOf(p *Point, most int) int {
	if most > 0 {
		return min(p.Seeds, most)
	}
	return p.Seeds
}

// Run makes the results of all points again. The rows are in the order of the points, and the same for the
// same seed. The error is that of ctx or of a run.
func Run(ctx context.Context, points []Point, o Options) ([]Row, error) {
	o.Seed = bench.DrawSeed(o.Seed)
	all, err := groups(points, o.Seeds)
	if err != nil {
		return nil, err
	}
	type task struct{ group, seed int }
	var tasks []task
	measured := make([][]float64, len(points))
	at := 1
	for g := range all {
		for k := range all[g].runs {
			tasks = append(tasks, task{g, k})
		}
		for _, i := range all[g].points {
			measured[i] = make([]float64, runsOf(&points[i], o.Seeds))
		}
		most, _ := bench.AtOnce(all[g].scenario)
		at = max(at, most)
	}
	var mu sync.Mutex
	done := 0
	err = study.Each(ctx, o.At, at, len(tasks), func(ctx context.Context, i int) error {
		t := tasks[i]
		first := &points[all[t.group].points[0]]
		values, err := measure.Do(ctx, o.At, asked{first.Scenario, first.Set, o.Seed + uint64(t.seed)})
		if err != nil {
			return fmt.Errorf("%s: %w", first.Name, err)
		}
		for _, i := range all[t.group].points {
			if t.seed < len(measured[i]) {
				measured[i][t.seed] = values[points[i].Name]
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if done++; o.Each != nil {
			o.Each(done, len(tasks))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows := make([]Row, len(points))
	for i := range points {
		p := &points[i]
		rows[i] = Row{Name: p.Name, Source: p.Source.Name, URL: p.Source.URL, Scenario: p.Scenario, Set: p.Set, Theirs: p.Theirs.Text, From: p.Theirs.Low, To: p.Theirs.High, Of: p.Theirs.Of, Seed: o.Seed}
		rows[i].judge(p, measured[i])
	}
	return rows, nil
}

// asked is a run of the points that have this scenario and these differences.
type asked struct {
	Scenario string   `json:"scenario"`
	Set      []string `json:"set,omitempty"`
	Seed     uint64   `json:"seed"`
}

// measure makes a run, to its end, and measures it for each of its points, by name.
var measure = study.NewTask("published", func(ctx context.Context, a asked) (map[string]float64, error) {
	var of []Point
	for _, p := range Points() {
		if p.Scenario == a.Scenario && slices.Equal(p.Set, a.Set) {
			of = append(of, p)
		}
	}
	if a.Scenario == "" || len(of) == 0 {
		return nil, scenario.Bad("scenario", fmt.Sprintf("no published result is of %q with %q", a.Scenario, a.Set))
	}
	s, err := of[0].Load()
	if err != nil {
		return nil, err
	}
	r := &run{}
	if r.fitted, err = scenario.Fit(s, 1); err != nil {
		return nil, err
	}
	if r.Result, err = (bench.Virtual{}).Run(ctx, s, bench.Options{Seed: a.Seed, Part: &bench.Part{Done: func(l *record.Log) { r.log = l }}}); err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, p := range of {
		values[p.Name] = p.measure(r)
	}
	return values, nil
})

// judge fills in what was measured, and whether it agrees.
func (r *Row) judge(p *Point, xs []float64) {
	if r.Seeds = len(xs); len(xs) == 0 {
		r.Ours, r.Agrees, r.Why = "–", NotModelled, p.Differs
		return
	}
	var ours, low, high float64
	differs := false
	if of := p.Theirs.Of; of > 0 {
		k := 0
		for _, x := range xs {
			k += int(x)
		}
		w := stat.Wilson(k, len(xs))
		ours, low, high = *w.P, w.Low, w.High
		r.Ours = fmt.Sprintf("%d of %d %s", k, len(xs), p.Theirs.what)
		differs = of == 1 && high <= 0.5 || of > 1 && w.Apart(stat.Wilson(int(math.Round(p.Theirs.Low*float64(of))), of))
		if of == 1 && !differs && low <= 0.5 {
			r.Agrees, r.Why = Undecided, "more seeds tell whether most of them do"
		}
	} else {
		ours = stat.Median(xs)
		low, high = stat.MedianInterval(xs)
		r.Ours = fmt.Sprintf(p.Theirs.what, ours)
		differs = p.Theirs.High < low || p.Theirs.Low > high
	}
	r.Measured, r.Low, r.High = &ours, &low, &high
	switch {
	case differs:
		r.Agrees, r.Why = Differs, p.Differs
	case r.Agrees == "":
		r.Agrees = Agrees
	}
}

// Table is the rows for a person.
func Table(rows []Row) string {
	cells := [][]string{{"name", "source", "theirs", "ours", "interval", "agrees", "why"}}
	for i := range rows {
		r := &rows[i]
		interval := "–"
		if r.Low != nil {
			interval = fmt.Sprintf("%.2f to %.2f", *r.Low, *r.High)
		}
		cells = append(cells, []string{r.Name, r.Source, r.Theirs, r.Ours, interval, string(r.Agrees), r.Why})
	}
	return show.Columns(cells)
}

// Count is how many rows have each verdict, in a line.
func Count(rows []Row) string {
	var all []string
	for _, v := range []Verdict{Agrees, Differs, Undecided, NotModelled} {
		n := 0
		for i := range rows {
			if rows[i].Agrees == v {
				n++
			}
		}
		if n > 0 {
			all = append(all, fmt.Sprintf("%s: %d", v, n))
		}
	}
	return fmt.Sprintf("%d published results; agrees: %s", len(rows), strings.Join(all, ", "))
}

// Files returns the names of the scenario files of the points.
func Files(points []Point) (names []string) {
	for i := range points {
		if p := &points[i]; p.Scenario != "" && !slices.Contains(names, p.Scenario) {
			names = append(names, p.Scenario)
		}
	}
	return names
}
