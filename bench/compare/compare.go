package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/measure"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// LeastRuns is the number of runs a side that a comparison asks for.
const LeastRuns = 10

// ErrUnlike is returned, wrapped, for folders whose hosts or scenarios differ.
var ErrUnlike = errors.New("the two folders are of unlike runs")

// ErrInvalid is returned, wrapped, for a folder without a valid run.
var ErrInvalid = errors.New("no valid run")

// Alpha is the level of all tests of one comparison together. A host drifts, so that comparisons of a thing
// with itself are called real more often than the test says: at 0.05, 2 of 20 measured ones were, at 0.01 one.
const Alpha = 0.01

// Comparison is what differs between the runs in A and those in B.
type Comparison struct {
	Schema   int      `json:"schema"`
	A        string   `json:"a"`
	B        string   `json:"b"`
	Unlike   []string `json:"unlike"`   // hosts, scenarios and envelopes, compared all the same
	Problems []string `json:"problems"` // what of the folders is damaged, missing or invalid
	Notes    []string `json:"notes"`
	OnlyA    []string `json:"only_a"` // contestants
	OnlyB    []string `json:"only_b"`
	// Envelope is the folder of the A/A envelope; empty: there is none.
	Envelope string  `json:"envelope"`
	Alpha    float64 `json:"alpha"`
	Tests    int     `json:"tests"` // that were corrected together
	Rows     []Row   `json:"rows"`
}

// Row is one measure of one contestant.
type Row struct {
	Experiment string  `json:"experiment"`
	Contestant string  `json:"contestant"`
	Measure    string  `json:"measure"`
	Unit       string  `json:"unit,omitempty"`
	A          *Sample `json:"a"` // null: no valid run has the figure
	B          *Sample `json:"b"`
	// Change is that of the median as a share of A's, or in points/100 where a measure is a share
	// itself; null: there is none, or A's median is 0.
	Change   *float64 `json:"change"`
	P        *float64 `json:"p"`        // of the rank test; null: nothing was tested
	Holm     *float64 `json:"p_holm"`   // corrected for all tests of the comparison
	Envelope *float64 `json:"envelope"` // the change that the same runs show on this host; null: none is known
	// Exact says that the runs are in virtual time with the same seeds, where any difference is real.
	Exact bool `json:"exact"`
	Real  bool `json:"real"`
	Worse bool `json:"worse"` // in B, by the median; of an exact difference with equal medians by the mean

	measure archive.Measure
	key     string
	x, y    []float64
	virtual bool
	blind   bool // so few runs cannot show a difference in all the tests
}

// Sample is one side of a row.
type Sample struct {
	Median float64 `json:"median"` // of a share of runs: the share
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
	N      int     `json:"n"`
	// Share is how many of the runs it holds for, with its 95 % interval.
	Share *stat.Probability `json:"share,omitempty"`
}

// How says how folders are compared.
type How struct {
	Anyway   bool      // unlike ones, too
	Measures []string  // names; none: all
	Envelope *Envelope // nil: there is none
	Find     bool      // take the newest envelope beside A, of A's host
}

// pair is the runs of one contestant in both folders.
type pair struct {
	experiment, contestant string
	a, b                   []archive.Cell
}

// Folders compares the runs in two folders. The error wraps ErrUnlike if hosts or scenarios differ
// and How says nothing of it, and ErrInvalid if a folder has no valid run.
func Folders(ctx context.Context, dirA, dirB string, how How) (*Comparison, error) {
	a, err := read(ctx, dirA)
	if err == nil && how.Find {
		how.Envelope, err = findEnvelope(a)
	}
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, dirB)
	if err != nil {
		return nil, err
	}
	return between(a, b, how)
}

func between(a, b *side, how How) (*Comparison, error) {
	for _, s := range []*side{a, b} {
		if len(s.groups) == 0 {
			r := s.cells[0].Manifest.Result
			return nil, fmt.Errorf("%s: %w: %d of %d are invalid; the first: %s", s.dir, ErrInvalid, s.invalid, len(s.cells), cmp.Or(r.Why, "no reason is given"))
		}
	}
	c := &Comparison{Schema: 1, A: folder(a.dir), B: folder(b.dir), Alpha: Alpha, Problems: slices.Concat(a.problem, b.problem), Rows: []Row{}}
	for _, s := range []*side{a, b} {
		if s.invalid > 0 {
			c.Problems = append(c.Problems, fmt.Sprintf("%s: %d of %d runs are invalid and do not count", s.dir, s.invalid, len(s.cells)))
		}
	}
	pairs := c.pairs(a, b, how.Anyway)
	if len(pairs) == 0 {
		return nil, fmt.Errorf("%w: no contestant has valid runs in both: %s has %s; %s has %s", ErrUnlike,
			c.A, strings.Join(c.OnlyA, ", "), c.B, strings.Join(c.OnlyB, ", "))
	}
	c.Unlike = unlike(a, b, pairs)
	if e := how.Envelope; e != nil && !slices.Equal(e.Hosts, a.hosts()) {
		c.Unlike = append(c.Unlike, fmt.Sprintf("the A/A envelope of %s is of %s; the runs of %s", e.Folder, strings.Join(e.Hosts, " and "), strings.Join(a.hosts(), " and ")))
	}
	if len(c.Unlike) > 0 && !how.Anyway {
		return nil, fmt.Errorf("%w, so a difference may come from what is unlike:\n  %s\n--anyway compares them all the same", ErrUnlike, strings.Join(c.Unlike, "\n  "))
	}
	for _, p := range pairs {
		c.measure(p, how.Measures)
	}
	c.judge(how.Envelope)
	return c, nil
}

// pairs puts together what is of one contestant. Two folders with one contestant each are compared
// whatever they are, if told so.
func (c *Comparison) pairs(a, b *side, anyway bool) (all []pair) {
	keys := maps.Clone(a.groups)
	maps.Copy(keys, b.groups)
	add := func(cells []archive.Cell, s *side, x, y []archive.Cell) {
		all = append(all, pair{archive.Experiment(s.cells, cells[0]), cells[0].Manifest.Result.Name(), x, y})
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		x, y := a.groups[k], b.groups[k]
		switch {
		case y == nil:
			c.OnlyA = append(c.OnlyA, archive.Experiment(a.cells, x[0])+" "+x[0].Manifest.Result.Name())
		case x == nil:
			c.OnlyB = append(c.OnlyB, archive.Experiment(b.cells, y[0])+" "+y[0].Manifest.Result.Name())
		default:
			add(x, a, x, y)
		}
	}
	if anyway && len(a.groups) == 1 && len(b.groups) == 1 && len(all) == 0 {
		c.OnlyA, c.OnlyB = nil, nil
		for _, x := range a.groups {
			for _, y := range b.groups {
				add(x, a, x, y)
			}
		}
	}
	return all
}

// measure adds the rows of a contestant.
func (c *Comparison) measure(p pair, names []string) {
	exact := same(p)
	for _, m := range archive.Measures {
		if m.Host && !slices.Contains(names, m.Name) || len(names) > 0 && !slices.Contains(names, m.Name) {
			continue
		}
		x, y := values(p.a, m), values(p.b, m)
		if len(x)+len(y) == 0 {
			continue
		}
		r := Row{
			Experiment: p.experiment, Contestant: p.contestant, Measure: m.Name, Unit: m.Unit(), A: sample(x, m.Kind), B: sample(y, m.Kind),
			Exact: exact, measure: m, key: key(&p.a[0].Manifest.Result), x: x, y: y, virtual: virtual(p.a) && virtual(p.b),
		}
		if r.A != nil && r.B != nil {
			r.Change = change(m.Kind, r.A.Median, r.B.Median)
			from, to := r.A.Median, r.B.Median
			if from == to {
				from, to = mean(x), mean(y)
			}
			r.Worse = m.Higher == (to < from) && to != from
		}
		if exact {
			r.Real = differs(p, m)
		} else if !constant(x, y) && len(x) > 0 && len(y) > 0 {
			test, _ := stat.RankTest(x, y)
			r.P = &test
		}
		c.Rows = append(c.Rows, r)
	}
}

// judge corrects all tests together, and says which differences are real.
func (c *Comparison) judge(e *Envelope) {
	var ps []float64
	for _, r := range c.Rows {
		if r.P != nil {
			ps = append(ps, *r.P)
		}
	}
	c.Tests = len(ps)
	holm := stat.Holm(ps)
	few, least := 0, math.MaxInt
	exact, measured := 0, false
	for i := range c.Rows {
		r := &c.Rows[i]
		if r.Exact {
			exact++
			continue
		}
		if n := min(len(r.x), len(r.y)); r.measure.Kind == measure.Share {
			least = min(least, n)
			if n < LeastRuns {
				few++
			}
		}
		if r.P == nil {
			continue
		}
		p := holm[0]
		holm = holm[1:]
		r.Holm = &p
		r.blind = float64(c.Tests)*stat.LeastP(len(r.x), len(r.y)) > Alpha
		inside := false
		if e != nil {
			if r.Envelope = e.of(r); r.Envelope != nil {
				inside = distance(r.measure.Kind, r.A.Median, r.B.Median) <= *r.Envelope
			}
		}
		r.Real = p <= Alpha && !inside
		measured = measured || !r.virtual
	}
	if e != nil {
		c.Envelope = e.Folder
	}
	for _, list := range []*[]string{&c.Unlike, &c.Problems, &c.Notes, &c.OnlyA, &c.OnlyB} {
		*list = append([]string{}, *list...) // of none an empty list in JSON
	}
	note := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }
	if exact > 0 {
		note("In virtual time the same seed gives the same run: differences of the rows marked exact are real, however small.")
	}
	if few > 0 {
		note("The smallest side has %d valid run%s: %d a side are asked for (--seeds %d), and fewer see only large differences.", least, show.Plural(least), LeastRuns, LeastRuns)
	}
	if measured && e == nil {
		note("No A/A envelope of this host is known, so that a drift of the host between the two folders looks like a difference: 'leasestorm bench --aa' makes one, and --envelope names its folder.")
	}
}
