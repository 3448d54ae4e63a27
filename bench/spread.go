package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fault"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Crew are the agents of a run: processes on this host or others, each of which plays a [Duty] by an
// [Agent].
type Crew interface {
	// Size is the number of agents.
	Size() int
	// Play gives each agent its duty, starts all at a common instant, and returns when each has ended or
	// is lost; it stops the others as soon as one is. ends[i] is the end of duty i. An error says that
	// the run did not begin, or is that of ctx.
	Play(ctx context.Context, c Call) (ends []AgentEnd, err error)
}

// Call is what a Crew is to play.
type Call struct {
	Duties []Duty
	End    time.Duration // of the run, in run time
	// Began is called at the common instant with the coordinator's run clock.
	Began func(host.Clock)
	// Live is told of the steps of an agent's series as they pass, and of its latest leases and queue.
	// Calls come one after the other.
	Live func(agent int, rows []*record.Row)
}

// AgentEnd is how an agent's part has ended.
type AgentEnd struct {
	Name, Host string
	Partial    *Partial // nil: it did not arrive
	Lost       string   // why it is missing or cut short; "": it is whole
	// Clocked says that the three below were measured: see [AgentReport].
	Clocked             bool
	Offset, Error, Wall time.Duration
}

// Spread is the Runner Target with its droplets split over the agents of a crew. A run lasts until its
// latest end: the verdict is found from the samples of all agents, after the run.
type Spread struct{ Crew Crew }

// Name implements Runner.
func (Spread) Name() string { return Target{}.Name() }

// Alone implements Runner.
func (Spread) Alone() bool { return true }

// Check implements Checker.
func (Spread) Check(s *scenario.Scenario) error { return Target{}.Check(s) }

// Run implements Runner.
func (t Spread) Run(ctx context.Context, s scenario.Scenario, o Options) (*Result, error) {
	if o.Runbook != nil {
		return nil, scenario.Bad("runbook", "a run over several agents has no runbook: leave out --agents")
	}
	return runTarget(ctx, s, o, t.Crew)
}

// team is a run's crew with what it has come to.
type team struct {
	x      *experiment
	crew   Crew
	ends   []AgentEnd
	duties []Duty
	least  int // live leases, the fewest and the last
	last   int
	live   chorus

	// For the result, as a fleet has them.
	healthyLost, launchesAgain int
	zones                      []fleet.Zone
	hedges                     fleet.Hedges
}

// HealthyLost is that of all agents' fleets.
func (t *team) HealthyLost() int { return t.healthyLost }

// LaunchesAgain is that of all agents' fleets.
func (t *team) LaunchesAgain() int { return t.launchesAgain }

// Zones are those of all agents' fleets.
func (t *team) Zones() []fleet.Zone { return t.zones }

// Hedges are those of all agents' fleets.
func (t *team) Hedges() fleet.Hedges { return t.hedges }

// merged is the source of a plan that others have played.
type merged struct {
	engine.Source
	*team
}

// team makes a crew's duties.
func (x *experiment) team(crew Crew, s *scenario.Scenario) (*team, error) {
	t := &team{x: x, crew: crew}
	n := crew.Size()
	target := *x.how.Target
	spec, err := fault.Parse(target.Outage)
	if err != nil {
		return nil, scenario.Bad("outage", err.Error())
	}
	if !spec.Proxied() {
		target.Outage = "none" // the coordinator makes it
	}
	if err := agentSettings(&target); err != nil {
		return nil, err
	}
	limits, most := &target.Client.Limits, &target.Client.Connections.Most
	switch left := limits.Requests - min(x.storm.used, limits.Requests); {
	case n > x.Leases:
		return nil, scenario.Bad("leases", fmt.Sprintf("%d agents for %d leases: want at most one agent per lease", n, x.Leases))
	case n > *most:
		return nil, scenario.Bad("target", fmt.Sprintf("connections.most: %d for %d agents: want at least one each", *most, n))
	case limits.Requests > 0 && left < uint64(n):
		return nil, scenario.Bad("target", fmt.Sprintf("limits.requests: %d are left after priming for %d agents: raise it, or lower leases", left, n))
	case limits.Requests > 0:
		limits.Requests = left / uint64(n)
	}
	limits.Rate /= float64(n)
	*most /= n
	target.MayLoad = nil // each agent has its own
	for i := range n {
		t.duties = append(t.duties, Duty{
			Agent: i, Agents: n, Scenario: s.TOML(), Seed: x.seed, Rho: x.Rho, Sigma: x.Sigma, Service: x.Want, Target: target,
		})
	}
	return t, nil
}

// run lets the crew play the plan and puts together what it measured, as if one generator had.
func (t *team) run(ctx context.Context, p *engine.Plan) (_ engine.TargetResult, err error) {
	ctx, over := context.WithCancel(ctx)
	defer over()
	var acts sync.WaitGroup
	t.live = chorus{x: t.x, log: p.Log, agents: make([]map[int]*record.Row, len(t.duties)), newest: make([]int, len(t.duties)), judge: Judge{Leases: t.x.Leases, Timeout: t.x.Timeout, Return: t.x.outage.To}}
	t.ends, err = t.crew.Play(ctx, Call{Duties: t.duties, End: p.End, Live: t.live.rows, Began: func(c host.Clock) {
		t.x.storm.begun(c)
		acts.Go(func() { events(ctx, c, p.Events) })
	}})
	over()
	acts.Wait()
	if err != nil {
		return engine.TargetResult{}, err
	}
	sum := engine.NewTargetResult()
	for i := range t.ends {
		part := t.ends[i].Partial
		if part == nil {
			continue
		}
		if err := p.Log.Merge(part.Log); err != nil {
			return *sum, fmt.Errorf("agent %s: %w", t.ends[i].Name, err)
		}
		sum.Add(&part.Target)
		t.healthyLost += part.HealthyLost
		t.launchesAgain += part.LaunchesAgain
		t.hedges.Add(part.Hedges)
		if t.x.hedges != nil && part.Answered != nil {
			t.x.hedges.checks.Merge(part.Answered)
		}
		t.zones = append(t.zones, make([]fleet.Zone, max(0, len(part.Zones)-len(t.zones)))...)
		for z, s := range part.Zones {
			t.zones[z].Asked += s.Asked
			t.zones[z].Good += s.Good
			t.zones[z].Waits += s.Waits
		}
	}
	t.judge(p)
	p.Source = merged{p.Source, t}
	return *sum, nil
}

// events carries out what the coordinator does in a run, until ctx is done.
func events(ctx context.Context, c host.Clock, left []engine.Event) {
	for _, e := range left {
		select {
		case <-ctx.Done():
			return
		case <-time.After(e.At - c.Now()):
			e.Do(c.Now())
		}
	}
}

// judge shows the judge what all agents together saw, sample by sample, until its verdict is final.
func (t *team) judge(p *engine.Plan) {
	left := make([][]Sample, 0, len(t.ends))
	end := time.Duration(math.MaxInt64)
	for i := range t.ends {
		if part := t.ends[i].Partial; part != nil && len(part.Samples) > 0 {
			left = append(left, part.Samples)
			end = min(end, part.Samples[len(part.Samples)-1].Now)
		}
	}
	t.least = t.x.Leases
	judged := false
	for now := time.Duration(0); len(left) > 0 && now <= end; now += p.WatchPeriod {
		var sum engine.State
		for i := range left {
			for len(left[i]) > 1 && left[i][1].Now <= now {
				left[i] = left[i][1:]
			}
			s := &left[i][0]
			sum.Active += s.Active
			sum.Queued += s.Queued
			sum.Good += s.Good
			sum.Checks += s.Checks
		}
		t.least, t.last = min(t.least, sum.Active), sum.Active
		judged = judged || p.Watch(now, sum)
	}
}

// report enters the agents in the result, and says why the run does not count, if it does not. It returns
// the report of the outage, and why it could not be made.
func (t *team) report(res *Result, outage *fault.Report, broke error) (*fault.Report, error) {
	res.ActiveMin, res.ActiveEnd = t.least, t.last
	all := make([]AgentReport, len(t.ends))
	var proxies []*fault.Report
	for i := range t.ends {
		e := &t.ends[i]
		r := &all[i]
		*r = AgentReport{Name: e.Name, Host: e.Host, Droplets: t.duties[i].Range(t.x.Leases), Lost: e.Lost}
		if part := e.Partial; part != nil {
			r.Requests, r.Slip, r.Lag = part.Target.Stats.Requests, pair(part.Log.Slip()), pair(part.Target.Lag)
			proxies = append(proxies, part.Outage)
			if part.Broke != "" {
				broke = errors.Join(broke, fmt.Errorf("%s: %s", r.name(), part.Broke))
			}
		}
		if e.Clocked {
			r.Offset, r.Error, r.Wall = millisOf(e.Offset), millisOf(e.Error), millisOf(e.Wall)
		}
	}
	t.x.storm.report.Agents = all
	if why := t.spoilt(res, all); why != "" && broke == nil {
		res.Valid, res.Verdict, res.Because = false, Invalid, why
	}
	if spec, err := fault.Parse(t.x.how.Target.Outage); err == nil && spec.Proxied() {
		outage = fault.Sum(outage, proxies)
	}
	return outage, broke
}

// spoilt says which agent spoilt the run and how; "": none did. What others follow from comes first, and of
// agents that are alike the worst.
func (t *team) spoilt(res *Result, all []AgentReport) string {
	timeout := 1e3 * t.x.Timeout.Seconds() // in ms
	for i := range all {
		if r := &all[i]; r.Lost != "" {
			res.Ended = "agent"
			return r.name() + " " + r.Lost
		}
	}
	for i := range all {
		if why := t.ends[i].Partial.Target.Stopped; why != "" {
			return all[i].name() + ": " + why
		}
	}
	off := func(r *AgentReport) float64 {
		if r.Offset == nil {
			return math.Inf(1)
		}
		return max(*r.Offset, -*r.Offset) + *r.Error
	}
	late := func(r *AgentReport) float64 { return max(show.OrZero(r.Slip.P999), show.OrZero(r.Lag.P999)) }
	worst := func(by func(*AgentReport) float64) *AgentReport {
		r := slices.MaxFunc(all, func(a, b AgentReport) int { return cmp.Compare(by(&a), by(&b)) })
		return &r
	}
	r := worst(off)
	if r.Offset == nil {
		return "the run clock of " + r.name() + " could not be compared with the coordinator's"
	}
	text := fmt.Sprintf("the run clock of %s was %.1f ms off at the end, ± %.1f ms, which is above ", r.name(), *r.Offset, *r.Error)
	switch {
	case off(r) > invalidSlip*timeout:
		return text + fmt.Sprintf("%.0f %% of the timeout: the agents' series do not go together", 100*invalidSlip)
	case off(r) > noisySlip*timeout:
		res.Noisy = append(res.Noisy, text+fmt.Sprintf("%.0f %% of the timeout", 100*noisySlip))
	}
	if r := worst(late); late(r) > invalidSlip*timeout {
		return fmt.Sprintf("%s could not keep up: it asked late, p99.9 %.1f ms is above %.0f %% of the timeout", r.name(), late(r), 100*invalidSlip)
	}
	return ""
}

func millisOf(d time.Duration) *float64 {
	ms := 1e3 * d.Seconds()
	return &ms
}

// chorus shows the agents' series to whoever watches the run: a step once all agents have passed it.
type chorus struct {
	x      *experiment
	log    *record.Log
	agents []map[int]*record.Row // steps that some agent has not passed
	newest []int                 // the latest step of each, plus 1
	shown  int                   // steps
	judge  Judge                 // sees too little for a collapse
}

// rows implements Call.Live.
func (c *chorus) rows(agent int, rows []*record.Row) {
	for _, r := range rows {
		if r == nil || r.Step < c.shown {
			continue // a step again
		}
		if c.agents[agent] == nil {
			c.agents[agent] = map[int]*record.Row{}
		}
		c.agents[agent][r.Step] = r
		c.newest[agent] = max(c.newest[agent], r.Step+1)
	}
	for c.shown < slices.Min(c.newest) {
		var of []*record.Row
		for _, have := range c.agents {
			if r := have[c.shown]; r != nil {
				of = append(of, r)
				delete(have, c.shown)
			}
		}
		c.shown++
		if c.x.see != nil && len(of) > 0 {
			n := record.Sum(of)
			now := time.Duration(c.shown) * c.log.Step
			c.judge.Look(now, engine.State{Active: n.Active, Queued: n.Queued})
			c.x.see(Look{Now: now, Verdict: c.judge.Verdict(), News: n, Log: c.log})
		}
	}
}
