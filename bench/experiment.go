package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// step of a run's series.
const step = 100 * time.Millisecond

// experiment is a scenario fitted to a number of workers.
type experiment struct {
	Scenario          // fitted
	asked    Scenario // as it was given
	workers  int
	renewal  float64 // how many times longer intervals are than the scenario's; 0: not
	shards   int     // that the host suggests for the table; 0: nothing
	seed     uint64
	costs    dwfm.Costs
	want     engine.Service
	outage   dwfm.Outage // To is the return; 0 where there is no outage
	steps    []Step      // what the operator does
	runbook  *Runbook    // that says so; nil: the scenario does
	how      SimOptions  // that it was asked for with
	sweep    []float64   // offered loads
	end      time.Duration
	phases   []record.Phase

	// What the operator switches, of the manager that was made last; nil: nothing.
	switchQueue *queue.Switch
	switchAdmit *admit.Switch
}

// The path around the work bounds what one worker can serve. Below this a check's
// service is more path than work, and a real run would measure the harness.
const shortestCheck = 500 * time.Nanosecond

func newExperiment(s Scenario, workers int, seed uint64, shortest time.Duration) (*experiment, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	x := &experiment{Scenario: s, asked: s, workers: workers, seed: seed}
	if err := x.renewSlower(); err != nil {
		return nil, err
	}
	x.Spread += x.ExpirySpread
	var err error
	if x.sweep, err = s.loads(); err != nil {
		return nil, err
	}
	x.costs = dwfm.Costs{Class: [queue.Classes]float64{1, s.Sigma, s.Sigma}, Dead: s.Delta, Backlog: s.Kappa}
	if err := x.fit(shortest); err != nil {
		return nil, err
	}
	x.schedule()
	return x, x.check()
}

// renewSlower makes interval and TTL longer until checks take no more than renew_rate.
func (x *experiment) renewSlower() error {
	if x.RenewRate == 0 || x.RenewRate >= x.Rho {
		return nil
	}
	// Nomad: a TTL of at least the nodes over the rate; here the interval with it.
	grow := x.Rho / x.RenewRate
	if ttl := grow * float64(x.TTL); ttl > float64(lastDeadline) {
		return &keyError{"renew_rate", fmt.Sprintf("%g makes leases live %.3g times as long, %.3g days, and a table holds %.1f: raise it, or lower ttl", x.RenewRate, grow, ttl/float64(day), float64(lastDeadline)/float64(day))}
	}
	x.Interval, x.TTL = time.Duration(grow*float64(x.Interval)), time.Duration(grow*float64(x.TTL))
	x.renewal = grow
	return nil
}

// fit sets the number of leases and the service times to the workers. It counts in float64,
// as what is refused may be more than a time can hold.
func (x *experiment) fit(shortest time.Duration) error {
	defer func() {
		if x.renewal > 0 {
			x.Rho /= x.renewal
		}
	}()
	check, service := float64(x.CheckService), "check_service"
	work := float64(x.workers) * float64(x.asked.Interval) // that workers can do between two checks
	capacity := x.Rho * work                               // worker time for one check of every lease
	switch x.Scale {
	case "service":
		check, service = capacity/float64(x.Leases), "leases"
	case "leases":
		n := capacity / check
		if n >= mostLeases {
			return &keyError{service, fmt.Sprintf("%v for a check makes %.3g leases, more than %.0f: raise it, or lower rho or interval", x.CheckService, n, float64(mostLeases))}
		}
		x.Broken = int(float64(x.Broken) * n / float64(x.Leases))
		x.Leases = int(n)
		x.Broken = min(x.Broken, x.mostBroken())
	default:
		x.Rho = float64(x.Leases) * check / work
	}
	if x.Rho >= 1 {
		return &keyError{"leases", fmt.Sprintf("%d leases whose checks take %v each need %.2f of %d workers: lower leases or check_service", x.Leases, x.CheckService, x.Rho, x.workers)}
	}
	if x.Leases < 1 || check < float64(shortest) {
		return &keyError{"leases", fmt.Sprintf("%d leases on %d workers leave %v for a check, and the path around it alone takes about %v: lower leases, or raise rho, interval or --workers", x.Leases, x.workers, time.Duration(check), shortest)}
	}
	for class, cost := range x.costs.Class {
		took := cost * check
		if took >= float64(x.Timeout) {
			mend := "raise leases or timeout, or lower sigma, rho or interval"
			if service != "leases" {
				mend = "lower check_service or sigma, or raise timeout"
			}
			return &keyError{service, fmt.Sprintf("the service of %s takes %.3g s and the timeout is %v, so that none is done in time: %s", queue.Class(class), took/1e9, x.Timeout, mend)}
		}
		x.want[class] = max(1, time.Duration(took))
	}
	return nil
}

// day is for people.
const day = 24 * time.Hour

// mostLeases is what a table holds.
const mostLeases = 1<<32 - 1

// lastDeadline is the latest deadline of a lease that a table and an attempt can hold: 49.7 days
// after the start of the run.
var lastDeadline = min(lease.MaxDeadline, queue.Millis(1<<32-1).Duration())

// check says what the run as it is laid out cannot hold, and what in it would not be.
func (x *experiment) check() error {
	if x.end > lastDeadline-x.TTL {
		key, mend := "ttl", "lower ttl, duration, outage or steady"
		switch {
		case x.renewal > 0:
			key, mend = "renew_rate", "raise renew_rate, or lower ttl"
		case len(x.sweep) > 0:
			key, mend = "loads", "leave out loads, or lower measure or timeout"
		}
		return &keyError{key, fmt.Sprintf("the run may last %v and its leases live %v longer, and a table holds deadlines up to %v: %s", x.end, x.TTL, lastDeadline.Round(time.Hour), mend)}
	}
	if n := len(x.steps); n > 0 && x.act(n-1) >= x.end {
		key, mend := "operator_at", "lower operator_at"
		if x.steps[n-1].at > x.OperatorAt {
			key, mend = "restart_every", "lower restart_every, restarts or operator_at"
		}
		return &keyError{key, fmt.Sprintf("the operator's last step is %v after the return, and the run ends %v after it: %s, or raise duration", x.steps[n-1].at, x.end-x.outage.To, mend)}
	}
	shares := []float64{x.Launch}
	for _, load := range x.sweep {
		shares = append(shares, load-x.Rho)
	}
	for i, share := range shares {
		if rate := x.launches(share, x.want); rate > mostLaunches {
			key := "launch"
			if i > 0 {
				key = "loads"
			}
			return &keyError{key, fmt.Sprintf("%g of capacity is %.3g launches a second, more than %g: lower it, or make services longer by fewer leases, a larger sigma or fewer --workers", share, rate, float64(mostLaunches))}
		}
	}
	return nil
}

// mostLaunches a second is what a fleet makes.
const mostLaunches = 1e9

// schedule lays out the phases.
func (x *experiment) schedule() {
	x.phases = []record.Phase{{Name: "steady"}}
	x.end = x.Duration
	if len(x.sweep) > 0 {
		x.scheduleSweep()
	}
	if x.Outage == 0 {
		return
	}
	x.outage = dwfm.Outage{From: x.Steady, To: x.Steady + x.Outage}
	x.end = x.outage.To + x.Duration
	x.disturb()
	x.phases = append(x.phases, record.Phase{Name: "outage", Start: x.outage.From}, record.Phase{Name: "return", Start: x.outage.To})
	if x.steps = x.operator(); len(x.steps) > 0 {
		x.phases = append(x.phases, record.Phase{Name: "operator", Start: x.act(0)})
	}
}

// disturb puts into the costs what goes wrong beside the surge.
func (x *experiment) disturb() {
	if x.Slow > 0 {
		x.costs.Slow, x.costs.Slowed = x.Slow, dwfm.Outage{From: x.outage.To, To: x.end}
		if x.SlowFor > 0 {
			x.costs.Slowed.To = x.outage.To + x.SlowFor
		}
	}
	if x.Pause > 0 {
		at := x.outage.To + x.PauseAt
		x.costs.Paused, x.costs.Check = dwfm.Outage{From: at, To: at + x.Pause}, x.want[queue.Check]
	}
}

// capacity is the establishes a second that the workers serve if they do nothing else.
func (x *experiment) capacity(s engine.Service) float64 {
	return float64(x.workers) / s[queue.Establish].Seconds()
}

// beta is the collapse number: how many timeouts the spare capacity needs to serve the
// surge once.
func (x *experiment) beta(capacity float64) float64 {
	return float64(x.Broken) / (capacity * x.Timeout.Seconds() * (1 - x.Rho))
}

// manager makes a fresh one, with its table, queue and controller.
func (x *experiment) manager(controller string, s engine.Service, ttl time.Duration) (*dwfm.Manager, error) {
	// A grant comes before the end of what it supersedes.
	table, err := lease.Make(x.Table, lease.Env{Leases: x.Leases + 64*x.workers, Workers: x.workers, Shards: x.shards})
	if err != nil {
		return nil, err
	}
	retry, err := admit.MakeRetry(x.Retry, x.Timeout)
	if err != nil {
		return nil, err
	}
	wait := x.TTL // of a policy that does not say
	if l, ok := retry.(admit.Longest); ok {
		wait = l.Longest()
	}
	cfg := queue.Config{Timeout: x.Timeout, TTL: x.TTL, MaxWait: x.Wait + wait, Service: s, Workers: x.workers}
	q, err := queue.Make(x.Queue, cfg)
	if err != nil {
		return nil, err
	}
	c, err := admit.Make(controller, x.admitConfig(s))
	if err != nil {
		return nil, err
	}
	if x.ThenQueue != "" {
		then, err := queue.Make(x.ThenQueue, cfg)
		if err != nil {
			return nil, err
		}
		x.switchQueue = queue.NewSwitch(q, then)
		q = x.switchQueue
	}
	if x.ThenAdmit != "" {
		then, err := admit.Make(x.ThenAdmit, x.admitConfig(s))
		if err != nil {
			return nil, err
		}
		x.switchAdmit = admit.NewSwitch(c, then)
		c = x.switchAdmit
	}
	return dwfm.New(dwfm.Config{
		Droplets: x.Leases, TTL: ttl, Costs: x.costs, Outage: x.outage, Table: table, Queue: q, Admit: c,
	})
}

func (x *experiment) admitConfig(s engine.Service) admit.Config {
	c := admit.Config{Timeout: x.Timeout, Capacity: x.capacity(s), Rho: x.Rho, Workers: x.workers, Return: x.outage.To}
	for class, d := range s {
		c.Cost[class] = float64(d) / float64(s[queue.Establish])
	}
	return c
}

// calibrationManager is the manager of a calibration: the same parts, but nothing is
// refused, dropped for its age, dead or slowed.
func (x *experiment) calibrationManager() (*dwfm.Manager, error) {
	y := *x
	y.costs.Backlog, y.costs.Slowed, y.costs.Paused = 0, dwfm.Outage{}, dwfm.Outage{}
	y.outage = dwfm.Outage{}
	return y.manager("none", x.want, 2*engine.Patience)
}

// manyLeases is from how many leases on memory is what limits a run.
const manyLeases = 1_000_000

// plan makes the run with the service times as they were measured.
func (x *experiment) plan(s engine.Service, maxQueue int) (*engine.Plan, *Judge, error) {
	m, err := x.manager(x.Admit, s, x.TTL)
	if err != nil {
		return nil, nil, err
	}
	retry, err := admit.MakeRetry(x.Retry, x.Timeout)
	if err != nil {
		return nil, nil, err
	}
	f, err := fleet.New(fleet.Config{
		Droplets: x.Leases, Broken: x.Broken, Outage: x.outage, Spread: x.Spread, Interval: x.Interval, TTL: x.TTL,
		Timeout: x.Timeout, Retry: retry, Wait: x.Wait, Launches: x.launches(x.Launch, s), Zones: x.Zones, Seed: x.seed,
		Surge: x.SurgeZones, Jitter: x.CheckJitter, Grace: x.Grace,
	}, func(droplet uint32, until time.Duration) (lease.ID, error) { return m.Seed(0, until, droplet) })
	if err != nil {
		return nil, nil, err
	}
	if x.Leases >= manyLeases {
		runtime.GC() // what the making took serves the run again; there is nothing to scan
	}
	log := record.NewLog(record.Shape{Leases: x.Leases, Workers: x.workers, Step: step, Phases: x.phases})
	f.Leased = log.Recorder(x.workers).TimeToLease
	j := &Judge{Leases: x.Leases, Timeout: x.Timeout, Capacity: x.capacity(s), Return: x.outage.To, MaxQueue: maxQueue}
	p := &engine.Plan{
		Manager: m, Source: f, Log: log, End: x.end, Watch: j.Watch, WatchPeriod: x.Timeout / watchesPerTimeout,
	}
	if len(x.steps) > 0 {
		for i := range x.steps {
			j.Acts = append(j.Acts, x.act(i))
		}
		if p.Events, err = x.stepEvents(m, f, s); err != nil {
			return nil, nil, err
		}
	}
	if len(x.sweep) > 0 {
		p.Watch = j.Look
		p.Events = x.sweepEvents(m, f, s)
	}
	return p, j, nil
}

// launches is the rate at which launches ask for a share of capacity.
func (x *experiment) launches(share float64, s engine.Service) float64 {
	return share * x.capacity(s) * x.costs.Class[queue.Establish] / x.costs.Class[queue.Launch]
}
