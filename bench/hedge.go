package bench

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// HedgeReport is what the droplets' hedges did in a run. A hedge that lost is a late attempt: its work is
// wasted. One whose cancellation the manager sees is shed.
type HedgeReport struct {
	fleet.Hedges
	// Checks is the time from a check's birth to its first good answer, whichever attempt had it. Latencies
	// of the series and the percentile files are those of attempts, each from its own birth.
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
