package record

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// packedLatency is a Latency in JSON. Counts are pairs: a place, and how many values it has.
type packedLatency struct {
	Digits int64   `json:"digits"`
	Max    int64   `json:"max_ns"`
	Counts []int64 `json:"counts"`
}

// MarshalJSON implements json.Marshaler. All counts are kept, so that histograms of several processes merge
// exactly.
func (l *Latency) MarshalJSON() ([]byte, error) {
	p := packedLatency{Digits: l.digits, Max: int64(l.Max)}
	for i, n := range l.counts[:l.high] {
		if n > 0 {
			p.Counts = append(p.Counts, int64(i), n)
		}
	}
	return json.Marshal(p)
}

// UnmarshalJSON implements json.Unmarshaler. It refuses what MarshalJSON does not write.
func (l *Latency) UnmarshalJSON(text []byte) error {
	var p packedLatency
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	switch p.Digits {
	case fine.digits:
		*l = *NewLatency()
	case coarse.digits:
		*l = *NewCoarse()
	default:
		return fmt.Errorf("a histogram of %d digits: want %d or %d", p.Digits, coarse.digits, fine.digits)
	}
	if len(p.Counts)%2 != 0 || p.Max < 0 {
		return fmt.Errorf("a histogram of %d numbers with the maximum %d ns: want pairs, and no negative time", len(p.Counts), p.Max)
	}
	l.Max = time.Duration(p.Max)
	last := int64(-1)
	for pair := range slices.Chunk(p.Counts, 2) {
		place, n := pair[0], pair[1]
		if place <= last || place >= int64(l.whole) || n <= 0 || n > math.MaxInt64-l.n {
			return fmt.Errorf("a histogram with %d values at place %d of %d, after place %d", n, place, l.whole, last)
		}
		room := l.size
		if place >= int64(l.size) {
			room = l.whole
		}
		if int(place) >= len(l.counts) {
			l.counts = append(l.counts, make([]int64, room-len(l.counts))...)
		}
		l.counts[place] = n
		l.n += n
		last = place
	}
	l.high = int(last + 1)
	return nil
}

// packedRow is a Row in JSON.
type packedRow struct {
	Tally
	Step    int      `json:"step"`
	Active  int      `json:"active"`
	Queued  int      `json:"queued"`
	Sampled bool     `json:"sampled"`
	Sojourn *Latency `json:"sojourn"`
	Slip    *Latency `json:"slip"`
}

// MarshalJSON implements json.Marshaler.
func (r *Row) MarshalJSON() ([]byte, error) {
	return json.Marshal(packedRow{r.Tally, r.Step, r.Active, r.Queued, r.sampled, r.sojourn, r.slip})
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *Row) UnmarshalJSON(text []byte) error {
	p := packedRow{Sojourn: NewCoarse(), Slip: NewCoarse()}
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if p.Sojourn == nil || p.Slip == nil || p.Sojourn.digits != coarse.digits || p.Slip.digits != coarse.digits || p.Step < 0 {
		return fmt.Errorf("a step %d of a series: want two histograms of %d digits", p.Step, coarse.digits)
	}
	*r = Row{Tally: p.Tally, Step: p.Step, Active: p.Active, Queued: p.Queued, sampled: p.Sampled, sojourn: p.Sojourn, slip: p.Slip}
	return nil
}

// packedLog is a finished Log in JSON.
type packedLog struct {
	Shape     Shape            `json:"shape"`
	Rows      []*Row           `json:"rows"`
	Recorders []packedRecorder `json:"recorders"`
}

type packedRecorder struct {
	Sums    Tally                                 `json:"sums"`
	Latency [][queue.Classes][Clocks + 1]*Latency `json:"latency"` // null: no value
	ToLease *Latency                              `json:"time_to_lease"`
	Spread  *Latency                              `json:"spread"`
}

// MarshalJSON implements json.Marshaler. It must be called after Finish.
func (l *Log) MarshalJSON() ([]byte, error) {
	p := packedLog{Shape: l.Shape, Rows: l.Rows()}
	for _, r := range l.recorders {
		latency := slices.Clone(r.latency)
		for phase := range latency {
			for class := range latency[phase] {
				for clock, h := range latency[phase][class] {
					if h.TotalCount() == 0 {
						latency[phase][class][clock] = nil
					}
				}
			}
		}
		p.Recorders = append(p.Recorders, packedRecorder{r.sums, latency, r.toLease, r.spread})
	}
	return json.Marshal(p)
}

// mostRecorders bounds what a text of another process makes this one allocate.
const mostRecorders = 1 << 16

// UnmarshalJSON implements json.Unmarshaler. The log is a finished one.
func (l *Log) UnmarshalJSON(text []byte) error {
	var p packedLog
	if err := json.Unmarshal(text, &p); err != nil {
		return err
	}
	if n := len(p.Recorders); n != p.Shape.Workers+1 || n > mostRecorders || p.Shape.Step <= 0 || len(p.Shape.Phases) == 0 {
		return fmt.Errorf("a log of %d recorders, %d workers, %d phases and steps of %v", n, p.Shape.Workers, len(p.Shape.Phases), p.Shape.Step)
	}
	*l = *NewLog(p.Shape)
	for i, from := range p.Recorders {
		r := l.recorders[i]
		if len(from.Latency) != len(r.latency) || from.ToLease == nil || from.ToLease.digits != fine.digits || from.Spread == nil || from.Spread.digits != coarse.digits {
			return fmt.Errorf("recorder %d has %d phases: want %d, and a time to lease", i, len(from.Latency), len(r.latency))
		}
		r.sums, r.toLease, r.spread = from.Sums, from.ToLease, from.Spread
		for phase := range from.Latency {
			for class := range from.Latency[phase] {
				for clock, h := range from.Latency[phase][class] {
					if h != nil && h.digits != fine.digits {
						return fmt.Errorf("recorder %d has latencies of %d digits: want %d", i, h.digits, fine.digits)
					}
					if h != nil {
						r.latency[phase][class][clock] = h
					}
				}
			}
		}
	}
	for _, row := range p.Rows {
		if row == nil || l.rows[row.Step] != nil {
			return fmt.Errorf("a step of the series is missing, or comes twice")
		}
		l.rows[row.Step] = row
	}
	return nil
}

// Merge adds a finished log of the same run from another process. Counts and histograms are summed exactly.
// The series are aligned on run time: leases and queue of a step are the sum of both at its end.
func (l *Log) Merge(other *Log) error {
	a, b := &l.Shape, &other.Shape
	if a.Leases != b.Leases || a.Workers != b.Workers || a.Step != b.Step || !slices.Equal(a.Phases, b.Phases) {
		return fmt.Errorf("logs of different runs: %+v and %+v", *a, *b)
	}
	mine, theirs := l.Rows(), other.Rows()
	levels := func(rows []*Row, level *[2]int, step int) []*Row {
		for len(rows) > 0 && rows[0].Step <= step {
			*level = [2]int{rows[0].Active, rows[0].Queued}
			rows = rows[1:]
		}
		return rows
	}
	var x, y [2]int // active and queued of each
	for len(mine) > 0 || len(theirs) > 0 {
		step := math.MaxInt
		for _, rows := range [][]*Row{mine, theirs} {
			if len(rows) > 0 {
				step = min(step, rows[0].Step)
			}
		}
		mine, theirs = levels(mine, &x, step), levels(theirs, &y, step)
		row := l.rows[step]
		if row == nil {
			row = &Row{Step: step, sojourn: NewCoarse(), slip: NewCoarse()}
			l.rows[step] = row
		}
		if o := other.rows[step]; o != nil {
			row.add(o)
		}
		row.Active, row.Queued, row.sampled = x[0]+y[0], x[1]+y[1], true
	}
	for i, r := range l.recorders {
		r.add(other.recorders[i])
	}
	return nil
}

// add adds a row's counts and histograms.
func (r *Row) add(o *Row) {
	r.Tally.Add(&o.Tally)
	r.sojourn.Merge(o.sojourn)
	r.slip.Merge(o.slip)
	r.parts += o.parts
}

// add adds a recorder that is not written any more.
func (r *Recorder) add(o *Recorder) {
	r.sums.Add(&o.sums)
	r.toLease.Merge(o.toLease)
	r.spread.Merge(o.spread)
	for phase := range r.latency {
		for class := range r.latency[phase] {
			for clock, h := range r.latency[phase][class] {
				h.Merge(o.latency[phase][class][clock])
			}
		}
	}
}

// Sum returns the news of one step of several processes' series. There must be at least one row.
func Sum(rows []*Row) *News {
	sum := &Row{Step: rows[0].Step, sojourn: NewCoarse(), slip: NewCoarse(), sampled: true}
	for _, r := range rows {
		sum.add(r)
		sum.Active += r.Active
		sum.Queued += r.Queued
	}
	return &News{Tally: sum.Tally, Sojourn: sum.sojourn, Slip: sum.slip, Rows: []*Row{sum}, Active: sum.Active, Queued: sum.Queued}
}
