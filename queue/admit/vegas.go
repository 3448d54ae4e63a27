package admit

import (
	"math"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var vegasEntry = catalog.Entry[New]{
	Name:   "vegas",
	Doc:    "a concurrency limit that keeps a few attempts queued, by the ratio of the shortest time to the present one",
	Source: "Netflix concurrency-limits, VegasLimit @78a74b9; L. Brakmo and L. Peterson, TCP Vegas, IEEE JSAC 13(8), 1995",
	Params: limitParams(20, 1, 1000),
	New:    func(cfg Config, v catalog.Values) (Controller, error) { return newLimiter(cfg, v, &vegas{}), nil },
}

// vegas estimates the queue as limit·(1 − shortest/present) and holds it between 3 and 6
// times log10 of the limit.
type vegas struct {
	shortest float64 // s; 0: none seen
	probe    int     // windows until the shortest is forgotten
}

// probeEvery times the limit is how many windows pass between two probes; the library
// draws a jitter of .5 to 1 on it, which one manager does not need.
const probeEvery = 30

func (l *vegas) next(limit float64, w window) float64 {
	if l.probe--; l.probe <= 0 {
		l.probe, l.shortest = int(probeEvery*limit), w.least
	}
	if l.shortest == 0 || w.least < l.shortest {
		l.shortest = w.least
	}
	log := 1.0 // of 10, whole, and at least 1
	for power := 100.0; power <= limit; power *= 10 {
		log++
	}
	queued := 0.0
	if w.rtt > l.shortest { // or both are 0
		queued = math.Ceil(limit * (1 - l.shortest/w.rtt))
	}
	alpha, beta := float64(3*log), float64(6*log)
	switch {
	case w.dropped:
		return limit - log
	case float64(2*w.inflight) < limit:
		return limit // not pressed on
	case queued <= log:
		return limit + beta
	case queued < alpha:
		return limit + log
	case queued > beta:
		return limit - log
	}
	return limit
}
