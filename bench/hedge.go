package bench

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// HedgeReport is what the droplets' hedges did in a run. An attempt that lost to another one of its request,
// be it the hedge or the first, is late: its work is wasted. One whose cancellation the manager sees is shed.
type HedgeReport struct {
	fleet.Hedges
	// Checks is the time from a check's birth to its first good answer, whichever attempt had it. Latencies
	// of the series and the percentile files are those of attempts, each from its own birth. So is here the
	// time of an answer that crosses its request's time-out; such a hedge is not in Won.
	Checks Quantiles `json:"checks_s"`

	checks *record.Latency
}

// hedging makes the report of a fleet that hedges.
func hedging(f *fleet.Fleet) *HedgeReport {
	r := &HedgeReport{checks: record.NewLatency()}
	f.Answered = func(class queue.Class, after time.Duration) {
		if class == queue.Check {
			r.checks.Record(after)
		}
	}
	return r
}

func (r *HedgeReport) count(h fleet.Hedges) {
	r.Hedges = h
	r.Checks = quantiles(r.checks)
}
