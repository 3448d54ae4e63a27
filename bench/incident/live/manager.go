package main

import (
	"context"
	"fmt"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/incident/live/client"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// The manager's times are on this host's clock, in proportion to the run's length and not to the
// day's: the day's timeout of 30 s would be a fifth of a second, below the gaps of a busy host.
const (
	timeouts     = 200 // in a run
	perInterval  = 20  // timeouts between two checks of a droplet
	perTTL       = 30  // timeouts that a lease lives
	resumeMargin = 20  // parts of a timeout, between a look-up and the droplets that it lets ask
)

// backAt is when the last client has noticed that the name is back, by 02:40 as on the day: what it
// has cached as missing has expired.
var backAt = mendAt + replayed.NegativeTTL

// What the operator does: a throttle, as a share of capacity, and restarts that empty the queue. The
// second one sheds what came in while the first one emptied tens of millions of attempts. The
// throttle leaves a reserve: the worker shares its host, and serves late attempts at full cost.
const (
	throttle     = 0.6
	restarts     = 2
	restartEvery = 5 // timeouts
)

// manager is the lease manager on this host's cores, and what is seen of it.
type manager struct {
	scenario scenario.Scenario
	runbook  *scenario.Runbook
	acts     []time.Duration // of the operator, run time
	mend     time.Duration   // run time at which the name is mended
	negative time.Duration   // how long a client remembers that the name is missing
	capacity float64         // establishes per second, as planned
	noWait   bool

	sample  *client.Sample
	names   *client.Names
	started chan time.Time // the wall time of run time 0, once
	ended   chan struct{}

	// The generator's goroutine writes these. The others read them after ended is closed.
	began   bool
	zero    time.Time
	mended  bool
	lapsed  int           // leases that are gone when the name is mended
	belowAt time.Duration // the last sample outside the steady state
	series  []*record.Row
	result  *bench.Result
	err     error

	active, queued atomic.Int64
	good, checks   atomic.Uint64
}

// newManager lays the manager out, and refuses what does not fit this host.
func newManager(cfg *config) (*manager, error) {
	wall := func(day time.Duration) time.Duration { return time.Duration(float64(day) / cfg.speed()) }
	s := scenario.Default()
	tau := (time.Duration(cfg.length()) * time.Second / timeouts).Truncate(time.Microsecond)
	s.Name, s.Leases, s.Workers = "incident-live", cfg.Leases, cfg.Workers
	s.Timeout, s.Interval, s.TTL, s.Spread = tau, perInterval*tau, perTTL*tau, tau/10
	s.Queue, s.Admit, s.Retry = cfg.Queue, cfg.Admit, cfg.Retry
	s.Steady = wall(automation.RaceAt)
	s.Outage = wall(backAt) - s.Steady
	s.Duration = wall(cfg.dayLength()) - s.Steady - s.Outage
	m := &manager{
		scenario: s, mend: wall(mendAt), negative: wall(replayed.NegativeTTL), noWait: cfg.NoWait,
		started: make(chan time.Time, 1), ended: make(chan struct{}),
	}
	if most := len(host.ReadTopology().CPUs); cfg.Workers < 0 || cfg.Workers > most {
		return nil, usageError{fmt.Errorf("--workers %d: want 1 to %d, the processors that this process may use; 0: as many as fit", cfg.Workers, most)}
	}
	fitted := s
	fitted.Workers = bench.WorkersOf(bench.Real{}, &s)
	x, err := scenario.Fit(fitted, scenario.ShortestCheck)
	if err == nil {
		err = bench.Check(s)
	}
	if err != nil {
		return nil, usageError{err}
	}
	m.capacity = x.Capacity(x.Want)
	if cfg.Operator == "none" {
		return m, nil
	}
	at, err := operator.At(cfg.Operator)
	if err != nil {
		return nil, usageError{fmt.Errorf("--operator-at %w, or none", err)}
	}
	if at < backAt || at >= cfg.dayLength()-30*time.Minute {
		return nil, usageError{fmt.Errorf("--operator-at %s: want %s to %s, or none", cfg.Operator, operator.Clock(backAt), operator.Clock(cfg.dayLength()-31*time.Minute))}
	}
	if cfg.Mend != "none" { // without an outage the operator has nothing to do
		return m, nil
	}
	m.runbook = &scenario.Runbook{Name: "live", Steps: []scenario.Step{{Do: "throttle", Value: throttle}}}
	for range restarts {
		m.runbook.Steps = append(m.runbook.Steps, scenario.Step{Do: "restart", Value: 1})
	}
	for i := range m.runbook.Steps {
		act := wall(at) + time.Duration(restartEvery*max(0, i-1))*tau
		m.acts = append(m.acts, act)
		m.runbook.Steps[i].At = (act - s.Steady - s.Outage).Truncate(time.Microsecond).String()
	}
	return m, nil
}

// start runs the manager until its end, or until ctx is done.
func (m *manager) start(ctx context.Context, seed uint64, say func(string)) {
	o := bench.Options{
		// The name server, the store and the sample need the processors while nobody asks.
		Seed: seed, Idle: "park", Runbook: m.runbook, Waiting: say,
		Part: &bench.Part{
			Dependency: m, Resume: m.resume, Step: 2 * m.scenario.Timeout, Watch: m.watch,
			Done: func(log *record.Log) { m.series = log.Rows() },
		},
	}
	if !m.noWait {
		o.Wait = 30 * time.Second
	}
	go func() {
		defer close(m.ended)
		m.result, m.err = bench.Real{}.Run(ctx, m.scenario, o)
	}()
}

var _ dwfm.Checked = (*manager)(nil)

// Ask implements dwfm.Dependency: a droplet's call ends as the last check of its client did. It takes
// no time: on the compressed clock the SDK's half a millisecond would be a hundred of a worker's
// services. The summary has the latency beside.
func (m *manager) Ask(now time.Duration, droplet uint32) (ok bool, takes time.Duration) {
	ok, _ = m.sample.Ask(now, droplet)
	return ok, 0
}

// AtOnce implements dwfm.Checked.
func (m *manager) AtOnce() bool { return true }

// resume is when a droplet may ask again whose call failed. Nobody asks before the look-up that finds
// the name again: the first one of its client, after the mend, that the cache does not answer.
// A droplet that is early asks again after its client's next check.
func (m *manager) resume(now time.Duration, droplet uint32) time.Duration {
	if ok, _ := m.sample.Ask(now, droplet); ok {
		return 0 // as its retry policy says
	}
	missing := m.names.Missing()
	if missing.IsZero() { // found already, and its client's check is under way
		return now + m.scenario.Timeout/resumeMargin
	}
	return m.after(missing.Sub(m.zero), now)
}

// after is resume for a client that looks the name up again at missing, and then whenever what it
// has cached expires.
func (m *manager) after(missing, now time.Duration) time.Duration {
	if missing < m.mend {
		missing += (m.mend - missing + m.negative - 1) / m.negative * m.negative
	}
	return max(missing, now) + m.scenario.Timeout/resumeMargin
}

// watch takes a sample of the manager. The first one starts the day's clock.
func (m *manager) watch(now time.Duration, s engine.State) {
	if !m.began {
		m.began, m.zero = true, time.Now().Add(-now)
		m.started <- m.zero
	}
	m.active.Store(int64(s.Active))
	m.queued.Store(int64(s.Queued))
	m.good.Store(s.Good)
	m.checks.Store(s.Checks)
	if now >= m.mend && !m.mended {
		m.mended, m.lapsed = true, m.scenario.Leases-s.Active
	}
	if float64(s.Active) < bench.SteadyShare*float64(m.scenario.Leases) {
		m.belowAt = now
	}
}

// age estimates how long the oldest attempt has waited: all of them, served at capacity.
func (m *manager) age() time.Duration {
	return time.Duration(float64(m.queued.Load()) / m.capacity * float64(time.Second))
}

// managed is the manager's part of the summary. Times after the mend are seconds of the run since
// the name was mended by hand.
type managed struct {
	Leases   int           `json:"leases"`
	Queue    string        `json:"queue"`
	Admit    string        `json:"admit"`
	Retry    string        `json:"retry"`
	Workers  int           `json:"workers"`
	Timeout  float64       `json:"timeout_s"`
	Interval float64       `json:"interval_s"`
	TTL      float64       `json:"ttl_s"`
	Sampled  float64       `json:"sampled_share"` // of the manager's own checks in the steady state
	Lapsed   int           `json:"lapsed"`        // leases that were gone when the name was mended
	Beta     float64       `json:"beta"`          // of these
	Lost     int           `json:"leases_lost_max"`
	Operator *float64      `json:"operator_s"` // after the mend; nil: nothing is done
	Verdict  bench.Verdict `json:"verdict"`
	Collapse *float64      `json:"collapsed_at_s"` // after the mend
	TTR      *float64      `json:"ttr_s"`          // after the mend
	Rescue   *float64      `json:"ttr_after_operator_s"`
	Series   []step        `json:"series"`
	Run      *bench.Result `json:"run"` // its times are after 02:40
}

// step is a step of the manager's series. Rates are per second of the run.
type step struct {
	At         float64 `json:"at_s"`
	Clock      string  `json:"clock"`
	Active     int     `json:"active"`
	Queued     int     `json:"queued"`
	Establish  float64 `json:"establishes_good_per_s"`
	Check      float64 `json:"checks_good_per_s"`
	Late       float64 `json:"late_per_s"`
	Failed     float64 `json:"failed_per_s"`
	WastedWork float64 `json:"wasted_work"`
}

// summary is what is known when the manager has ended.
func (m *manager) summary(speed, rate float64) *managed {
	s, r := &m.scenario, m.result
	out := &managed{
		Leases: s.Leases, Queue: s.Queue, Admit: s.Admit, Retry: s.Retry, Workers: r.Workers,
		Timeout: s.Timeout.Seconds(), Interval: s.Interval.Seconds(), TTL: s.TTL.Seconds(),
		Sampled: rate / (float64(s.Leases) / s.Interval.Seconds()), Lapsed: m.lapsed, Lost: s.Leases - r.ActiveMin,
		Verdict: r.Verdict, Rescue: r.Rescue, Run: r,
	}
	out.Beta = float64(m.lapsed) / (r.Capacity * s.Timeout.Seconds() * (1 - s.Rho))
	since := func(at time.Duration) *float64 { x := (at - m.mend).Seconds(); return &x }
	back := s.Steady + s.Outage
	if r.CollapsedAt != nil {
		out.Collapse = since(back + time.Duration(*r.CollapsedAt*float64(time.Second)))
	}
	if r.TTR != nil && m.belowAt > m.mend {
		out.TTR = since(m.belowAt)
	}
	if len(m.acts) > 0 {
		out.Operator = since(m.acts[0])
	}
	length := 2 * s.Timeout
	for _, row := range m.series {
		at := time.Duration(row.Step) * length
		per := func(n uint64) float64 { return float64(n) / length.Seconds() }
		one := step{
			At: at.Seconds(), Clock: operator.ClockSeconds(time.Duration(float64(at) * speed)), Active: row.Active, Queued: row.Queued,
			Establish: per(row.Done[queue.Good][queue.Establish]), Check: per(row.Done[queue.Good][queue.Check]),
			Late: per(row.Done[queue.Late].Sum()), Failed: per(row.Done[queue.Failed].Sum()),
		}
		if row.Busy > 0 {
			one.WastedWork = row.Wasted.Seconds() / row.Busy.Seconds()
		}
		out.Series = append(out.Series, one)
	}
	return out
}
