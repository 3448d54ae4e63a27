// Package bench makes one run: a scenario, by a Runner, to a verdict, a result and files. Real
// runs it on this host's cores and Virtual in virtual time.
package bench

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// Options are how a scenario is run.
type Options struct {
	Workers int    // 0: from the host's topology
	Seed    uint64 // 0: a random one, which the result names
	// Idle is what threads do when there is nothing to do: one of engine.Idles.
	Idle string
	// MaxQueue, if not 0, ends a run whose queue is longer, with its verdict.
	MaxQueue int
	// Service is the distribution of service times: "fixed" (the default), "exponential",
	// "lognormal:cv=2" with a coefficient of variation, or "measured:FOLDER", as in a run on
	// the real engine, whose services have a distribution of their own.
	Service string
	// Runbook, if set, is what the operator does, instead of what the scenario says.
	Runbook *scenario.Runbook
	// Folder, if set, is made for the run's files; it must not exist.
	Folder   string
	Progress io.Writer // what happens, a line each; nil is nobody
}

// Say tells Progress, if there is one.
func (o *Options) Say(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// DrawSeed is the seed that was asked for or, of 0, a random one that is short enough to be
// typed. What runs several seeds draws once, at its beginning, and names what it drew.
func DrawSeed(seed uint64) uint64 {
	if seed == 0 {
		seed = rand.Uint64()>>32 + 1
	}
	return seed
}

// Runner runs a scenario to a verdict. Studies are made of runs and know nothing else of
// what is behind them: this host's cores, virtual time, somebody's service.
type Runner interface {
	// Run runs a scenario. The error is ctx's if it was interrupted, wraps ErrScenario where
	// there can be no such run, and ErrFiles if the result is there and its files are not; a
	// verdict, even that the run is invalid, is none.
	Run(ctx context.Context, s scenario.Scenario, o Options) (*Result, error)
	// Name is what results, manifests and flags call it.
	Name() string
	// Alone says that two runs at a time would measure each other.
	Alone() bool
}

// Runners are those that there are, by Name.
var Runners = []Runner{Real{}, Virtual{}}

// RunnerOf returns the Runner of that name.
func RunnerOf(name string) (Runner, error) {
	var names []string
	for _, r := range Runners {
		if r.Name() == name {
			return r, nil
		}
		names = append(names, r.Name())
	}
	return nil, scenario.Bad("engine", fmt.Sprintf("%q: want %s", name, strings.Join(names, " or ")))
}

// Real is the Runner on this host's cores: pinned goroutines and real work.
type Real struct{}

// Name implements Runner.
func (Real) Name() string { return "real" }

// Alone implements Runner.
func (Real) Alone() bool { return true }

// memoryLimit is the heap at which the parked collector runs all the same.
const memoryLimit = 16 << 30

// Run implements Runner.
func (Real) Run(ctx context.Context, s scenario.Scenario, o Options) (*Result, error) {
	began := time.Now()
	if o.Idle == "" {
		o.Idle = engine.Idles[0]
	}
	if !slices.Contains(engine.Idles, o.Idle) {
		return nil, scenario.Bad("idle", fmt.Sprintf("%q: want one of %s", o.Idle, strings.Join(engine.Idles, ", ")))
	}
	if o.Service != "" && o.Service != "fixed" {
		return nil, scenario.Bad("service", fmt.Sprintf("%q: services on real cores have a distribution of their own; it goes with the virtual engine", o.Service))
	}
	topology := host.ReadTopology()
	place := topology.Place(o.Workers)
	x, err := layOut(s, o, len(place.Workers), scenario.ShortestCheck)
	if err != nil {
		return nil, err
	}
	x.shards = topology.Shards(lease.BytesSharded*int64(x.Leases), x.Workers)
	if err := x.begin(true); err != nil {
		return nil, err
	}
	defer x.abandon()
	real := &engine.Real{Placement: place, Idle: o.Idle, Batch: workerBatch(x), MemoryLimit: memoryLimit}
	o.Say("%s: table %s, queue %s, admit %s, retry %s; %d leases, %d broken, %d workers, seed %d", x.Name, x.Table, x.Queue, x.Admit, x.Retry, x.Leases, x.Broken, x.Workers, x.seed)
	usage := host.ReadUsage()
	cal, service, err := x.calibrate(ctx, real)
	if err != nil {
		return nil, err
	}
	real.Service = service
	o.Say("calibrated: check %v, establish %v; capacity %s establishes/s, β %.2f", service[queue.Check], service[queue.Establish], show.Rate(x.Capacity(service)), x.Beta(x.Capacity(service)))
	var run engine.RealResult
	res, p, judge, err := x.run(service, func(p *engine.Plan) (_ engine.Result, err error) {
		run, err = real.Run(ctx, p)
		return run.Result, err
	})
	if err != nil {
		return res, err
	}
	after, err := cal.Measure(ctx, queue.Establish)
	if err != nil {
		return nil, err
	}
	res.Engine, res.GCs, res.HostGap, res.Placement = "real", run.GCs, pair(run.Gaps), place.Note
	res.Idle, res.Clock, res.ClockDrift = o.Idle, run.Clock, run.ClockDrift
	res.Drift = x.drift(p.Log, judge, service, after)
	if run.Unpinned != nil {
		res.Noisy = append(res.Noisy, fmt.Sprintf("threads are not pinned (%v): the scheduler moves them; allow sched_setaffinity", run.Unpinned))
	}
	res.judgeHarness(x.Timeout, float64(service[queue.Establish])/float64(x.Want[queue.Establish])-1)
	res.blame(host.Throttling(host.ReadUsage().Sub(usage), len(place.Workers)+1))
	res.Elapsed = time.Since(began).Seconds()
	if x.folder != nil {
		res.Folder = o.Folder
		info, build := host.ReadInfo(), ReadBuildInfo()
		if err := x.write(p.Log, res, run.Start, Manifest{Scan: lease.ScanForm(), Placement: &place, Host: &info, Build: &build, Usage: &run.Usage, Services: res.Services}); err != nil {
			return res, err
		}
	}
	return res, nil
}

// workerBatch is how many attempts a worker takes at a time: as many as an establish's
// share of the timeout allows, for what is taken is out of the discipline's hands.
func workerBatch(x *experiment) int {
	return int(min(max(x.Timeout/5000/x.Want[queue.Establish], 1), 32))
}

// calibrate fits the work to the service times that the scenario wants.
func (x *experiment) calibrate(ctx context.Context, real *engine.Real) (*engine.Calibration, engine.Service, error) {
	m, err := x.calibrationManager()
	if err != nil {
		return nil, engine.Service{}, err
	}
	cal, err := engine.NewCalibration(real, m, x.Leases)
	if err != nil {
		return nil, engine.Service{}, err
	}
	// A neighbour that comes or goes in between fits the work to another host: what was
	// fitted is measured once more, and fitted again where it does not hold.
	var service engine.Service
	for range fitTries {
		if service, err = cal.Fit(ctx, x.Want, x.costs); err != nil {
			return nil, service, err
		}
		again, err := cal.Measure(ctx, queue.Establish)
		if err != nil {
			return nil, service, err
		}
		if (again - service[queue.Establish]).Abs() < time.Duration(noisyFit*float64(again)) {
			break
		}
	}
	return cal, service, nil
}

// fitTries is how often the work is fitted, at most.
const fitTries = 3

// drift is how far capacity was from its calibration: in the run as a whole and in the
// recovery, by the time that services took, and in a calibration after it. The largest
// of the three.
func (x *experiment) drift(log *record.Log, j *Judge, calibrated engine.Service, after time.Duration) float64 {
	var recovery record.Tally
	until := x.end
	if ttr, ok := j.TTR(); ok {
		until = x.outage.To + ttr
	}
	for _, row := range log.Rows() {
		if at := time.Duration(row.Step) * step; at >= x.outage.To && at < until {
			recovery.Busy += row.Busy
			recovery.Planned += row.Planned
		}
	}
	worst := float64(calibrated[queue.Establish])/float64(after) - 1
	for _, t := range []record.Tally{log.Total(), recovery} {
		if t.Busy > 0 && t.Planned > 0 {
			if d := float64(t.Planned)/float64(t.Busy) - 1; max(d, -d) > max(worst, -worst) {
				worst = d
			}
		}
	}
	return worst
}
