package bench

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Point is the measurement at one load of a ramp. Load, Offered, Throughput and Goodput are
// shares of capacity.
type Point struct {
	Load       float64  `json:"load"`           // asked for, checks included
	Back       bool     `json:"back,omitempty"` // after the highest load, on the way down
	Offered    float64  `json:"offered"`        // retries included
	Throughput float64  `json:"throughput"`     // late and failed work included
	Goodput    float64  `json:"goodput"`
	WastedWork float64  `json:"wasted_work"` // share of the workers' busy time
	P99        *float64 `json:"p99_s"`       // latency of served launches from birth; null: none
	QueueEnd   int      `json:"queue_end"`   // attempts
}

// scheduleRamp gives each load two phases: one to settle in and one to be measured in. Above
// capacity a fifo that starts empty is in time at first: an attempt served after t has waited
// t·(1−1/load), so attempts are late from τ·load/(load−1) on. The first phase lasts 10 % more.
func (x *experiment) scheduleRamp() {
	at := x.Steady
	for i, load := range x.Loads {
		settle := 1.0
		if load > 1 {
			settle = math.Min(15, 1.1*load/(load-1))
		}
		name := fmt.Sprintf("%.2f", load)
		if x.back(i) {
			name += "-back"
		}
		x.phases = append(x.phases, record.Phase{Name: "settle-" + name, Start: at.Round(step)})
		at += time.Duration(settle * float64(x.Timeout))
		x.phases = append(x.phases, record.Phase{Name: "load-" + name, Start: at.Round(step)})
		at += x.Measure
	}
	x.end = at.Round(step)
}

// back reports whether the i-th load comes after the highest.
func (x *experiment) back(i int) bool { return i > slices.Index(x.Loads, slices.Max(x.Loads)) }

// rampEvents are the changes of load. With between = "restart" each load begins with an empty
// queue.
func (x *experiment) rampEvents(m *dwfm.Manager, f *fleet.Fleet, s engine.Service) []engine.Event {
	var events []engine.Event
	for i, load := range x.Loads {
		events = append(events, engine.Event{At: x.phases[1+2*i].Start, Do: func(now time.Duration) {
			if x.Between == "restart" {
				m.Restart(1)
			}
			f.SetLaunches(now, x.Launches(load-x.Rho, s))
		}})
	}
	return events
}

// points are the measurements of a ramp, from the steps that lie wholly in a load's phase.
func (x *experiment) points(log *record.Log, s engine.Service) []Point {
	work := func(c record.Counts) (t float64) {
		for class, n := range c {
			t += float64(float64(n) * s[class].Seconds())
		}
		return t
	}
	var points []Point
	for i, load := range x.Loads {
		phase := 2 + 2*i
		from, to := x.phases[phase].Start, x.end
		if phase+1 < len(x.phases) {
			to = x.phases[phase+1].Start
		}
		p := Point{Load: load, Back: x.back(i), P99: quantile(log.Latency(phase, queue.Launch, record.Intended), .99, 1)}
		var busy, wasted, span time.Duration
		for _, row := range log.Rows() {
			start := time.Duration(row.Step) * step
			if start < from || start+step > to {
				continue
			}
			span += step
			p.Offered += work(row.Offered)
			p.Goodput += work(row.Done[queue.Good])
			p.Throughput += work(row.Done[queue.Good]) + work(row.Done[queue.Late]) + work(row.Done[queue.Failed])
			busy += row.Busy
			wasted += row.Wasted
			p.QueueEnd = row.Queued
		}
		if span == 0 {
			continue // the run ended before
		}
		all := span.Seconds() * float64(x.Workers)
		p.Offered, p.Goodput, p.Throughput = p.Offered/all, p.Goodput/all, p.Throughput/all
		p.WastedWork = record.Share(wasted, busy)
		points = append(points, p)
	}
	return points
}

// RampLength returns the run time of a scenario's ramp of loads. ok is false if the scenario has
// no ramp, or cannot be run on one worker.
func RampLength(s scenario.Scenario) (length time.Duration, ok bool) {
	x, err := newExperiment(s, 1, scenario.ShortestCheck)
	if err != nil || len(x.Loads) == 0 {
		return 0, false
	}
	return x.end, true
}
