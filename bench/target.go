package bench

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fault"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Service is a service that is not ours, and how a fleet asks it.
type Service struct {
	Client  client.Settings `json:"client"`
	Outage  string          `json:"outage"`             // how its outage is made: see fault.Parse
	MayLoad []string        `json:"may_load,omitempty"` // hosts beside loopback that may be loaded
}

// Target is the Runner whose droplets ask a service that is not ours, Options.Target. It plays the clients
// of a scenario: what the service decides (queue, admission, ρ, σ, workers) is the service's.
type Target struct{}

// Name implements Runner.
func (Target) Name() string { return "target" }

// Alone implements Runner.
func (Target) Alone() bool { return true }

// foreign are the keys that a service decides on, with the reason why a run against it takes none.
var foreign = map[string]string{
	"table":        "the service has a lease table of its own",
	"queue":        "the service has a queue of its own",
	"admit":        "the service has an admission control of its own",
	"kappa":        "the service decides how its backlog slows it",
	"refuse_cost":  "the service decides what its refusals cost it",
	"cancel_seen":  "the service sees the cancellations that its clients send: connections.cancel in the target's settings",
	"connect_cost": "opening a connection costs the service what it costs",
	"pause":        "a service that is not ours is not paused; --outage hang stops its answers",
	"slow":         "a service that is not ours is not slowed; --outage slow:DURATION delays its answers",
	"slow_at":      "a service that is not ours is not slowed; --outage slow:DURATION delays its answers",
	"loads":        "a ramp's loads are shares of a capacity that only the service knows; 'leasestorm probe' measures it",
	"scale":        "the service decides how long it takes",
	"service_time": "the service decides how long it takes",
	"then_queue":   "the service has a queue of its own; a runbook's exec step can switch it",
	"then_admit":   "the service has an admission control of its own; a runbook's exec step can switch it",
	"renew_rate":   "it follows from a capacity that only the service knows: set interval and ttl",
}

// measured are the keys whose place a measurement takes: a scenario may have them, for the other
// engines.
var measured = map[string]string{
	"rho":           "the service decides what a check costs: the run measures it",
	"sigma":         "the service decides what an establish costs: the run measures it",
	"delta":         "the service decides what a dead attempt costs",
	"workers":       "the service has workers of its own",
	"service_law":   "the service decides how long it takes",
	"throttle":      "a service that is not ours is throttled by a runbook's exec step",
	"restarts":      "a service that is not ours is restarted by a runbook's exec step",
	"restart_every": "a service that is not ours is restarted by a runbook's exec step",
}

// Foreign returns why a run against a service takes no such key; "": it does take it. prime says that the
// run measures the service's capacity: else it takes ρ, σ and workers, which make that capacity.
func Foreign(key string, prime bool) string {
	if !prime && (key == "rho" || key == "sigma" || key == "workers") {
		return ""
	}
	return foreign[key] + measured[key]
}

// Check returns an error if the scenario differs from the defaults in a key that only the service
// decides on. It wraps scenario.ErrScenario.
func (Target) Check(s *scenario.Scenario) error {
	from := scenario.Default()
	for _, set := range s.Differences(&from) {
		key, value, _ := strings.Cut(set, "=")
		if why := foreign[key]; why != "" {
			return scenario.Bad(key, fmt.Sprintf("%q: %s", value, why))
		}
	}
	if s.Operator != "none" && s.Operator != "switch" {
		return scenario.Bad("operator", fmt.Sprintf("%q: a service that is not ours is throttled or restarted by a runbook's exec step: 'leasestorm drill --engine target'", s.Operator))
	}
	return nil
}

// TargetReport is what a run against a service adds to its result.
type TargetReport struct {
	URL string `json:"url"`
	// CapacityFrom says where capacity, ρ and σ come from.
	CapacityFrom string  `json:"capacity_from"`
	Rho          float64 `json:"rho"`
	Sigma        float64 `json:"sigma"`
	// Establishes and Checks are the closed loops before the run.
	Establishes []Rate `json:"establishes,omitempty"`
	Checks      []Rate `json:"checks,omitempty"`
	// Kinds are the ends of calls by kind, Statuses the answers by status.
	Kinds    map[string]uint64 `json:"kinds"`
	Statuses map[string]uint64 `json:"statuses,omitempty"`
	client.Stats
	// Lag is how late calls began that had to wait for no other call, from the attempt's birth.
	Lag     Pair          `json:"lag_ms"`
	Mean    *float64      `json:"mean_s"`                // from the request's first byte to a good answer; null: there was none
	Stopped string        `json:"stopped_by,omitempty"`  // a limit of the client
	Outage  *fault.Report `json:"outage_made,omitempty"` // null: nobody made one
	// Agents are the generators of a run that has several. Then Most is an upper bound.
	Agents []AgentReport `json:"agents,omitempty"`
}

// turnsPerTimeout is the number of the generator's turns per timeout.
const turnsPerTimeout = 1000

// Run implements Runner. If the service shares this host's cores, it lacks what the generator takes of
// them, both while its capacity is measured and in the run.
func (t Target) Run(ctx context.Context, s scenario.Scenario, o Options) (*Result, error) {
	return runTarget(ctx, s, o, nil)
}

// runTarget runs a scenario against a service by this process's generator, or by those of a crew.
func runTarget(ctx context.Context, s scenario.Scenario, o Options, crew Crew) (res *Result, err error) {
	began := time.Now()
	switch {
	case o.Target == nil:
		return nil, scenario.Bad("engine", "target: no service is named: 'leasestorm storm URL', or --target URL")
	case o.Idle != "":
		return nil, scenario.Bad("idle", "the generator of a storm sleeps between its turns: it goes with the real engine")
	}
	if err := (Target{}).Check(&s); err != nil {
		return nil, err
	}
	if s.ServiceLaw = scenario.FixedServices; o.Target.Client.Prime {
		s.Workers = 1
	}
	x, err := layOut(s, o, 1)
	if err != nil {
		return nil, err
	}
	if x.storm, err = openStorm(ctx, o.Target, x.seed); err != nil {
		return nil, err
	}
	defer func() { _, _ = x.storm.close() }()
	if err := x.begin(false); err != nil {
		return nil, err
	}
	x.virtual = false
	defer x.abandon()
	defer func() { x.over(res, err) }()
	if err := x.prime(ctx); err != nil {
		return nil, err
	}
	usage := host.ReadUsage()
	var run engine.TargetResult
	start := time.Now()
	drive := x.storm.run
	var team *team
	if crew != nil {
		if team, err = x.team(crew, &s); err != nil {
			return nil, err
		}
		drive = team.run
	}
	x.storm.begun = func(c host.Clock) { start = c.Start() }
	res, p, _, err := x.run(x.Want, func(p *engine.Plan) (_ engine.Result, err error) {
		run, err = drive(ctx, p)
		return run.Result, err
	})
	if err != nil {
		return res, err
	}
	outage, broke := x.storm.close()
	if team != nil {
		outage, broke = team.report(res, outage, broke)
	}
	res.ofService(x, &run, outage, broke)
	res.Elapsed = time.Since(began).Seconds()
	if x.folder != nil {
		res.Folder = o.Folder
		info, build, used := host.ReadInfo(), ReadBuildInfo(), host.ReadUsage().Sub(usage)
		if err := x.write(p.Log, res, start, Manifest{Host: &info, Build: &build, Usage: &used, Target: o.Target}); err != nil {
			return res, err
		}
	}
	return res, nil
}

// ofService makes the result one of a service that is not ours: what the service hides is null. broke is
// why the outage could not be made; nil: it was.
func (res *Result) ofService(x *experiment, run *engine.TargetResult, outage *fault.Report, broke error) {
	report := &x.storm.report
	report.Kinds, report.Statuses = map[string]uint64{}, map[string]uint64{}
	ours := uint64(0)
	for kind, n := range run.Kinds {
		if n > 0 {
			report.Kinds[client.Kind(kind).String()] = n
		}
		if client.Kind(kind).Ours() {
			ours += n
		}
	}
	if outage != nil {
		ours += outage.Failures
	}
	for status, n := range run.Status {
		report.Statuses[client.StatusName(status)] = n
	}
	report.Stats, report.Stopped, report.Outage = run.Stats, run.Stopped, outage
	if run.Good > 0 {
		mean := run.GoodTime.Seconds() / float64(run.Good)
		report.Mean = &mean
	}
	res.Engine, res.Storm = "target", report
	res.Table, res.Queue, res.Admit = "", "target", ""
	res.WastedWork, res.Drain, res.IdleShare, res.Service, res.Services = nil, nil, nil, nil, nil
	res.HostGap, report.Lag = pair(run.Gaps), pair(run.Lag)
	invalid := func(because string) {
		if res.Valid {
			res.Valid, res.Verdict, res.Because = false, Invalid, because
		}
	}
	if broke != nil { // whatever else is wrong follows from it
		invalid(broke.Error())
	}
	if report.Stopped != "" {
		res.Ended = "limit"
		invalid(report.Stopped)
	}
	res.judgeHarness(x.Timeout, 0)
	switch ms, lag := 1e3*x.Timeout.Seconds(), show.OrZero(report.Lag.P999); {
	case lag > invalidSlip*ms:
		invalid(fmt.Sprintf("the client's process could not keep up: calls began late, p99.9 %.1f ms is above %.0f %% of the timeout", lag, 100*invalidSlip))
	case lag > noisySlip*ms:
		res.Noisy = append(res.Noisy, fmt.Sprintf("calls began late, p99.9 %.1f ms is above %.0f %% of the timeout", lag, 100*noisySlip))
	}
	if ours > 0 {
		invalid(fmt.Sprintf("this host, not the service, failed %s calls: %s; a pool with fewer connections, abort = true or more addresses to call from help", show.Count(int(ours)), kindsOf(report.Kinds, client.NoPorts, client.NoFiles)))
	}
	if report.BadAfter > 0 {
		res.Noisy = append(res.Noisy, fmt.Sprintf("%s answers named a wait that is none: it counts as none", show.Count(int(report.BadAfter))))
	}
}

func kindsOf(all map[string]uint64, kinds ...client.Kind) string {
	var parts []string
	for _, k := range kinds {
		if n := all[k.String()]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", show.Count(int(n)), k))
		}
	}
	return strings.Join(parts, ", ")
}

// SettingsFile is the name, in a run's folder, of the client's settings.
const SettingsFile = "client.toml"

// writeService writes what the run's command needs to ask the service again.
func (x *experiment) writeService(f *record.Folder) error {
	if x.storm == nil {
		return nil
	}
	return f.Write(SettingsFile, record.Text(x.how.Target.Client.TOML()))
}
