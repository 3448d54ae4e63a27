package live

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/queue"
)

// Line is the state of one run in a line of text. Its methods may be called by several goroutines.
type Line struct {
	mu                   sync.Mutex
	about                bench.About
	began                time.Time // wall time
	now                  time.Duration
	step                 int // the latest that was counted
	look                 bool
	verdict              bench.Verdict
	active, queued       int
	recent               []uint64 // establishes in time, in the steps of the last second
	good                 float64  // per second, of these
	leases, waiting, per spark
}

// Begin begins a run: the line forgets the one before.
func (l *Line) Begin(a bench.About) func(bench.Look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.about, l.began, l.now, l.step, l.look, l.verdict = a, time.Now(), 0, -1, false, bench.Healthy
	l.recent = nil
	// The spikes that matter: the fewest leases, the longest queue, the most goodput.
	l.leases, l.waiting, l.per = spark{least: true}, spark{}, spark{}
	return l.see
}

func (l *Line) see(k bench.Look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k.Over != "" {
		return
	}
	l.look, l.now, l.verdict = true, k.Now, k.Verdict
	l.active, l.queued = k.News.Active, k.News.Queued
	for _, row := range k.News.Rows {
		if row.Step <= l.step {
			continue // a step again
		}
		l.step = row.Step
		l.recent = append(l.recent, row.Done[queue.Good][queue.Establish])
		l.recent = l.recent[max(0, len(l.recent)-max(1, int(time.Second/l.about.Step))):]
		sum := uint64(0)
		for _, n := range l.recent {
			sum += n
		}
		l.good = float64(sum) / (time.Duration(len(l.recent)) * l.about.Step).Seconds()
		l.leases.add(float64(row.Active))
		l.waiting.add(float64(row.Queued))
		l.per.add(l.good)
	}
}

// Text returns the line, with sparklines as far as width characters have room for them; "" before
// the run has a step.
func (l *Line) Text(width int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.look {
		return ""
	}
	parts := []struct {
		text  string
		spark *spark
	}{
		{"active " + show.Count(l.active), &l.leases}, {"queue " + show.Count(l.queued), &l.waiting}, {"goodput " + show.Rate(l.good) + "/s", &l.per},
	}
	const gap = 2
	used := gap * (len(parts) - 1)
	for _, p := range parts {
		used += len(p.text) + 1
	}
	room := min((width-used)/len(parts), sparkWidth) // of each sparkline
	var all []string
	for _, p := range parts {
		if room >= shortestSpark {
			p.text += " " + p.spark.draw(room)
		}
		all = append(all, p.text)
	}
	return strings.Join(all, strings.Repeat(" ", gap))
}

// Verdict returns the verdict if the run ended now; "" before the run has a step.
func (l *Line) Verdict() bench.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.look {
		return ""
	}
	return l.verdict
}

// Left says how much of the run is over and how long it still takes at most, in wall time; "" before
// the run has a step. A verdict ends a run before that.
func (l *Line) Left() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.look || l.now <= 0 {
		return ""
	}
	left := l.about.End - l.now
	if l.about.Virtual {
		left = time.Duration(float64(time.Since(l.began)) * (float64(left) / float64(l.now)))
	}
	return fmt.Sprintf("%v of the run, at most %v left", l.now.Round(time.Second/10), max(0, left).Round(time.Second/10))
}

// Share returns the part of the run's longest time that has passed, from 0 to 1.
func (l *Line) Share() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.about.End <= 0 {
		return 0
	}
	return min(1, float64(l.now)/float64(l.about.End))
}

// sparkWidth is the largest number of characters of a sparkline.
const sparkWidth = 12

// shortestSpark is the smallest number of characters that still shows a shape.
const shortestSpark = 4

// spark is a series that is drawn in one line. When it is full, two neighbours become one: of the
// two the larger, or the smaller one. So the line always shows the whole run, with its spikes.
type spark struct {
	least  bool // the smaller one counts
	points []float64
	every  int // values of one point
	open   int // values in the last point
}

func (s *spark) pick(a, b float64) float64 {
	if s.least {
		return min(a, b)
	}
	return max(a, b)
}

func (s *spark) add(x float64) {
	s.every = max(1, s.every)
	if s.open > 0 && s.open < s.every {
		last := len(s.points) - 1
		s.points[last] = s.pick(s.points[last], x)
		s.open++
		return
	}
	if len(s.points) == sparkWidth {
		for i := range sparkWidth / 2 {
			s.points[i] = s.pick(s.points[2*i], s.points[2*i+1])
		}
		s.points = s.points[:sparkWidth/2]
		s.every *= 2
	}
	s.points, s.open = append(s.points, x), 1
}

// draw draws the points in eight heights and at most width characters. The lowest height is 0, or the
// smallest point where the smaller ones count; the highest is the largest point.
func (s *spark) draw(width int) string {
	points := s.points
	if len(points) > width {
		points = make([]float64, width)
		for i := range points {
			from, to := i*len(s.points)/width, (i+1)*len(s.points)/width
			points[i] = s.points[from]
			for _, x := range s.points[from:to] {
				points[i] = s.pick(points[i], x)
			}
		}
	}
	if len(points) == 0 {
		return ""
	}
	low, high := 0.0, slices.Max(points)
	if s.least {
		low = slices.Min(points)
	}
	bars := []rune("▁▂▃▄▅▆▇█")
	var b strings.Builder
	for _, x := range points {
		at := 0
		switch {
		case high > low:
			at = int((x - low) / (high - low) * float64(len(bars)-1))
		case s.least: // all is as it was
			at = len(bars) - 1
		}
		b.WriteRune(bars[at])
	}
	return b.String()
}
