package bench

import (
	"fmt"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/queue"
)

// Result is what one run says, as --json prints it.
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

	Verdict     Verdict            `json:"verdict"`
	TTR         *float64           `json:"ttr_s"`                // null: it did not come back
	CollapsedAt *float64           `json:"collapsed_at_s"`       // after the return; null: it did not
	Rescue      *float64           `json:"ttr_after_operator_s"` // from the operator's first action; null: none was needed, or it did not help
	Ended       string             `json:"ended_by"`             // verdict, duration, max-queue
	LaunchesOK  *float64           `json:"launches_ok"`          // share of launches that succeeded since the outage began; null: none
	Points      []Point            `json:"points,omitempty"`     // of a ramp
	Drain       *float64           `json:"drain_s"`              // null: the queue was not back at its steady level
	Efficiency  *float64           `json:"efficiency"`           // η; null where there is no recovery to speak of
	Capacity    float64            `json:"capacity_per_s"`       // establishes a second with all workers doing nothing else
	Beta        float64            `json:"beta"`                 // β
	Goodput     map[string]float64 `json:"goodput_per_s"`        // by class, mean from the return to the verdict
	WastedWork  float64            `json:"wasted_work"`          // from the return to the verdict
	IdleShare   *float64           `json:"idle_share"`           // of the workers' time from the return to the recovery; null: there is none
	Shed        uint64             `json:"shed"`                 // attempts
	ShedBy      map[string]uint64  `json:"shed_by"`              // by reason
	ActiveMin   int                `json:"active_min"`           // leases
	ActiveEnd   int                `json:"active_end"`           // leases
	HealthyLost int                `json:"healthy_lost"`         // leases that had outlived the outage, and lapsed
	Zones       []ZoneShare        `json:"zones"`                // since the return
	Fairness    *float64           `json:"fairness"`             // Jain's index of the zones' shares of good answers; null: nobody asked, or nobody got one
	TimeToLease Quantiles          `json:"time_to_lease_s"`      // over all retries
	Slip        Pair               `json:"slip_ms"`              // of the generator
	HostGap     Pair               `json:"host_gap_ms"`          // what the host alone does to it; nulls in virtual time
	Service     map[string]float64 `json:"service_us"`           // calibrated, by class
	Drift       float64            `json:"drift"`                // of capacity over the run, as a share; the larger of in and after it
	Idle        string             `json:"idle,omitempty"`       // what threads do when there is nothing to do
	Clock       string             `json:"clock,omitempty"`      // tsc or monotonic
	ClockDrift  float64            `json:"clock_drift_ppm"`      // against the monotonic clock, over the run
	GCs         uint32             `json:"gc_cycles"`            // in the run
	Noisy       []string           `json:"noisy,omitempty"`      // what a reader must know of a valid run
	Valid       bool               `json:"valid"`                //
	Because     string             `json:"invalid_because"`      // empty if valid
	Placement   string             `json:"placement,omitempty"`  // what is odd about it
	Run         float64            `json:"run_s"`                // of the experiment itself
	Elapsed     float64            `json:"elapsed_s"`            // with set-up and calibration
	Folder      string             `json:"folder,omitempty"`

	// Services is the distribution of service times over what was calibrated.
	Services []record.Quantile `json:"-"`
}

// Quantiles of N times, in seconds; null of none.
type Quantiles struct {
	P50  *float64 `json:"p50"`
	P99  *float64 `json:"p99"`
	P999 *float64 `json:"p999"`
	Max  *float64 `json:"max"`
	N    int64    `json:"n"`
}

// Pair of quantiles, in milliseconds; null of nothing.
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

// quantile is a quantile times scale, nil of nothing.
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

// result puts together what judge, log and engine know. The error is a violation of
// conservation.
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
	if f, ok := p.Source.(interface {
		HealthyLost() int
		Zones() []fleet.Zone
	}); ok {
		res.HealthyLost = f.HealthyLost()
		res.zones(f.Zones())
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
	x.sinceReturn(res, log, r.Elapsed)
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

// ZoneShare is what a zone's droplets got since the return.
type ZoneShare struct {
	Asked int      `json:"asked"`
	Good  *float64 `json:"good"`   // share of the asked; null: nobody asked
	Mean  *float64 `json:"mean_s"` // from birth to a good answer; null: there was none
}

// zones sums up by zone; fairness is Jain's index (R. Jain et al., DEC-TR-301, 1984) of the
// zones in which somebody asked.
func (res *Result) zones(all []fleet.Zone) {
	n, sum, squares := 0.0, 0.0, 0.0
	for _, z := range all {
		s := ZoneShare{Asked: z.Asked}
		if z.Asked > 0 {
			good := float64(z.Good) / float64(z.Asked)
			s.Good = &good
			n++
			sum += good
			squares += good * good
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

// sinceReturn fills in the means from the dependency's return to the verdict.
func (x *experiment) sinceReturn(res *Result, log *record.Log, end time.Duration) {
	var t record.Tally
	var good record.Counts
	var launched, asked uint64
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
	if asked > 0 {
		ok := float64(launched) / float64(asked)
		res.LaunchesOK = &ok
	}
	res.WastedWork = record.Share(t.Wasted, t.Busy)
}

// What makes a run noisy or invalid: slip as a share of the timeout, drift of capacity.
const (
	noisySlip, invalidSlip   = 0.01, 0.05
	noisyDrift, invalidDrift = 0.10, 0.25
	noisyFit                 = 0.05
	noisyClock               = 200.0 // ppm: at 10 s, 2 ms
	impossible               = 1.1   // efficiency
)

// judgeHarness says whether the harness kept up.
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

// blame names the CPU quota that a run was under, where there was one: as a cause, if the
// run is invalid.
func (res *Result) blame(quota string) {
	switch {
	case quota == "":
	case res.Valid:
		res.Noisy = append(res.Noisy, quota)
	default:
		res.Because += "; a likely cause: " + quota + " (lift it for the run: cpu.max, or cpu.cfs_quota_us of version 1)"
	}
}

// Changed names what differs from a plain fifo.
func Changed(q, a, r string) string {
	var all []string
	for _, part := range [][3]string{{"queue", q, "fifo"}, {"admit", a, "none"}, {"retry", r, "immediate"}} {
		if part[1] != part[2] && part[1] != "" {
			all = append(all, part[0]+"="+part[1])
		}
	}
	return strings.Join(all, " ")
}
