// Package bench makes one run of a scenario. A [Runner] takes the scenario to a verdict, a
// [Result] and files: [Real] on this host's cores, [Virtual] in virtual time.
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

// Options say how a scenario is run. The zero value is ready to use.
type Options struct {
	Seed uint64 // 0: a random seed, which the result names
	// Idle is what a thread does while it has no work: one of engine.Idles. "" is the first.
	// Virtual refuses any other value than "".
	Idle string
	// MaxQueue, if not 0, is the number of queued attempts above which the run ends.
	MaxQueue int
	// Runbook, if set, replaces the scenario's operator.
	Runbook *scenario.Runbook
	// Folder, if set, is created for the run's files. It must not exist.
	Folder string
	// Wait is how long Real waits, at most, for the host to be quiet before it calibrates; 0: it does
	// not look.
	Wait time.Duration
	// Part, if set, makes the run a part of a longer replay. Its files could not be made again from
	// a scenario alone, so Folder must be empty.
	Part *Part
	// Target is the service that the Runner Target asks. The others leave it alone.
	Target *Service
	// Live, if set, sees the run while it goes on.
	Live Live
	// Waiting is told, in a line each time, what Real waits for; nil: Progress is.
	Waiting  func(text string)
	Progress io.Writer // receives one line per event; nil: no progress is written
}

// Say writes a line to Progress, if it is set.
func (o *Options) Say(format string, args ...any) {
	if o.Progress != nil {
		fmt.Fprintf(o.Progress, format+"\n", args...)
	}
}

// DrawSeed returns seed, or a random seed if seed is 0. A random seed is at most 2^32, short
// enough to be typed. A study of several runs draws its first seed once and reports it.
func DrawSeed(seed uint64) uint64 {
	if seed == 0 {
		seed = rand.Uint64()>>32 + 1
	}
	return seed
}

// Runner runs a scenario to a verdict. Studies see runs through this interface only: a Runner
// may use this host's cores, virtual time, or a remote service.
type Runner interface {
	// Run runs a scenario. A verdict is no error, not even [Invalid]. The error
	//
	//   - is that of ctx if the run was interrupted
	//   - wraps scenario.ErrScenario if the scenario cannot be run
	//   - wraps [ErrMemory] if this host cannot hold the run
	//   - wraps [ErrAccounting] if attempts were lost or counted twice
	//   - wraps [ErrFiles] if the result is complete and its files could not be written
	Run(ctx context.Context, s scenario.Scenario, o Options) (*Result, error)
	// Name is the Runner's name in results, manifests and flags.
	Name() string
	// Alone reports whether two runs at the same time would disturb each other's measurement.
	Alone() bool
}

// Checker is a Runner that cannot run every scenario.
type Checker interface {
	// Check returns an error, which wraps scenario.ErrScenario, if the scenario is not for this Runner.
	Check(s *scenario.Scenario) error
}

// Runners are the built-in Runners.
var Runners = []Runner{Real{}, Virtual{}, Target{}}

// RunnerOf returns the Runner of the given name. An unknown name wraps scenario.ErrScenario.
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

// Real is the Runner that uses this host's cores: pinned goroutines and real work.
type Real struct{}

// Name implements Runner.
func (Real) Name() string { return "real" }

// Alone implements Runner.
func (Real) Alone() bool { return true }

// memoryLimit is the heap, in bytes, at which the parked garbage collector runs nevertheless.
const memoryLimit = 16 << 30

// Run implements Runner.
func (Real) Run(ctx context.Context, s scenario.Scenario, o Options) (res *Result, err error) {
	began := time.Now()
	if o.Idle == "" {
		o.Idle = engine.Idles[0]
	}
	if !slices.Contains(engine.Idles, o.Idle) {
		return nil, scenario.Bad("idle", fmt.Sprintf("%q: want one of %s", o.Idle, strings.Join(engine.Idles, ", ")))
	}
	if s.ServiceLaw != "" && s.ServiceLaw != scenario.FixedServices {
		return nil, scenario.Bad("service_law", fmt.Sprintf("%q: services on real cores have a distribution of their own; it goes with the virtual engine", s.ServiceLaw))
	}
	topology := host.ReadTopology()
	if most := len(topology.CPUs); s.Workers > most {
		return nil, scenario.Bad("workers", fmt.Sprintf("%d do not fit on the %d processors that this process may use, of which the generator takes one: --workers %d fits, and the virtual engine (sim) takes any number", s.Workers, most, max(1, most-1)))
	}
	place := topology.Place(s.Workers)
	s.Workers = len(place.Workers)
	x, err := layOut(s, o, scenario.ShortestCheck)
	if err != nil {
		return nil, err
	}
	x.shards = topology.Shards(lease.BytesSharded*int64(x.Leases), x.Workers)
	if err := x.begin(true); err != nil {
		return nil, err
	}
	defer x.abandon()
	defer func() { x.over(res, err) }()
	real := &engine.Real{Placement: place, Idle: o.Idle, Batch: workerBatch(x), MemoryLimit: memoryLimit}
	o.Say("%s: table %s, queue %s, admit %s, retry %s; %s leases, %s broken, %d workers, seed %d", x.Name, x.Table, x.Queue, x.Admit, x.Retry, show.Count(x.Leases), show.Count(x.Broken), x.Workers, x.seed)
	quiet, err := waitForQuiet(ctx, place, &o)
	if err != nil {
		return nil, err
	}
	usage, load := host.ReadUsage(), host.ReadLoad()
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
	res.disturbed(quiet, host.ReadLoad().Since(load, place.Need()))
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

// workerBatch is how many attempts a worker takes at a time: the establishes that one worker
// serves in 1/5000 of the timeout, 1 to 32. The discipline cannot reorder a taken attempt.
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
	// The load of other processes may change during the fit. So the fitted service is measured
	// once more, and fitted again if the two differ by more than noisyFit.
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

// fitTries is the largest number of fits.
const fitTries = 3

// drift is the deviation of capacity from its calibration, as a share: the largest of three.
//
//  1. The whole run: planned over measured service time.
//  2. The recovery: planned over measured service time.
//  3. A calibration after the run.
func (x *experiment) drift(log *record.Log, j *Judge, calibrated engine.Service, after time.Duration) float64 {
	var recovery record.Tally
	until := x.end
	if ttr, ok := j.TTR(); ok {
		until = x.outage.To + ttr
	}
	for _, row := range log.Rows() {
		if at := time.Duration(row.Step) * x.seriesStep(); at >= x.outage.To && at < until {
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

// WorkersOf returns the workers that a run of the scenario has: its own, or those that the Runner
// chooses.
func WorkersOf(r Runner, s *scenario.Scenario) int {
	if s.Workers == 0 && r.Alone() && r.Name() != (Target{}).Name() {
		return len(host.ReadTopology().Place(0).Workers)
	}
	return max(1, s.Workers)
}
