package bench

import (
	"fmt"
	"runtime"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// step is the length of a step of a run's series.
const step = 100 * time.Millisecond

// experiment is a fitted scenario, laid out in run time.
type experiment struct {
	scenario.Fitted
	shards  int // number of the table's shards that suits the host; 0: the table's default
	seed    uint64
	costs   dwfm.Costs
	outage  dwfm.Window       // To is the dependency's return; zero: no outage
	steps   []scenario.Step   // the operator's
	runbook *scenario.Runbook // the source of steps; nil: the scenario is
	how     Options           // as given to Run
	end     time.Duration     // run time
	phases  []record.Phase
	folder  *record.Folder // claimed for the run's files; nil: none are asked for
	release func()         // gives back the memory that was promised to the making of the run
	virtual bool           // run time is not wall time
	see     func(Look)     // how.Live's answer; nil: nobody watches, or the run has not begun
	remotes []lease.Remote // the tables that were made and are in another process
	hedges  *HedgeReport   // of the fleet that was made last; nil: it does not hedge
	storm   *storm         // the service that is not ours; nil: this module's manager is under test
	played  fleet.Range    // the droplets of an agent; zero: this process plays all

	// The switches of the manager that was made last; nil: the operator does not switch.
	switchQueue *queue.Switch
	switchAdmit *admit.Switch
}

func newExperiment(s scenario.Scenario, seed uint64, shortest time.Duration) (*experiment, error) {
	fitted, err := scenario.Fit(s, shortest)
	if err != nil {
		return nil, err
	}
	x := &experiment{Fitted: fitted, seed: seed}
	x.costs = dwfm.Costs{Class: x.Costs, Dead: s.Delta, Backlog: s.Kappa, Refuse: s.RefuseCost, Reconnect: s.ConnectCost, Check: x.Want[queue.Check]}
	x.schedule()
	return x, x.check()
}

// check returns an error if the run exceeds a limit: of a table's deadlines, of the rate of
// launches, or of its own end, after which an operator's step would not happen.
func (x *experiment) check() error {
	if x.end > scenario.LastDeadline-x.TTL {
		key, mend := "ttl", "lower ttl, duration, outage or steady"
		switch {
		case x.Renewal > 0:
			key, mend = "renew_rate", "raise renew_rate, or lower ttl"
		case len(x.Loads) > 0:
			key, mend = "loads", "leave out loads, or lower measure or timeout"
		}
		return scenario.Bad(key, fmt.Sprintf("the run may last %v and its leases live %v longer, and a table holds deadlines up to %v: %s", x.end, x.TTL, scenario.LastDeadline.Round(time.Hour), mend))
	}
	if n := len(x.steps); n > 0 && x.act(n-1) >= x.end {
		key, mend := "operator_at", "lower operator_at"
		if x.steps[n-1].After > x.OperatorAt {
			key, mend = "restart_every", "lower restart_every, restarts or operator_at"
		}
		return scenario.Bad(key, fmt.Sprintf("the operator's last step is %v after the return, and the run ends %v after it: %s, or raise duration", x.steps[n-1].After, x.end-x.outage.To, mend))
	}
	shares := []float64{x.Launch}
	for _, load := range x.Loads {
		shares = append(shares, load-x.Rho)
	}
	for i, share := range shares {
		if rate := x.Launches(share, x.Want); rate > scenario.MostLaunches {
			key := "launch"
			if i > 0 {
				key = "loads"
			}
			return scenario.Bad(key, fmt.Sprintf("%g of capacity is %.3g launches a second, more than %g: lower it, or make services longer by fewer leases, a larger sigma or fewer --workers", share, rate, float64(scenario.MostLaunches)))
		}
	}
	return nil
}

// schedule lays out the phases, the outage and the operator's steps.
func (x *experiment) schedule() {
	x.phases = []record.Phase{{Name: "steady"}}
	x.end = x.Duration
	if len(x.Loads) > 0 {
		x.scheduleRamp()
	}
	if x.Outage == 0 {
		return
	}
	x.outage = dwfm.Window{From: x.Steady, To: x.Steady + x.Outage}
	x.end = x.outage.To + x.Duration
	x.disturb()
	x.phases = append(x.phases, record.Phase{Name: "outage", Start: x.outage.From}, record.Phase{Name: "return", Start: x.outage.To})
	if x.steps = x.Steps(); len(x.steps) > 0 {
		x.phases = append(x.phases, record.Phase{Name: "operator", Start: x.act(0)})
	}
}

// disturb sets the slow spell and the pause in the costs.
func (x *experiment) disturb() {
	if x.Slow > 0 {
		x.costs.SlowArrivals = x.SlowAt == scenario.SlowArrivals
		x.costs.Slow, x.costs.Slowed = x.Slow, dwfm.Window{From: x.outage.To, To: x.end}
		if x.SlowFor > 0 {
			x.costs.Slowed.To = x.outage.To + x.SlowFor
		}
	}
	if x.Pause > 0 {
		at := x.outage.To + x.PauseAt
		x.costs.Paused = dwfm.Window{From: at, To: at + x.Pause}
	}
}

// manager makes a new manager with its table, queue and controller.
func (x *experiment) manager(controller string, s engine.Service, ttl time.Duration) (*dwfm.Manager, error) {
	// The table has room for more leases: a new lease may be granted before the lease that it
	// replaces is freed.
	table, err := lease.Make(x.Table, lease.Env{Leases: x.Leases + 64*x.Workers, Workers: x.Workers, Shards: x.shards, TTL: ttl})
	if err != nil {
		return nil, err
	}
	if remote, ok := table.(lease.Remote); ok {
		x.remotes = append(x.remotes, remote)
	}
	retry, err := admit.MakeRetry(x.Retry, x.Timeout)
	if err != nil {
		return nil, err
	}
	wait := x.TTL // for a policy that does not state its longest wait
	if l, ok := retry.(admit.Longest); ok {
		wait = l.Longest()
	}
	var requests *dwfm.Requests
	cfg := queue.Config{Timeout: x.Timeout, TTL: x.TTL, MaxWait: x.Wait + wait, Service: s, Workers: x.Workers}
	if x.HedgeAfter > 0 {
		requests = dwfm.NewRequests(x.Leases)
		cfg.Answered = requests.Answered
	}
	q, err := queue.Make(x.Discipline(x.Queue), cfg)
	if err != nil {
		return nil, err
	}
	c, err := admit.Make(controller, x.admitConfig(s))
	if err != nil {
		return nil, err
	}
	if x.ThenQueue != "" {
		then, err := queue.Make(x.Discipline(x.ThenQueue), cfg)
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
	var dependency dwfm.Dependency = dwfm.Away(x.outage)
	if part := x.how.Part; part != nil && part.Dependency != nil && x.outage.To > 0 {
		dependency = part.Dependency
	}
	return dwfm.New(dwfm.Config{
		Droplets: x.Leases, TTL: ttl, Costs: x.costs, Dependency: dependency, Table: table, Queue: q, Admit: c, Requests: requests,
	})
}

func (x *experiment) admitConfig(s engine.Service) admit.Config {
	c := admit.Config{Timeout: x.Timeout, Capacity: x.Capacity(s), Rho: x.Rho, Workers: x.Workers, Return: x.outage.To}
	for class, d := range s {
		c.Cost[class] = float64(d) / float64(s[queue.Establish])
	}
	return c
}

// calibrationManager makes the manager of a calibration: the same table and discipline, without
// admission control, outage, slow spell, pause or backlog cost.
func (x *experiment) calibrationManager() (*dwfm.Manager, error) {
	y := *x
	y.costs.Backlog, y.costs.Refuse, y.costs.Reconnect, y.costs.Slowed, y.costs.Paused = 0, 0, 0, dwfm.Window{}, dwfm.Window{}
	y.outage, y.HedgeAfter = dwfm.Window{}, 0 // and no request was answered before
	m, err := y.manager("none", x.Want, 2*engine.Patience)
	x.remotes = y.remotes
	return m, err
}

// manyLeases is the number of leases from which on memory limits a run.
const manyLeases = 1_000_000

// plan makes the engine's plan and its judge, for the given mean service times.
func (x *experiment) plan(s engine.Service, maxQueue int) (*engine.Plan, *Judge, error) {
	if x.storm != nil {
		return x.stormPlan(s, maxQueue)
	}
	m, err := x.manager(x.Admit, s, x.TTL)
	if err != nil {
		return nil, nil, err
	}
	p, j, f, err := x.frame(s, maxQueue, m.Prefetch, func(droplet uint32, until time.Duration) (lease.ID, error) { return m.Seed(0, until, droplet) })
	if err != nil {
		return nil, nil, err
	}
	p.Manager = engine.Local(m)
	_, p.Blocking = m.Table().(lease.Remote)
	if len(x.steps) > 0 {
		if p.Events, err = x.stepEvents(m, f, s); err != nil {
			return nil, nil, err
		}
	}
	if len(x.Loads) > 0 {
		p.Watch = j.Look
		p.Events = x.rampEvents(m, f, s)
	}
	x.part(p, j, f, s)
	x.watched(p, j)
	return p, j, nil
}

// frame makes what a plan has whoever the manager is: the fleet, the log and the judge. seed and soon are
// fleet.New's.
func (x *experiment) frame(s engine.Service, maxQueue int, soon func([]uint32), seed func(uint32, time.Duration) (lease.ID, error)) (*engine.Plan, *Judge, *fleet.Fleet, error) {
	retry, err := admit.MakeRetry(x.Retry, x.Timeout)
	if err != nil {
		return nil, nil, nil, err
	}
	f, err := fleet.New(fleet.Config{
		Droplets: x.Leases, Broken: x.Broken, Outage: x.outage, Spread: x.Spread, Interval: x.Interval, TTL: x.TTL,
		Timeout: x.Timeout, Retry: retry, Wait: x.Wait, Launches: x.Launches(x.Launch, s), LaunchTries: x.LaunchTries, LaunchesEven: x.LaunchLaw == scenario.EvenLaunches, Zones: x.Zones, Seed: x.seed,
		Surge: x.SurgeZones, Jitter: x.CheckJitter, Grace: x.Grace, Soon: soon, Resume: x.resume(), Range: x.played,
		HedgeAfter: x.HedgeAfter, HedgeMost: x.HedgeMost,
	}, seed)
	if err != nil {
		return nil, nil, nil, err
	}
	if x.Leases >= manyLeases {
		runtime.GC() // frees the set-up's garbage for the run; the heap has few pointers to scan
	}
	log := record.NewLog(record.Shape{Leases: x.Leases, Workers: x.Workers, Step: x.seriesStep(), Phases: x.phases})
	f.Leased = log.Recorder(x.Workers).TimeToLease
	if x.HedgeAfter > 0 {
		x.hedges = hedging(f)
	}
	j := &Judge{Leases: x.Leases, Timeout: x.Timeout, Capacity: x.Capacity(s), Return: x.outage.To, MaxQueue: maxQueue}
	for i := range x.steps {
		j.Acts = append(j.Acts, x.act(i))
	}
	return &engine.Plan{Source: f, Log: log, End: x.end, Watch: j.Watch, WatchPeriod: x.Timeout / WatchesPerTimeout}, j, f, nil
}

// Check returns an error if a run of the scenario cannot be laid out, or one of its parts cannot
// be made. It does not run the scenario.
func Check(s scenario.Scenario) error {
	x, err := newExperiment(s, 1, 1)
	if err != nil {
		return err
	}
	x.Leases = min(x.Leases, 1000)
	defer x.closeTables()
	_, err = x.manager(x.Admit, x.Want, x.TTL)
	return err
}

// closeTables ends the tables in other processes. Their run is over: an error would change nothing.
func (x *experiment) closeTables() {
	for _, t := range x.remotes {
		_ = t.Close()
	}
	x.remotes = nil
}
