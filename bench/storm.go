package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fault"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// storm is a service that is not ours, ready to be asked.
type storm struct {
	protocol client.Protocol
	settings client.Settings
	drive    *engine.Target
	outage   fault.Outage // nil: closed, or none
	report   TargetReport
	rng      *rand.Rand
	operator *commands
	used     uint64 // requests before the run
	spent    bool   // more than limits.requests would have been made
	nextAt   time.Time
	cost     *fault.Cost // of the proxy; nil: there is none
	made     *fault.Report
	err      error
	begun    func(host.Clock) // told of the run's clock as it starts; nil: nobody asks
}

// openStorm checks that the service may be asked, starts what makes its outage, and opens the protocol.
func openStorm(ctx context.Context, s *Service, seed uint64) (*storm, error) {
	settings := s.Client
	settings.MayLoad = s.MayLoad
	if err := settings.Validate(); err != nil {
		return nil, scenario.Bad("target", err.Error())
	}
	if err := client.Allowed(settings.URL, s.MayLoad); err != nil {
		return nil, scenario.Bad("target", err.Error())
	}
	spec, err := fault.Parse(s.Outage)
	if err != nil {
		return nil, scenario.Bad("outage", err.Error())
	}
	if spec.Kind == "hook" {
		if err := client.Allowed(spec.To, s.MayLoad); err != nil {
			return nil, scenario.Bad("outage", err.Error())
		}
	}
	at, err := client.HostPort(settings.URL)
	if err != nil {
		return nil, scenario.Bad("target", err.Error())
	}
	w := &storm{report: TargetReport{URL: settings.URL}, rng: rand.New(rand.NewPCG(seed, 0x73746f726d)), operator: newCommands(ctx)}
	if w.outage, err = spec.Start(ctx, at); err != nil {
		return nil, fmt.Errorf("the outage: %w", err)
	}
	if settings.Via = w.outage.Via(); settings.Via != "" {
		if settings.Connections.From != "" {
			_, _ = w.close()
			return nil, scenario.Bad("target", "connections.from: the proxy that makes the outage calls the service from one address: take --outage none, exec or a URL")
		}
		if w.cost, err = fault.MeasureCost(ctx); err != nil {
			_, _ = w.close()
			return nil, err
		}
	}
	if w.protocol, err = client.Open(settings); err != nil {
		_, _ = w.close()
		return nil, scenario.Bad("target", err.Error())
	}
	w.drive = &engine.Target{Limits: settings.Limits}
	w.settings = settings
	return w, nil
}

// run starts the clock and carries the plan out.
func (w *storm) run(ctx context.Context, p *engine.Plan) (engine.TargetResult, error) {
	w.drive.Clock = host.NewClock()
	if w.begun != nil {
		w.begun(w.drive.Clock)
	}
	if w.drive.Limits.Requests > 0 {
		w.drive.Limits.Requests -= min(w.used, w.drive.Limits.Requests-1)
	}
	w.drive.Client = client.NewPool(w.settings, w.protocol, w.drive.Clock.Now)
	return w.drive.Run(ctx, p)
}

// clients is the most calls at a time of a closed loop.
func (w *storm) clients() int { return min(mostClients, w.settings.Connections.Most) }

// close ends the calls and the outage. It may be called again.
func (w *storm) close() (*fault.Report, error) {
	if w.drive != nil && w.drive.Client != nil {
		w.drive.Client.Close()
	}
	if w.outage != nil {
		report, err := w.outage.Close()
		report.Cost = w.cost
		w.made, w.err, w.outage = &report, err, nil
		w.err = errors.Join(w.err, w.operator.finish(stepPatience))
	}
	return w.made, w.err
}

// How long a closed loop goes on at each number of clients; tests shorten it.
var primeLeast, probeLeast = 300 * time.Millisecond, time.Second

const (
	mostClients  = 256
	primedEnough = 0.99 // of the droplets

	// stepPatience is how long the commands of an operator's steps may go on after the run.
	stepPatience = 5 * time.Second
)

// prime lets each droplet establish its lease, as fast as the service answers, and then measures how
// fast it answers checks: capacity, ρ and σ. Without priming they are the scenario's.
func (x *experiment) prime(ctx context.Context) error {
	w := x.storm
	w.report.CapacityFrom, w.report.Rho, w.report.Sigma = "the scenario", x.Rho, x.Sigma
	if x.how.Target.Client.Prime {
		if err := x.measureService(ctx); err != nil {
			return err
		}
	}
	x.how.Say("capacity %s establishes/s (from %s), ρ %.2f, σ %.1f, β %.2f", show.Rate(x.Capacity(x.Want)), w.report.CapacityFrom, x.Rho, x.Sigma, x.Beta(x.Capacity(x.Want)))
	if x.Rho >= 1 {
		return scenario.Bad("leases", fmt.Sprintf("the checks of %d leases every %v take %.2f of what the service can do: lower leases or raise interval", x.Leases, x.Interval, x.Rho))
	}
	return nil
}

func (x *experiment) measureService(ctx context.Context) error {
	w := x.storm
	began := time.Now()
	droplet, primed := 0, 0
	// Of few leases each is established several times: the ramp must come to its end.
	each := w.limited(func() (uint32, bool) {
		droplet++
		return uint32((droplet - 1) % x.Leases), true
	})
	if err := settle(ctx, w.protocol, x.Timeout, each, x.how.Say); err != nil {
		return serviceError(err)
	}
	droplet = 0
	establishes, err := saturate(ctx, w.protocol, queue.Establish, x.Timeout, w.clients(), primeLeast, each, nil)
	if err != nil {
		return serviceError(err)
	}
	best := highest(establishes)
	if droplet < x.Leases { // those that are left, without haste
		rest, _, err := closedLoop(ctx, w.protocol, queue.Establish, best.Clients, x.Timeout, time.Hour, func() (uint32, bool) {
			if droplet >= x.Leases {
				return 0, false
			}
			return each()
		}, nil)
		if err != nil {
			return serviceError(err)
		}
		establishes = append(establishes, rest)
	}
	for _, r := range establishes {
		primed += r.Good
	}
	if w.spent {
		return scenario.Bad("target", fmt.Sprintf("limits.requests: %d requests are spent before the run: raise it, or lower leases", w.used))
	}
	if float64(primed) < primedEnough*float64(x.Leases) {
		last := establishes[len(establishes)-1]
		return fmt.Errorf("before the run %d of %d droplets got a lease: %s; see what the service says to one: %s", primed, x.Leases, last.Why, w.report.URL)
	}
	checks, err := saturate(ctx, w.protocol, queue.Check, x.Timeout, w.clients(), primeLeast, w.limited(func() (uint32, bool) { return w.rng.Uint32N(uint32(x.Leases)), true }), nil)
	if err != nil {
		return serviceError(err)
	}
	x.fitService(best.PerSecond, highest(checks).PerSecond)
	w.report.CapacityFrom = fmt.Sprintf("%d establishes and %d clients before the run", primed, best.Clients)
	w.report.Rho, w.report.Sigma, w.report.Establishes, w.report.Checks = x.Rho, x.Sigma, establishes, checks
	x.how.Say("primed: %s leases in %v", show.Count(primed), time.Since(began).Round(time.Millisecond))
	return nil
}

// limited keeps draws of droplets, each of which is a request, within the client's limits. The caller holds a
// lock, so that the requests follow each other.
func (w *storm) limited(next func() (uint32, bool)) func() (uint32, bool) {
	limits := w.settings.Limits
	return func() (uint32, bool) {
		if limits.Requests > 0 && w.used >= limits.Requests {
			w.spent = true
			return 0, false
		}
		if w.used++; limits.Rate > 0 {
			now := time.Now()
			if w.nextAt = w.nextAt.Add(time.Duration(1e9 / limits.Rate)); w.nextAt.Before(now) {
				w.nextAt = now
			}
			time.Sleep(time.Until(w.nextAt))
		}
		return next()
	}
}

// serviceError says which error is the service's.
func serviceError(err error) error { return fmt.Errorf("before the run: %w", err) }

// fitService replaces ρ, σ and the service times by those of a service with these capacities, in
// attempts per second.
func (x *experiment) fitService(establishes, checks float64) {
	x.Sigma = checks / establishes
	x.Rho = float64(x.Leases) / x.Interval.Seconds() / checks
	x.Costs = [queue.Classes]float64{1, x.Sigma, x.Sigma}
	for class, rate := range [queue.Classes]float64{checks, establishes, establishes} {
		x.Want[class] = time.Duration(float64(x.Workers) * 1e9 / rate)
	}
}

// stormPlan is plan for a service that is not ours.
func (x *experiment) stormPlan(s engine.Service, maxQueue int) (*engine.Plan, *Judge, error) {
	w := x.storm
	w.drive.Interval = x.Interval
	if x.HedgeAfter > 0 {
		w.drive.Requests = dwfm.NewRequests(x.Leases)
	}
	w.drive.Turn = min(max(x.Timeout/turnsPerTimeout, 100*time.Microsecond), time.Millisecond)
	p, j, f, err := x.frame(s, maxQueue, nil, w.drive.Seed(x.Leases, x.TTL))
	if err != nil {
		return nil, nil, err
	}
	if x.Outage > 0 {
		p.Events = append(p.Events,
			engine.Event{At: x.outage.From, Do: func(time.Duration) { w.outage.Begin() }},
			engine.Event{At: x.outage.To, Do: func(time.Duration) { w.outage.End() }})
	}
	for i, step := range x.steps {
		do, err := x.clientStep(step, f)
		if err != nil {
			return nil, nil, err
		}
		p.Events = append(p.Events, engine.Event{At: x.act(i), Do: func(time.Duration) { do() }})
	}
	x.watched(p, j)
	return p, j, nil
}

// clientStep is a step that an operator can take without being the service's own.
func (x *experiment) clientStep(step scenario.Step, f *fleet.Fleet) (func(), error) {
	switch step.Do {
	case "exec":
		if x.played != (fleet.Range{}) {
			return func() {}, nil // the coordinator's
		}
		return func() { x.storm.operator.start(step.To) }, nil
	case "switch-retry":
	default:
		return nil, scenario.Bad("runbook", fmt.Sprintf("%s: %s", step.Do, Foreign("restarts", true)))
	}
	retry, err := admit.MakeRetry(step.To, x.Timeout)
	return func() { f.SetRetry(retry) }, err
}
