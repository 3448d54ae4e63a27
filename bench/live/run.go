package live

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/metrics"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// run is what is known of a run, for a scrape.
type run struct {
	name     string
	leases   int
	registry *metrics.Registry

	mu             sync.Mutex
	sum            record.Tally
	sojourn, slip  *record.Latency
	active, queued int
	now            time.Duration // run time
	verdict        bench.Verdict
	over           bool
}

func newRun(name string, a bench.About) *run {
	r := &run{
		name: name, leases: a.Leases, registry: metrics.New(), sojourn: record.NewCoarse(), slip: record.NewCoarse(),
		active: a.Leases, verdict: bench.Healthy,
	}
	r.describe()
	return r
}

// see takes what has come since the last look.
func (r *run) see(l bench.Look) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sum.Add(&l.News.Tally)
	r.sojourn.Merge(l.News.Sojourn)
	r.slip.Merge(l.News.Slip)
	r.active, r.queued, r.now, r.verdict = l.News.Active, l.News.Queued, l.Now, l.Verdict
}

func (r *run) end(l bench.Look) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over, r.verdict = true, l.Verdict
}

func (r *run) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// describe adds the run's metrics to its registry.
func (r *run) describe() {
	locked := func(read func() float64) func() float64 {
		return func() float64 {
			r.mu.Lock()
			defer r.mu.Unlock()
			return read()
		}
	}
	with := func(more ...string) metrics.Labels {
		all := metrics.Labels{"run": r.name}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	gauge := func(what, help string, labels metrics.Labels, read func() float64) {
		r.registry.Gauge("leasestorm_run_"+what, help, labels, locked(read))
	}
	counter := func(what, help string, labels metrics.Labels, read func() float64) {
		r.registry.Counter("leasestorm_run_"+what+"_total", help, labels, locked(read))
	}
	leases := "Leases by state: active, or lost."
	gauge("leases", leases, with("state", "active"), func() float64 { return float64(r.active) })
	gauge("leases", leases, with("state", "lost"), func() float64 { return float64(r.leases - r.active) })
	gauge("queued_attempts", "Attempts that wait in the queue.", with(), func() float64 { return float64(r.queued) })
	gauge("time_seconds", "Run time. In virtual time it passes at another rate than the clock.", with(), func() float64 { return r.now.Seconds() })
	for _, v := range []bench.Verdict{bench.Healthy, bench.Recovered, bench.Degraded, bench.Collapsed, bench.Invalid} {
		gauge("verdict", "1 for the verdict if the run ended now, 0 for the others.", with("verdict", string(v)), func() float64 {
			if r.verdict == v {
				return 1
			}
			return 0
		})
	}
	for class := range queue.Classes {
		counter("offered_attempts", "Attempts that came to the door.", with("class", class.String()), func() float64 { return float64(r.sum.Offered[class]) })
		for out := range queue.Outcomes {
			counter("attempts", "Attempts that have ended, by class and outcome.", with("class", class.String(), "outcome", out.String()), func() float64 { return float64(r.sum.Done[out][class]) })
		}
	}
	for why := queue.NotShed + 1; why < queue.Reasons; why++ {
		counter("shed_attempts", "Attempts that were shed, by reason.", with("reason", why.String()), func() float64 { return float64(r.sum.Why[why]) })
	}
	counter("busy_seconds", "Service time of all workers.", with(), func() float64 { return r.sum.Busy.Seconds() })
	counter("wasted_seconds", "Service time that went into late attempts.", with(), func() float64 { return r.sum.Wasted.Seconds() })
	times := func(what, help string, of *record.Latency) {
		r.registry.Times("leasestorm_run_"+what+"_seconds", help, with(), time.Microsecond, func() *hdrhistogram.Histogram {
			r.mu.Lock()
			defer r.mu.Unlock()
			return of.Histogram()
		})
	}
	times("sojourn", "Time in the queue of the attempts that were served.", r.sojourn)
	times("slip", "How late the generator brought attempts to the door. A high slip means that the harness, not the manager, is slow.", r.slip)
}
