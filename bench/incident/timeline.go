package incident

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/incident/services"
	"github.com/leasestorm/leasestorm/queue"
)

// fact is a row of the public timeline, and how the replay comes to its own time.
type fact struct {
	clock, what string
	kind        Kind
	by          string // what is calibrated
	ours        func(r *replay, res *Result) (time.Duration, bool)
}

// facts are the rows of the public timeline that the replay has a part in.
var facts = []fact{
	{"23:48", "the name of the regional endpoint is emptied", Input, "", outageAt},
	{"23:48", "the managers' state checks begin to fail", Emergent, "", first(func(p *point) bool { return p.Done[queue.Failed].Sum() > 0 })},
	{"23:51", "Lambda, STS and IAM report errors", Emergent, "", first(func(p *point) bool { return p.up.Down >= 4 })},
	{"00:38", "the state of DNS is found to be the cause", Input, "", step(operator.FindCause)},
	{"01:15", "temporary mitigations for internal callers", Input, "", step(operator.MendInternal)},
	{"01:25", "IAM sign-in has recovered", Emergent, "", back("iam")},
	{"02:25", "the name is mended by hand", Input, "", step(operator.MendName)},
	{"02:25", "a tenth of the leases has lapsed (the share is an outside estimate)", Calibrated, "the lifetime of connections", first(func(p *point) bool { return p.lost >= 0.1 })},
	{"02:25", "the managers collapse under the surge (the public text says: after the return)", Emergent, "", collapsed},
	{"02:40", "cached DNS answers have expired", Emergent, "", after(operator.MendName, func(p *point) bool { return p.name >= 0.999 })},
	{"04:14", "incoming work is throttled, hosts are restarted", Input, "", step(operator.Throttle)},
	{"05:28", "all leases are back", Calibrated, "the throttle's rate", recovered},
	{"06:21", "new instances wait for their network configuration", Calibrated, "network.Config.Release", first(func(p *point) bool { return p.Delay >= 5*time.Minute })},
	{"06:52", "load balancers lose capacity to zone fail-over", Calibrated, "balancer.Config.FlapWork", first(func(p *point) bool { return p.targets.ZonesOut > 0 })},
	{"09:36", "automatic fail-over is switched off", Input, "", step(operator.FailOverOff)},
	{"10:36", "network configurations are on time again", Calibrated, "network.Config.Headroom", last(func(p *point) bool { return p.Delay >= 5*time.Minute })},
	{"13:50", "launches are back to normal", Emergent, "", last(func(p *point) bool { return p.launchOK < 0.9 })},
	{"14:20", "the event ends: all but one in twenty services are up", Emergent, "", last(func(p *point) bool { return 20*(p.up.Down+p.up.Degraded) > p.up.Up+p.up.Down+p.up.Degraded })},
}

func outageAt(_ *replay, res *Result) (time.Duration, bool)  { return since(res.OutageAt) }
func collapsed(_ *replay, res *Result) (time.Duration, bool) { return since(res.CollapsedAt) }

func recovered(r *replay, res *Result) (time.Duration, bool) {
	at, ok := since(res.TTR)
	return r.away.To + at, ok
}

func since(s *float64) (time.Duration, bool) {
	if s == nil {
		return 0, false
	}
	return duration(*s), true
}

// step is when the operator does it.
func step(do string) func(*replay, *Result) (time.Duration, bool) {
	return func(r *replay, res *Result) (time.Duration, bool) {
		at, ok := r.cfg.Runbook.First(do)
		return at, ok && res.Outage
	}
}

// first is the beginning of the first step of which is holds.
func first(is func(*point) bool) func(*replay, *Result) (time.Duration, bool) {
	return func(_ *replay, res *Result) (time.Duration, bool) {
		for i := range res.series {
			if is(&res.series[i]) {
				return res.series[i].at, true
			}
		}
		return 0, false
	}
}

// after is first, from a step of the operator on.
func after(do string, is func(*point) bool) func(*replay, *Result) (time.Duration, bool) {
	return func(r *replay, res *Result) (time.Duration, bool) {
		from, ok := r.cfg.Runbook.First(do)
		if !ok || !res.Outage {
			return 0, false
		}
		return first(func(p *point) bool { return p.at >= from && is(p) })(r, res)
	}
}

// last is the end of the last step of which is holds; ok is false if that is the day's last step or
// there is none.
func last(is func(*point) bool) func(*replay, *Result) (time.Duration, bool) {
	return func(_ *replay, res *Result) (time.Duration, bool) {
		for i := len(res.series) - 1; i >= 0; i-- {
			if is(&res.series[i]) {
				return res.series[i].at + Step, i < len(res.series)-1
			}
		}
		return 0, false
	}
}

// back is when a service was first up again after it went down.
func back(name string) func(*replay, *Result) (time.Duration, bool) {
	return func(_ *replay, res *Result) (time.Duration, bool) {
		down := false
		for _, c := range res.changes {
			if c.Service != name {
				continue
			}
			if down && c.To == services.Up {
				return c.At, true
			}
			down = down || c.To == services.Down
		}
		return 0, false
	}
}

// timeline lays the public rows beside the replay's.
func (r *replay) timeline(res *Result) {
	for _, f := range facts {
		row := Row{Public: f.clock, What: f.what, Kind: f.kind, By: f.by}
		if f.clock == "23:48" && f.kind == Input && r.drawn() {
			row.Kind = Emergent
		}
		if at, ok := f.ours(r, res); ok {
			row.Ours = seconds(at)
			if public, err := operator.At(f.clock); err == nil {
				row.Off = seconds((at - public).Round(time.Second))
			}
		}
		res.Timeline = append(res.Timeline, row)
	}
}
