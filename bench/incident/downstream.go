package incident

import (
	"math"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/balancer"
	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/network"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/incident/services"
	"github.com/leasestorm/leasestorm/bench/incident/watch"
	"github.com/leasestorm/leasestorm/queue"
)

// point is one step of the replay's series.
type point struct {
	at       time.Duration
	plan     int     // in force for the endpoint; 0: none
	records  int     // of the endpoint's name
	name     float64 // share of the calls of clients everywhere that succeed
	internal float64 // the same for internal callers
	Moment
	lost     float64       // share of the leases
	age      time.Duration // expected wait of a new attempt at the managers
	launchOK float64       // share of the launches asked for; NaN: none was
	network.Outputs
	targets   balancer.Outputs
	inService float64 // share of the targets
	up        services.Outputs
}

// externals is the number of clients whose mean is the name's availability for clients everywhere.
const externals = 50

// externalLifetime is how long such a client keeps a connection: an estimate.
const externalLifetime = 5 * time.Minute

// smooth is the number of steps over which the share of good launches is taken: in a small region
// few launches fall into one step.
const smooth = 10

// downstream carries what depends on the managers through the day.
func (r *replay) downstream() (*Result, error) {
	res := r.head()
	r.judged(res)
	clients, err := r.clients()
	if err != nil {
		return nil, err
	}
	demand := max(r.launchDemand(), 1e-9) // the network manager and the balancers are scaled by it
	limits, let := r.limits(), 1.0        // share of the launches that the operator lets in
	net, err := network.New(network.Default(Step, float64(2*demand)))
	if err != nil {
		return nil, err
	}
	lb := balancer.Default(Step, r.cfg.Seed, demand)
	if r.cfg.Balancer.Velocity {
		lb.Velocity = balancer.VelocityLimit
	}
	targets, err := balancer.New(lb)
	if err != nil {
		return nil, err
	}
	graph, err := services.Generate(r.cfg.Services, r.cfg.Seed)
	if err != nil {
		return nil, err
	}
	up, err := services.New(graph, Step, r.cfg.Options)
	if err != nil {
		return nil, err
	}
	var alerts watch.Watch
	res.RunningAtBegin = runningPerLease * r.cfg.Manager.Leases
	stops, stopped := demand*Step.Seconds(), 0.0 // asked for in a step; done
	failOverOff, internal := r.cfg.Balancer.FailOverOff, false
	asked, good := window{}, window{}
	steps := r.cfg.Runbook.Steps
	for i := range min(len(r.dwfm.Moments), int(r.cfg.End/Step)) {
		p := point{at: time.Duration(i) * Step, Moment: r.dwfm.Moments[i]}
		for len(steps) > 0 && steps[0].At <= p.at {
			switch steps[0].Do {
			case operator.MendInternal:
				internal = true
			case operator.FailOverOff:
				failOverOff = true
			case operator.FailOverOn:
				failOverOff = r.cfg.Balancer.FailOverOff
			}
			steps = steps[1:]
		}
		for ; len(limits) > 0 && limits[0].at <= p.at; limits = limits[1:] {
			let = limits[0].share
		}
		p.lost = 1 - float64(p.Active)/float64(r.cfg.Manager.Leases)
		p.plan, p.records = r.name.Record(p.at)
		for _, c := range clients {
			p.name += c.Reachable(p.at) / externals
		}
		if p.internal = p.name; internal {
			p.internal = 1
		}
		// A launch that the managers carry out fails all the same if its metadata cannot be written.
		offered, failed := p.Offered[queue.Launch], p.Done[queue.Failed][queue.Launch]
		carried := p.Done[queue.Good][queue.Launch]
		ok := uint64(math.Round(float64(float64(carried) * p.name)))
		res.NoMetadata += carried - ok
		over := float64(demand * Step.Seconds() * (1 - let))
		res.LaunchesAsked += offered + uint64(math.Round(over))
		res.LaunchesOK += ok
		res.NoCapacity += failed
		res.LimitExceeded += p.Refused[queue.Launch] + uint64(math.Round(over))
		asked.add(float64(offered) + over)
		good.add(float64(ok))
		if p.launchOK = math.NaN(); asked.sum > 0 && i >= smooth { // the first ones are still under way
			p.launchOK = min(1, good.sum/asked.sum)
		}
		res.StopsAsked += uint64(math.Round(stops))
		res.StopsFailed += uint64(math.Round(stops * (1 - p.name)))
		stopped += float64(stops * p.name)
		// What comes after the managers.
		whole := float64(p.Active) >= bench.SteadyShare*float64(r.cfg.Manager.Leases)
		p.Outputs = net.Step(p.at, network.Inputs{Launched: float64(ok), Terminated: stops, Held: p.name < 0.5 || !whole})
		p.targets = targets.Step(p.at, balancer.Inputs{New: float64(ok), Delay: p.Delay, FailOverOff: failOverOff})
		launches := p.launchOK
		if math.IsNaN(launches) {
			launches = 1
		}
		p.up = up.Step(p.at, services.Inputs{Name: p.name, Internal: p.internal, Launches: launches, Network: p.Delay, Errors: p.targets.Errors})
		p.inService = p.targets.InService / lb.Targets
		p.age = p.wait()
		alerts.Step(p.at, r.indicators(&p))
		r.count(res, &p)
		res.series = append(res.series, p)
	}
	res.LaunchesLate = res.LaunchesAsked - res.LaunchesOK - res.NoMetadata - res.NoCapacity - res.LimitExceeded
	res.RunningAtEnd = res.RunningAtBegin + int(float64(res.LaunchesOK)-stopped)
	report := up.Report()
	res.ServicesDownMax, res.ServiceHours = report.DownMax, report.Hours.Lost
	res.Services = servicesOf(report)
	res.changes = up.Changes()
	r.alerts(res, &alerts)
	r.timeline(res)
	return res, nil
}

// runningPerLease is the number of running instances per droplet at the beginning: an estimate.
const runningPerLease = 10

// window is a sum over the last steps.
type window struct {
	last [smooth]float64
	n    int
	sum  float64
}

func (w *window) add(x float64) {
	w.last[w.n%smooth] = x
	w.n++
	w.sum = 0
	for _, y := range w.last {
		w.sum += y
	}
}

// clients are those whose mean is the name's availability.
func (r *replay) clients() ([]*dependency.Client, error) {
	var all []*dependency.Client
	for i := range uint64(externals) {
		cfg := r.cfg.Client
		cfg.Seed, cfg.Client, cfg.Away, cfg.Lifetime, cfg.Connections = r.cfg.Seed, 1<<32+i, r.empty, externalLifetime, 20
		c, err := dependency.New(cfg)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// wait is how long a new attempt would wait behind those that are queued (J. D. C. Little, 1961): the
// age of the oldest one, in a fifo.
func (m *Moment) wait() time.Duration {
	done := uint64(0)
	for _, outcome := range []queue.Outcome{queue.Good, queue.Late, queue.Failed} {
		done += m.Done[outcome].Sum()
	}
	if m.Queued == 0 || done == 0 {
		return 0
	}
	return time.Duration(float64(m.Queued) / float64(done) * float64(Step))
}

// indicators are what the alert rules look at.
func (r *replay) indicators(p *point) watch.Values {
	v := watch.Missing()
	v[watch.EmptyAnswers] = 0
	if p.records == 0 {
		v[watch.EmptyAnswers] = 1
	}
	v[watch.SlowEnactor] = r.name.Slowness(p.at)
	timeouts, asked := uint64(0), uint64(0)
	for _, class := range []queue.Class{queue.Check, queue.Establish} {
		asked += p.Offered[class]
		timeouts += p.Done[queue.Late][class] + p.Done[queue.Failed][class]
	}
	v[watch.HeartbeatTimeouts] = ratio(timeouts, asked)
	v[watch.QueueAge] = p.age.Seconds() / r.cfg.Manager.Timeout.Seconds()
	if !math.IsNaN(p.launchOK) {
		v[watch.LaunchFailures] = 1 - p.launchOK
	}
	return v
}

// count adds a step to the totals and extremes.
func (r *replay) count(res *Result, p *point) {
	res.LeaseHours += float64(float64(r.cfg.Manager.Leases-p.Active) * Step.Hours())
	res.NetworkBacklog = max(res.NetworkBacklog, int(p.Backlog))
	res.NetworkDelay = max(res.NetworkDelay, p.Delay.Seconds())
	res.Flaps += p.targets.Flaps
	if res.TargetsMin == 0 || p.inService < res.TargetsMin {
		res.TargetsMin = p.inService
	}
}

// alerts fills in when each rule fires first.
func (r *replay) alerts(res *Result, w *watch.Watch) {
	for i, rule := range watch.Rules {
		a := Alert{Name: rule.Alert, Knew: rule.Knew}
		if f, ok := w.First(i); ok {
			a.FiresAt = seconds(f.Fired)
			if knew, err := operator.At(rule.Knew); err == nil {
				a.Earlier = seconds(knew - f.Fired)
			}
		}
		res.Alerts = append(res.Alerts, a)
	}
}

// head is what a result says of its configuration.
func (r *replay) head() *Result {
	c := &r.cfg
	res := &Result{
		Schema: bench.ManifestSchema, Seed: c.Seed, Leases: c.Manager.Leases, Partitions: c.Partitions,
		Manager: c.Manager.Queue + "/" + c.Manager.Admit + "/" + c.Manager.Retry, Runbook: c.Runbook.Name,
		Outage: len(r.empty) > 0, DNSMend: c.DNS.Mends.String(), Events: eventsOf(r.name), empty: r.empty,
	}
	for _, w := range r.empty {
		res.OutageLength += (min(w.To, c.End) - w.From).Seconds()
	}
	if res.Outage {
		res.OutageAt = seconds(r.empty[0].From)
		if last := r.empty[len(r.empty)-1].To; last < c.End {
			res.ReturnAt = seconds(last)
		}
	}
	return res
}
