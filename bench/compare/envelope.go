package compare

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench/archive"
	"github.com/leasestorm/leasestorm/bench/internal/measure"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// EnvelopeFile is where the folder of 'bench --aa' keeps its envelope.
const EnvelopeFile = "aa.json"

// Sides are the folders in it that have the two suites.
var Sides = [2]string{"a", "b"}

// Envelope is what runs of one thing differ by on a host, if they are made twice.
type Envelope struct {
	Schema  int       `json:"schema"`
	Folder  string    `json:"-"`
	Started time.Time `json:"started"`
	Hosts   []string  `json:"hosts"`
	Rows    []Inside  `json:"rows"`
}

// Inside is the largest change of a measure that is none.
type Inside struct {
	Key        string `json:"key"` // of the contestant
	Experiment string `json:"experiment"`
	Contestant string `json:"contestant"`
	Measure    string `json:"measure"`
	N          int    `json:"n"` // runs a side
	// Change is a share of the larger median, or of a share the difference.
	Change float64 `json:"change"`
}

// deals is how often the runs of an envelope are dealt out anew.
const deals = 2000

// MakeEnvelope makes the envelope of a folder of 'bench --aa'. The change of a measure is the larger
// one of two: that from side a to side b, which has what drifts between two suites, and the largest of
// many ways to deal the runs of both sides into two. The 95th percentile of the deals would let one
// comparison in twenty call something real where nothing is, as the tests do by themselves.
func MakeEnvelope(ctx context.Context, dir string) (*Envelope, error) {
	a, err := read(ctx, filepath.Join(dir, Sides[0]))
	if err != nil {
		return nil, err
	}
	b, err := read(ctx, filepath.Join(dir, Sides[1]))
	if err != nil {
		return nil, err
	}
	c := &Comparison{}
	e := &Envelope{Schema: 1, Folder: folder(dir), Started: a.cells[0].Manifest.Started, Hosts: a.hosts(), Rows: []Inside{}}
	pairs := c.pairs(a, b, false)
	if lines := unlike(a, b, pairs); len(lines) > 0 {
		return nil, fmt.Errorf("%s: %w: %s", dir, ErrUnlike, lines[0])
	}
	for _, p := range pairs {
		c.measure(p, nil)
	}
	for _, r := range c.Rows {
		if len(r.x) == 0 || len(r.y) == 0 {
			continue
		}
		kind := r.measure.Kind
		e.Rows = append(e.Rows, Inside{
			Key: r.key, Experiment: r.Experiment, Contestant: r.Contestant, Measure: r.Measure, N: min(len(r.x), len(r.y)),
			Change: max(distance(kind, r.A.Median, r.B.Median), dealt(r.x, r.y, kind)),
		})
	}
	if len(e.Rows) == 0 {
		return nil, fmt.Errorf("%s: no contestant has valid runs on both sides", dir)
	}
	return e, nil
}

// dealt is the largest distance between the halves of all values, over many deals. It is widened by how
// much a spread that so few values show may be below the true one: the upper 95 % limit of a standard
// deviation is about 1 + 1.645/√(2(n−1)) times that of the sample.
func dealt(x, y []float64, kind measure.Kind) (most float64) {
	all := slices.Concat(x, y)
	rng := rand.New(rand.NewPCG(uint64(len(x)), uint64(len(y))))
	for range deals {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		most = max(most, distance(kind, middle(all[:len(x)], kind), middle(all[len(x):], kind)))
	}
	return most * (1 + 1.645/math.Sqrt(2*float64(len(all)-1)))
}

// ReadEnvelope reads the envelope in a folder. there is false if it has none.
func ReadEnvelope(dir string) (e *Envelope, there bool, err error) {
	e = &Envelope{}
	there, err = archive.ReadResult(filepath.Join(dir, EnvelopeFile), "an A/A envelope", e)
	e.Folder = folder(dir)
	return e, there, err
}

// findEnvelope returns the newest envelope of a side's host, among the folders beside it; nil if there
// is none.
func findEnvelope(side *side) (*Envelope, error) {
	abs, err := filepath.Abs(side.dir)
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(abs), "*", EnvelopeFile))
	if err != nil {
		return nil, err
	}
	var found *Envelope
	for _, path := range paths {
		e, there, err := ReadEnvelope(filepath.Dir(path))
		if err != nil || !there || !slices.Equal(e.Hosts, side.hosts()) {
			continue // of another version or another host
		}
		if found == nil || e.Started.After(found.Started) {
			found = e
		}
	}
	return found, nil
}

// of is the envelope of a row: that of the same contestant, or else the widest of any. It is nil for
// a row in virtual time, in which no host has a part.
func (e *Envelope) of(r *Row) *float64 {
	if r.virtual {
		return nil
	}
	widest, known := 0.0, false
	for _, in := range e.Rows {
		if in.Measure != r.Measure {
			continue
		}
		if in.Key == r.key {
			return &in.Change
		}
		widest, known = max(widest, in.Change), true
	}
	if !known {
		return nil
	}
	return &widest
}

// Text is the envelope for a terminal.
func (e *Envelope) Text() string {
	rows := [][]string{{"experiment", "contestant", "measure", "n", "changes that are none"}}
	for _, in := range e.Rows {
		m, _ := measure.Find(measure.Runs, in.Measure)
		unit := "%"
		if m.Kind == measure.Ratio || m.Kind == measure.Share {
			unit = "points"
		}
		rows = append(rows, []string{in.Experiment, in.Contestant, in.Measure, fmt.Sprint(in.N), fmt.Sprintf("±%.2g %s", 100*in.Change, unit)})
	}
	return show.Columns(rows)
}
