package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fault"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Duty is what one agent does in a run whose droplets are split over several: it plays a range of them. It
// holds a scenario and the settings of the calls, and names no file and no command.
type Duty struct {
	Agent    int            `json:"agent"`  // from 0
	Agents   int            `json:"agents"` // of the run
	Scenario string         `json:"scenario_toml"`
	Seed     uint64         `json:"seed"`
	Rho      float64        `json:"rho"`     // as the coordinator has measured it
	Sigma    float64        `json:"sigma"`   // likewise
	Service  engine.Service `json:"service"` // likewise: mean service times by class
	Target   Service        `json:"target"`  // with this agent's share of the limits
}

// Range is the agent's part of n droplets.
func (d *Duty) Range(n int) fleet.Range {
	return fleet.Range{From: uint32(n * d.Agent / d.Agents), To: uint32(n * (d.Agent + 1) / d.Agents)}
}

// Sample is what an agent knows at a run time of its clock.
type Sample struct {
	Now time.Duration `json:"t"`
	engine.State
}

// Partial is what one agent measured. Partials of all agents of a run make its result.
type Partial struct {
	Log     *record.Log         `json:"log"`
	Samples []Sample            `json:"samples"` // about [WatchesPerTimeout] per timeout
	Target  engine.TargetResult `json:"target"`
	Outage  *fault.Report       `json:"outage"` // of the agent's proxy
	Broke   string              `json:"outage_failed,omitempty"`

	HealthyLost   int          `json:"healthy_lost"`
	Zones         []fleet.Zone `json:"zones"`
	LaunchesAgain int          `json:"launches_again"`
	// Hedges are those of the agent's droplets, Answered the times of HedgeReport.Checks; null: there are none.
	Hedges   fleet.Hedges    `json:"hedges"`
	Answered *record.Latency `json:"answered,omitempty"`
}

// Check returns an error for what no agent measures.
func (p *Partial) Check() error {
	for _, l := range []*record.Latency{p.Target.Gaps, p.Target.Lag} {
		if l == nil || l.Digits() != record.NewLatency().Digits() {
			return errors.New("no gaps, or no lag")
		}
	}
	if a := p.Answered; a != nil && a.Digits() != record.NewLatency().Digits() {
		return errors.New("no times of answers")
	}
	if p.Log == nil || p.Outage == nil {
		return errors.New("no log, or no outage")
	}
	return nil
}

// Agent is one generator of a run that has several, ready to start.
type Agent struct {
	x     *experiment
	plan  *engine.Plan
	fleet *fleet.Fleet
	clock atomic.Pointer[host.Clock]
	stop  atomic.Bool

	samples []Sample
}

// mostAgents bounds the agents of a run: a lease's id has the agent's number in its upper bits.
const mostAgents = 1 << 16

// agentLeases is where the ids of an agent's leases begin, times the agent's number.
const agentLeases = 1 << 40

// NewAgent readies an agent's part of a run. mayLoad are the hosts beside loopback that this agent may
// load, whatever the duty says. The caller calls Close in the end. Errors about the duty wrap
// scenario.ErrScenario.
func NewAgent(ctx context.Context, d Duty, mayLoad []string) (*Agent, error) {
	s, err := d.check()
	if err != nil {
		return nil, err
	}
	d.Target.MayLoad = mayLoad
	x, err := layOut(s, Options{Seed: d.Seed, Target: &d.Target}, 1)
	if err != nil {
		return nil, err
	}
	if d.Agents > x.Leases {
		return nil, scenario.Bad("leases", fmt.Sprintf("%d agents for %d leases: want at most one agent per lease", d.Agents, x.Leases))
	}
	x.played = d.Range(x.Leases)
	x.Rho, x.Sigma, x.Want = d.Rho, d.Sigma, d.Service
	if x.storm, err = openStorm(ctx, &d.Target, x.seed); err != nil {
		return nil, err
	}
	a := &Agent{x: x}
	if err := a.lay(uint64(d.Agent) * agentLeases); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// check returns the duty's scenario, or an error for what an agent must not do because a stranger asks.
func (d *Duty) check() (s scenario.Scenario, err error) {
	bad := func(key, format string, args ...any) (scenario.Scenario, error) {
		return s, scenario.Bad(key, fmt.Sprintf(format, args...))
	}
	if d.Agents < 1 || d.Agents > mostAgents || d.Agent < 0 || d.Agent >= d.Agents || d.Seed == 0 {
		return bad("agents", "agent %d of %d with seed %d: want 1 to %d agents, counted from 0, and a seed", d.Agent, d.Agents, d.Seed, mostAgents)
	}
	if s, err = scenario.Parse("the coordinator's scenario", []byte(d.Scenario)); err != nil {
		return s, err
	}
	s.ServiceLaw = scenario.FixedServices // of the service, and not read here
	for _, t := range d.Service {
		if t <= 0 {
			return bad("service", "a service time of %v: want the coordinator's measurement", t)
		}
	}
	if err := agentSettings(&d.Target); err != nil {
		return s, err
	}
	return s, Target{}.Check(&s)
}

// agentSettings returns an error for settings that name what only one host has, or a command.
func agentSettings(s *Service) error {
	spec, err := fault.Parse(s.Outage)
	switch {
	case err != nil:
		return scenario.Bad("outage", err.Error())
	case !spec.Proxied() && spec.Kind != "none":
		return scenario.Bad("outage", fmt.Sprintf("%q: an agent runs no command and calls no hook: the coordinator does", s.Outage))
	case s.Client.Connections.CA != "":
		return scenario.Bad("target", "connections.ca names a file of one host: agents trust the certificates of their own systems")
	case s.Client.Connections.From != "":
		return scenario.Bad("target", "connections.from names addresses of one host: an agent calls from its own")
	}
	return nil
}

// lay makes the agent's plan. lease is the id below those of its leases.
func (a *Agent) lay(lease uint64) error {
	if err := a.x.begin(false); err != nil {
		return err
	}
	defer a.x.abandon()
	a.x.storm.drive.Lease = lease
	p, _, err := a.x.stormPlan(a.x.Want, 0)
	if err != nil {
		return err
	}
	a.plan, a.fleet = p, p.Source.(*fleet.Fleet)
	const most = 1 << 20 // a longer run's samples grow beyond it
	a.samples = make([]Sample, 0, min(most, int(a.x.end/p.WatchPeriod)+1))
	guard := &memoryGuard{b: memory, watch: a.watch, step: p.Log.Step, next: memoryStep}
	p.Watch = guard.Watch
	a.x.storm.begun = func(c host.Clock) { a.clock.Store(&c) }
	host.NewClock() // the first one takes its time
	return nil
}

// watch keeps a sample.
func (a *Agent) watch(now time.Duration, s engine.State) bool {
	a.samples = append(a.samples, Sample{now, s})
	return a.stop.Load()
}

// Run waits for start, which returns at the common instant, and plays the agent's droplets until the end
// of the run, or until Stop. see, if set, is told of the steps of the series as they pass, on a goroutine
// that delays nothing measured.
func (a *Agent) Run(ctx context.Context, start func(context.Context) error, see func(*record.News)) (*Partial, error) {
	if see != nil {
		a.plan.Log.Watch(see)
	}
	if err := start(ctx); err != nil {
		return nil, err
	}
	res, err := a.x.storm.run(ctx, a.plan)
	if err != nil {
		return nil, err
	}
	outage, broke := a.x.storm.close()
	p := &Partial{
		Log: a.plan.Log, Samples: a.samples, Target: res, Outage: outage,
		HealthyLost: a.fleet.HealthyLost(), Zones: a.fleet.Zones(), LaunchesAgain: a.fleet.LaunchesAgain(),
		Hedges: a.fleet.Hedges(),
	}
	if a.x.hedges != nil {
		p.Answered = a.x.hedges.checks
	}
	if broke != nil {
		p.Broke = broke.Error()
	}
	return p, nil
}

// Now returns the agent's run time. ok is false before its start. It may be called concurrently.
func (a *Agent) Now() (now time.Duration, ok bool) {
	c := a.clock.Load()
	if c == nil {
		return 0, false
	}
	return c.Now(), true
}

// Stop ends the run early. It may be called concurrently.
func (a *Agent) Stop() { a.stop.Store(true) }

// Close ends the calls and the outage. It may be called again.
func (a *Agent) Close() { _, _ = a.x.storm.close() }

// AgentReport is an agent in a run's result.
type AgentReport struct {
	Name string `json:"name"`
	Host string `json:"host"`
	// Droplets are those that it played.
	Droplets fleet.Range `json:"droplets"`
	Requests uint64      `json:"requests"`
	// Offset is how far its run clock was from the coordinator's at the end of the run, and Error bounds
	// the error of that: half of the shortest round trip. Null: it was not measured.
	Offset *float64 `json:"clock_offset_ms"`
	Error  *float64 `json:"clock_error_ms"`
	// Wall is the offset of its wall clock before the run. The run does not depend on it.
	Wall *float64 `json:"wall_clock_offset_ms"`
	Slip Pair     `json:"slip_ms"`
	Lag  Pair     `json:"lag_ms"`
	// Lost says why its part is missing or cut short; "": it is whole.
	Lost string `json:"lost,omitempty"`
}

// name is the agent in a sentence.
func (r *AgentReport) name() string {
	return fmt.Sprintf("agent %s on %s", r.Name, cmp.Or(r.Host, "an unknown host"))
}
