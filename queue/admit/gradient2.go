package admit

import "github.com/leasestorm/leasestorm/queue/catalog"

var gradient2Entry = catalog.Entry[New]{
	Name:   "gradient2",
	Doc:    "a concurrency limit that follows the ratio of the long-term time to the present one",
	Source: "Netflix concurrency-limits, Gradient2Limit @78a74b9",
	Params: limitParams(20, 20, 200),
	New:    func(cfg Config, v catalog.Values) (Controller, error) { return newLimiter(cfg, v, &gradient2{}), nil },
}

// gradient2 is the library's law with its defaults: smoothing 0.2, a queue of 4, tolerance
// 1.5, a long-term mean over 600 windows of which the first 10 are a plain mean. For a
// constant gradient g it settles at 4/(1−g). Under an overload that lasts the long-term
// time rises, and the limit with it (issue 134 of the library).
type gradient2 struct {
	long float64 // s
	n    int
}

const (
	gradientWarmup    = 10
	gradientWindows   = 600
	gradientQueue     = 4
	gradientTolerance = 1.5
	gradientSmoothing = 0.2
)

func (l *gradient2) next(limit float64, w window) float64 {
	if l.n++; l.n <= gradientWarmup {
		l.long += (w.rtt - l.long) / float64(l.n)
	} else {
		l.long += (w.rtt - l.long) * 2 / (gradientWindows + 1)
	}
	if l.long/w.rtt > 2 { // the load has gone: forget it sooner
		l.long = float64(l.long * 0.95)
	}
	if float64(w.inflight) < limit/2 {
		return limit // not pressed on
	}
	g := 1.0
	if w.rtt > 0 { // with 0, as when all end in the instant in which they came, it may be 0/0
		g = min(max(gradientTolerance*l.long/w.rtt, 0.5), 1)
	}
	return float64(limit*(1-gradientSmoothing)) + float64((float64(limit*g)+gradientQueue)*gradientSmoothing)
}
