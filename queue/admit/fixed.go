package admit

import (
	"math/rand/v2"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var limitEntry = catalog.Entry[New]{
	Name:   "limit",
	Doc:    "admits while fewer attempts than a fixed limit are in the manager (a bulkhead)",
	Source: "M. Nygard, Release It!, 2007: bulkheads",
	Params: []catalog.Param{depthParam, limitParam},
	New:    func(cfg Config, v catalog.Values) (Controller, error) { return NewLimit(fixedPlaces(cfg, v)) },
}

var (
	depthParam = catalog.Param{Name: "depth", Unit: "timeouts", Default: 0.5, Min: 1e-6, Max: 1000, Doc: "limit, as the time in which the workers serve so many establishes"}
	limitParam = catalog.Param{Name: "limit", Unit: "attempts", Default: 0, Min: 0, Max: 1e9, Doc: "limit in attempts; 0: by depth"}
)

// fixedPlaces is the limit that limitParam or depthParam sets.
func fixedPlaces(cfg Config, v catalog.Values) int64 {
	byDepth := min(max(1, v["depth"]*cfg.Timeout.Seconds()*cfg.Capacity), 1e15)
	return int64(whole(v["limit"], byDepth))
}

// NewLimit returns a controller that admits attempts while fewer than limit are in the manager,
// waiting or in service: a bulkhead, the catalog's "limit". The limit is at least 1.
func NewLimit(limit int64) (Controller, error) {
	if limit < 1 {
		return nil, catalog.OutOfRange("limit", limit, "at least 1 attempt")
	}
	return &fixedLimit{limit: limit}, nil
}

type fixedLimit struct {
	limit    int64
	inflight atomic.Int64
}

// Admit implements Controller.
func (c *fixedLimit) Admit(_ time.Duration, items []queue.Item, _ func() int) int {
	return takePlaces(&c.inflight, c.limit, items)
}

// Done implements Controller.
func (c *fixedLimit) Done(time.Duration, *queue.Item, time.Duration, queue.Outcome) { c.inflight.Dec() }

var fixedEntry = catalog.Entry[NewRetry]{
	Name:   "fixed",
	Doc:    "waits the same time after each failure",
	Source: "no back-off",
	Params: []catalog.Param{{Name: "wait", Unit: "timeouts", Default: 1, Min: 0, Max: 1e6, Doc: "the wait"}},
	New: func(timeout time.Duration, v catalog.Values) (Retry, error) {
		return fixedWait(nanos(v["wait"] * float64(timeout))), nil
	},
}

type fixedWait time.Duration

func (w fixedWait) Wait(Failure, *rand.Rand) time.Duration { return time.Duration(w) }

// Longest implements admit.Longest.
func (w fixedWait) Longest() time.Duration { return time.Duration(w) }
