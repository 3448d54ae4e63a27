package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// Result is the outcome of one run, as --json prints it. A nil pointer is null in JSON. "The
// return" is that of the dependency, and "the recovery" is the return to the steady state.
type Result struct {
	Scenario string `json:"scenario"`
	Table    string `json:"table"`
	Queue    string `json:"queue"`
	Admit    string `json:"admit"`
	Retry    string `json:"retry"`
	Then     string `json:"then,omitempty"` // what the operator switches to
	Leases   int    `json:"leases"`
	Broken   int    `json:"broken"`
	Seed     uint64 `json:"seed"`
	Workers  int    `json:"workers"`
	Engine   string `json:"engine"`

	Verdict Verdict `json:"verdict"`
	// TTR is the time to recovery, in s after the return; nil: the run did not come back.
	TTR *float64 `json:"ttr_s"`
	// CollapsedAt is when a collapse was first seen, in s after the return; nil: never.
	CollapsedAt *float64 `json:"collapsed_at_s"`
	// Rescue is the time from the operator's first action to the recovery, in s; nil: the run
	// had no operator, did not collapse, or did not come back.
	Rescue *float64 `json:"ttr_after_operator_s"`
	Ended  string   `json:"ended_by"` // verdict, duration or max-queue
	// LaunchesOK is the share of launches that succeeded since the outage began, at whatever try; nil: there
	// were no launches.
	LaunchesOK *float64 `json:"launches_ok"`
	Points     []Point  `json:"points,omitempty"` // the loads of a ramp
	// Drain is when the queue was back at its steady level, in s after the return; nil: it was
	// not.
	Drain *float64 `json:"drain_s"`
	// Efficiency is η: broken leases over the establishes that capacity serves within TTR. nil:
	// TTR is nil or 0.
	Efficiency *float64 `json:"efficiency"`
	// Capacity is the establishes per second that all workers serve if they do nothing else.
	Capacity float64 `json:"capacity_per_s"`
	// Beta is β: how many timeouts the spare capacity needs to serve the surge once.
	Beta float64 `json:"beta"`
	// Goodput is the mean number of good answers per second from the return to the end, by
	// class.
	Goodput map[string]float64 `json:"goodput_per_s"`
	// WastedWork is the share of the workers' busy time, from the return to the end, that went
	// into late attempts; nil: a service that is not ours does not say.
	WastedWork *float64 `json:"wasted_work"`
	// IdleShare is the share of the workers' time, from the return to the recovery, in which
	// they were idle; nil: TTR is nil or 0, or shorter than a step of the series.
	IdleShare   *float64          `json:"idle_share"`
	Shed        uint64            `json:"shed"`         // attempts
	ShedBy      map[string]uint64 `json:"shed_by"`      // attempts, by queue.Reason
	ActiveMin   int               `json:"active_min"`   // fewest live leases
	ActiveEnd   int               `json:"active_end"`   // live leases at the end
	HealthyLost int               `json:"healthy_lost"` // outlived the outage, lapsed later
	Zones       []ZoneShare       `json:"zones"`        // attempts born since the return, by zone
	// Fairness is Jain's index of the zones' shares of good answers, at most 1; nil: no zone had
	// a good answer.
	Fairness    *float64  `json:"fairness"`
	TimeToLease Quantiles `json:"time_to_lease_s"` // from the loss of a lease to the next lease
	Slip        Pair      `json:"slip_ms"`         // how late the generator offered attempts
	// HostGap is how long the host kept the generator from running; its fields are nil in
	// virtual time.
	HostGap Pair               `json:"host_gap_ms"`
	Service map[string]float64 `json:"service_us"` // mean service on one worker, by class
	// Drift is the deviation of capacity from its calibration, as a share: the largest of the
	// run, its recovery, and a calibration after the run.
	Drift      float64  `json:"drift"`
	Idle       string   `json:"idle,omitempty"`      // what a thread does while it has no work
	Clock      string   `json:"clock,omitempty"`     // tsc or monotonic
	ClockDrift float64  `json:"clock_drift_ppm"`     // against the monotonic clock
	GCs        uint32   `json:"gc_cycles"`           // garbage collections in the run
	Noisy      []string `json:"noisy,omitempty"`     // disturbances, a sentence each
	Valid      bool     `json:"valid"`               // the harness kept up
	Because    string   `json:"invalid_because"`     // empty if valid
	Placement  string   `json:"placement,omitempty"` // a remark on where the threads were pinned
	Run        float64  `json:"run_s"`               // length of the run, in run time
	Elapsed    float64  `json:"elapsed_s"`           // wall time, set-up and calibration included
	Folder     string   `json:"folder,omitempty"`
	// Tries is how often a suite has made this run until it was valid, if more than once, and
	// Spoilt why the others do not count.
	Tries  int      `json:"tries,omitempty"`
	Spoilt []string `json:"spoilt_tries,omitempty"`
	// Hedges counts the droplets' hedges; nil: they send none.
	Hedges *HedgeReport `json:"hedges,omitempty"`
	// Storm is the report of a run against a service that is not ours.
	Storm *TargetReport `json:"target,omitempty"`
	// Quiet is what was seen of the host before the run; nil: nobody looked.
	Quiet *host.QuietReport `json:"quiet,omitempty"`

	// Services is the distribution of service times, each divided by its calibrated mean.
	Services []record.Quantile `json:"-"`
}

// Quantiles are quantiles of N times, in seconds. They are nil if N is 0.
type Quantiles struct {
	P50  *float64 `json:"p50"`
	P99  *float64 `json:"p99"`
	P999 *float64 `json:"p999"`
	Max  *float64 `json:"max"`
	N    int64    `json:"n"`
}

// Pair is two quantiles, in milliseconds. They are nil if nothing was recorded.
type Pair struct {
	P50  *float64 `json:"p50"`
	P999 *float64 `json:"p999"`
}

func quantiles(l *record.Latency) Quantiles {
	return Quantiles{
		P50: quantile(l, .5, 1), P99: quantile(l, .99, 1), P999: quantile(l, .999, 1),
		Max: seconds(l.Max, l.TotalCount() > 0), N: l.TotalCount(),
	}
}

func pair(l *record.Latency) Pair {
	return Pair{P50: quantile(l, .5, 1e3), P999: quantile(l, .999, 1e3)}
}

// quantile is the q-quantile in seconds, times scale; nil if l is empty.
func quantile(l *record.Latency, q, scale float64) *float64 {
	if l.TotalCount() == 0 {
		return nil
	}
	x := scale * l.Quantile(q)
	return &x
}

func seconds(d time.Duration, ok bool) *float64 {
	if !ok {
		return nil
	}
	s := d.Seconds()
	return &s
}

// ErrAccounting is returned, wrapped, when attempts were lost or counted twice.
var ErrAccounting = fmt.Errorf("accounting violated")

// result assembles the Result from judge, log and engine. The error wraps ErrAccounting.
func (x *experiment) result(r engine.Result, p *engine.Plan, j *Judge, s engine.Service) (*Result, error) {
	log := p.Log
	total := log.Total()
	res := &Result{
		Scenario: x.Name, Table: x.Table, Queue: x.Queue, Admit: x.Admit, Retry: x.Retry,
		Then: Changed(x.ThenQueue, x.ThenAdmit, x.ThenRetry), Leases: x.Leases, Broken: x.Broken, Seed: x.seed, Workers: x.Workers,
		Verdict: j.Verdict(), Capacity: x.Capacity(s), Beta: x.Beta(x.Capacity(s)),
		TTR: seconds(j.TTR()), Drain: seconds(j.Drain()),
		ActiveMin: j.ActiveMin, ActiveEnd: j.ActiveEnd,
		TimeToLease: quantiles(log.TimeToLease()),
		Shed:        total.Done[queue.Shed].Sum(), ShedBy: map[string]uint64{},
		Slip: pair(log.Slip()), Valid: true, Run: r.Elapsed.Seconds(),
		Goodput: map[string]float64{}, Service: map[string]float64{},
	}
	res.Services = log.Services()
	again := 0
	if f, ok := p.Source.(interface {
		HealthyLost() int
		Zones() []fleet.Zone
		LaunchesAgain() int
	}); ok {
		res.HealthyLost = f.HealthyLost()
		again = f.LaunchesAgain()
		res.zones(f.Zones())
	}
	if f, ok := p.Source.(interface{ Hedges() fleet.Hedges }); ok && x.hedges != nil {
		res.Hedges = x.hedges
		res.Hedges.count(f.Hedges())
	}
	for why, n := range total.Why {
		if n > 0 {
			res.ShedBy[queue.Reason(why).String()] = n
		}
	}
	if ttr, ok := j.TTR(); ok && ttr > 0 {
		eta := float64(x.Broken) / (res.Capacity * ttr.Seconds())
		res.Efficiency = &eta
	}
	x.sinceReturn(res, log, r.Elapsed, again)
	res.CollapsedAt = seconds(j.CollapsedAt-x.outage.To, j.CollapsedAt > 0)
	if ttr, ok := j.TTR(); ok && len(x.steps) > 0 && j.CollapsedAt > 0 {
		res.Rescue = seconds(max(0, x.outage.To+ttr-x.act(0)), true)
	}
	switch {
	case j.QueueFull:
		res.Ended = "max-queue"
	case r.Elapsed >= x.end:
		res.Ended = "duration"
	default:
		res.Ended = "verdict"
	}
	if len(x.Loads) > 0 {
		res.Points = x.points(log, s)
	}
	for class := range queue.Classes {
		res.Service[class.String()] = float64(s[class].Nanoseconds()) / 1e3
	}
	if n := total.Unaccounted(r.Queued); n != 0 {
		return res, fmt.Errorf("%w: %d of %d attempts offered are neither done nor queued: a bug in discipline %q or in the harness",
			ErrAccounting, n, total.Offered.Sum(), x.Queue)
	}
	return res, nil
}

// ZoneShare is the outcome of a zone's checks and establishes born since the return.
type ZoneShare struct {
	Asked int      `json:"asked"`  // attempts
	Good  *float64 `json:"good"`   // good answers per attempt; null: no attempt
	Mean  *float64 `json:"mean_s"` // mean time from birth to a good answer; null: no good answer
}

// zones fills in the shares by zone and the fairness: Jain's index (R. Jain et al.,
// DEC-TR-301, 1984) over the zones that had attempts.
func (res *Result) zones(all []fleet.Zone) {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, z := range all {
		s := ZoneShare{Asked: z.Asked}
		if z.Asked > 0 {
			good := float64(z.Good) / float64(z.Asked)
			s.Good = &good
			n++
			sum += good
			squares += float64(good * good)
		}
		if z.Good > 0 {
			mean := z.Waits.Seconds() / float64(z.Good)
			s.Mean = &mean
		}
		res.Zones = append(res.Zones, s)
	}
	if squares > 0 {
		index := sum * sum / (n * squares)
		res.Fairness = &index
	}
}

// sinceReturn fills in the means from the dependency's return to the end of the run. again is how many
// attempts at launches since the outage began were no first tries.
func (x *experiment) sinceReturn(res *Result, log *record.Log, end time.Duration, again int) {
	var t record.Tally
	var good record.Counts
	var launched, asked uint64
	step := x.seriesStep()
	from := x.outage.To.Truncate(step)
	for _, row := range log.Rows() {
		if at := time.Duration(row.Step) * step; at >= x.outage.From {
			launched += row.Done[queue.Good][queue.Launch]
			asked += row.Offered[queue.Launch]
		}
		if time.Duration(row.Step)*step < from {
			continue
		}
		for class, n := range row.Done[queue.Good] {
			good[class] += n
		}
		t.Busy += row.Busy
		t.Wasted += row.Wasted
	}
	if res.TTR != nil && *res.TTR > 0 {
		until := x.outage.To + time.Duration(*res.TTR*float64(time.Second))
		busy, span := time.Duration(0), time.Duration(0)
		for _, row := range log.Rows() {
			if at := time.Duration(row.Step) * step; at >= from && at+step <= until {
				busy += row.Busy
				span += step * time.Duration(x.Workers)
			}
		}
		if span > 0 {
			idle := max(0, 1-float64(busy)/float64(span))
			res.IdleShare = &idle
		}
	}
	for class, n := range good {
		res.Goodput[queue.Class(class).String()] = float64(n) / max(step.Seconds(), (end-from).Seconds())
	}
	if asked -= min(asked, uint64(again)); asked > 0 {
		ok := min(1, float64(launched)/float64(asked)) // some that were asked before are answered since
		res.LaunchesOK = &ok
	}
	wasted := record.Share(t.Wasted, t.Busy)
	res.WastedWork = &wasted
}

// The limits beyond which a run is noisy or invalid: slip as a share of the timeout, drift and
// fit as shares of capacity.
const (
	noisySlip, invalidSlip   = 0.01, 0.05
	noisyDrift, invalidDrift = host.NoisyShare, 0.25 // the same before a run and after it
	noisyFit                 = 0.05
	noisyClock               = 200.0 // ppm: at 10 s, 2 ms
	impossible               = 1.1   // efficiency
)

// Brief returns the outcome in a few words.
func (res *Result) Brief() string {
	if !res.Valid {
		return "invalid: " + res.Because
	}
	if res.TTR == nil {
		return string(res.Verdict)
	}
	return fmt.Sprintf("%s, TTR %.2f s", res.Verdict, *res.TTR)
}

// judgeHarness decides whether the harness kept up. fit is the relative error of the calibrated
// service time.
func (res *Result) judgeHarness(timeout time.Duration, fit float64) {
	ms := timeout.Seconds() * 1e3
	invalid := func(format string, args ...any) {
		if res.Valid {
			res.Valid, res.Verdict, res.Because = false, Invalid, fmt.Sprintf(format, args...)
		}
	}
	noisy := func(format string, args ...any) { res.Noisy = append(res.Noisy, fmt.Sprintf(format, args...)) }
	if d := max(res.ClockDrift, -res.ClockDrift); d > noisyClock {
		noisy("the clock (%s) came %.0f ppm from the monotonic clock", res.Clock, res.ClockDrift)
	}
	gaps := "(the host's own gaps: " + show.Dash(res.HostGap.P999, "%.1f ms") + ")"
	switch p50, p999 := show.OrZero(res.Slip.P50), show.OrZero(res.Slip.P999); {
	case p50 > noisySlip*ms:
		invalid("the generator was behind for good: slip p50 %.1f ms is above %.0f %% of the timeout", p50, 100*noisySlip)
	case p999 > invalidSlip*ms:
		invalid("the generator could not keep its schedule: slip p99.9 %.1f ms is above %.0f %% of the timeout %s", p999, 100*invalidSlip, gaps)
	case p999 > noisySlip*ms:
		noisy("slip p99.9 %.1f ms is above %.0f %% of the timeout %s", p999, 100*noisySlip, gaps)
	}
	switch drift := max(res.Drift, -res.Drift); {
	case drift > invalidDrift:
		invalid("capacity drifted by %+.0f %% against its calibration, more than %.0f %%", 100*res.Drift, 100*invalidDrift)
	case drift > noisyDrift:
		noisy("capacity drifted by %+.0f %% against its calibration", 100*res.Drift)
	}
	if res.Efficiency != nil && *res.Efficiency > impossible {
		invalid("an efficiency of %.2f is beyond the physical limit of 1: capacity in the recovery was not what was calibrated", *res.Efficiency)
	}
	switch fit = max(fit, -fit); {
	case fit > invalidDrift:
		invalid("the service time could not be fitted to the scenario, %.0f %% off: the host is too busy, or the path around the work takes longer than the scenario allows a service (fewer leases, a longer interval or a larger rho help)", 100*fit)
	case fit > noisyFit:
		noisy("the service time is %.0f %% off the scenario's; β is with what was measured", 100*fit)
	}
}

// blame reports the CPU quota that throttled the run, if any: as the likely cause of an invalid
// run, else as noise.
func (res *Result) blame(quota string) {
	switch {
	case quota == "":
	case res.Valid:
		res.Noisy = append(res.Noisy, quota)
	default:
		res.Because += "; a likely cause: " + quota + " (lift it for the run: cpu.max, or cpu.cfs_quota_us of version 1)"
	}
}

// Changed names the parts that differ from fifo, none and immediate, as in "queue=lifo
// retry=backoff". An empty part counts as equal.
func Changed(q, a, r string) string {
	var all []string
	for _, part := range [][3]string{{"queue", q, "fifo"}, {"admit", a, "none"}, {"retry", r, "immediate"}} {
		if part[1] != part[2] && part[1] != "" {
			all = append(all, part[0]+"="+part[1])
		}
	}
	return strings.Join(all, " ")
}
