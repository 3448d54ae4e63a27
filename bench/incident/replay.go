package incident

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// replay is one replay of the day.
type replay struct {
	cfg    Config
	fitted scenario.Fitted // one partition, for its capacity
	name   *dns.System     // what DNS did
	empty  []dwfm.Window   // when the endpoint's name had no records
	away   dwfm.Window     // the first of them; without an outage, that of the day
	dwfm   *managers
}

// say reports an event.
func (r *replay) say(format string, args ...any) {
	if r.cfg.Progress != nil {
		fmt.Fprintf(r.cfg.Progress, format+"\n", args...)
	}
}

// Replay carries the day through. The error is that of ctx if it was interrupted, and wraps
// scenario.ErrScenario or operator.ErrRunbook if the day cannot be replayed as configured.
func Replay(ctx context.Context, cfg Config) (*Result, error) { return replayWith(ctx, cfg, nil) }

// replayWith is Replay that shares what the managers did with other replays, if same is not nil.
func replayWith(ctx context.Context, cfg Config, same *shared) (*Result, error) {
	began := time.Now()
	cfg.Seed = bench.DrawSeed(cfg.Seed)
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	r := &replay{cfg: cfg}
	one := cfg.Manager
	one.Leases, one.Broken = max(1, cfg.Manager.Leases/cfg.Partitions), 0
	var err error
	if r.fitted, err = scenario.Fit(one, 1); err != nil {
		return nil, err
	}
	if err := r.resolve(); err != nil {
		return nil, err
	}
	if same == nil {
		r.dwfm, err = r.runManagers(ctx, 0)
	} else {
		r.dwfm, err = same.managers(ctx, r)
	}
	if err != nil {
		return nil, err
	}
	res, err := r.downstream()
	if err == nil {
		res.Elapsed = time.Since(began).Seconds()
	}
	return res, err
}

// The day's own times, as run time.
const (
	raceAt   = 18 * time.Minute
	returnAt = 175 * time.Minute
)

// acts are the operator's actions at the managers since the name's return.
func (r *replay) acts() (all []time.Duration) {
	for _, s := range r.cfg.Runbook.Steps {
		if s.At < r.cfg.End && slices.Contains([]string{operator.Throttle, operator.Relax, operator.Restart}, s.Do) {
			all = append(all, max(s.At, r.away.To))
		}
	}
	return all
}

// launchDemand is the launches per second that users ask for, before any limit of the operator.
func (r *replay) launchDemand() float64 {
	return float64(float64(r.cfg.Partitions) * r.fitted.Launches(r.cfg.Manager.Launch, r.fitted.Want))
}

// judged fills in what the managers came to.
func (r *replay) judged(res *Result) {
	acts := r.acts()
	first := time.Duration(0)
	if len(acts) > 0 {
		first = acts[0]
	}
	j := r.dwfm.judge(r.cfg.Manager.Leases, r.cfg.Manager.Timeout, r.away.To, first)
	res.Verdict, res.LeasesOut, res.LostMost = j.verdict, j.lostOut, j.lostMost
	if len(r.empty) == 0 {
		return
	}
	if j.collapsedAt > 0 {
		res.CollapsedAt = seconds(j.collapsedAt)
	}
	if j.verdict != bench.Recovered {
		return
	}
	res.TTR = seconds(j.backAt - r.away.To)
	if len(acts) > 0 && acts[0] < j.backAt {
		res.Rescue = seconds(j.backAt - acts[0])
	}
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// duration is the inverse of seconds.
func duration(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// ratio is part over all; 0 of none.
func ratio(part, all uint64) float64 {
	if all == 0 {
		return 0
	}
	return float64(part) / float64(all)
}
