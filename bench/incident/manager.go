package incident

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/internal/parallel"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// Step is the length of a step of the replay's series.
const Step = 30 * time.Second

// Moment is one step of the managers' series, summed over the partitions.
type Moment struct {
	Active, Queued int // live leases and waiting attempts, at the step's end
	record.Tally
}

// managers is what the partitions of the lease manager did in a replay.
type managers struct {
	Moments    []Moment
	Partitions int
	Active     []int // live leases, Period apart
	Period     time.Duration
	// Collapsed are the times at which partitions had collapsed, by bench.Judge, with the return of
	// the name as each partition's client saw it; in no order.
	Collapsed []time.Duration
}

func (m *managers) add(o *managers) {
	m.Collapsed = append(m.Collapsed, o.Collapsed...)
	for i, x := range o.Moments {
		if i == len(m.Moments) {
			m.Moments = append(m.Moments, Moment{})
		}
		y := &m.Moments[i]
		y.Active += x.Active
		y.Queued += x.Queued
		y.Add(&x.Tally)
	}
	for i, n := range o.Active {
		if i == len(m.Active) {
			m.Active = append(m.Active, 0)
		}
		m.Active[i] += n
	}
}

// partition is one of the managers: its scenario and what happens to it.
type partition struct {
	scenario scenario.Scenario
	runbook  *scenario.Runbook // nil: the operator does nothing
	launches []bench.LaunchChange
	client   *dependency.Client
	seed     uint64
	back     time.Duration // the name's return as the client sees it
}

// partitions divides the region's leases among the managers.
func (r *replay) partitions() ([]partition, error) {
	all, launches := make([]partition, r.cfg.Partitions), r.launchChanges()
	for i := range all {
		p := &all[i]
		p.scenario = r.cfg.Manager
		p.scenario.Leases = share(r.cfg.Manager.Leases, r.cfg.Partitions, i)
		p.scenario.Broken = 0 // they lapse because the dependency is away
		p.seed = r.cfg.Seed + uint64(i)<<32
		p.launches = launches
		cfg := r.cfg.Client
		cfg.Seed, cfg.Client, cfg.Away = r.cfg.Seed, uint64(i)+1, r.empty
		cfg.Connections = max(1, min(cfg.Connections, p.scenario.Leases))
		var err error
		if p.client, err = dependency.New(cfg); err != nil {
			return nil, err
		}
		p.back = min(p.client.Back(r.away.To), r.cfg.End-time.Minute)
		p.scenario.Steady, p.scenario.Outage = r.away.From, p.back-r.away.From
		p.scenario.Duration = r.cfg.End - p.back
		p.runbook = r.managerSteps(i, p.back)
	}
	return all, nil
}

// share is the i-th of n nearly equal parts of all.
func share(all, n, i int) int { return all*(i+1)/n - all*i/n }

// runManagers runs the partitions, so many at a time; 0: as many as go. They are independent of one another,
// since what the operator does and when the name is empty are known before.
func (r *replay) runManagers(ctx context.Context, at int) (*managers, error) {
	parts, err := r.partitions()
	if err != nil {
		return nil, err
	}
	sum := &managers{Partitions: len(parts), Period: r.cfg.Manager.Timeout / bench.WatchesPerTimeout}
	if at == 0 {
		at, _ = bench.AtOnce(parts[0].scenario)
	}
	done := 0
	var mu sync.Mutex
	return sum, parallel.Do(ctx, at, len(parts), func(ctx context.Context, i int) error {
		m, err := parts[i].run(ctx, r.watcher(i))
		if err != nil {
			return fmt.Errorf("partition %d: %w", i+1, err)
		}
		mu.Lock()
		defer mu.Unlock()
		sum.add(m)
		done++
		r.say("partition %d of %d is through the day", done, len(parts))
		return nil
	})
}

// watcher is who sees the i-th partition; nil: nobody does.
func (r *replay) watcher(i int) bench.Live {
	if r.cfg.Live == nil {
		return nil
	}
	return func(a bench.About) func(bench.Look) {
		a.Name = fmt.Sprintf("partition %d", i+1)
		return r.cfg.Live(a)
	}
}

// run takes one partition through the day.
func (p *partition) run(ctx context.Context, watch bench.Live) (*managers, error) {
	m := &managers{}
	res, err := bench.Virtual{}.Run(ctx, p.scenario, bench.Options{
		Seed: p.seed, Runbook: p.runbook, Live: watch,
		Part: &bench.Part{
			Dependency: p.client, Resume: p.client.Resume, Step: Step, Launches: p.launches,
			Watch: func(_ time.Duration, s engine.State) {
				m.Active = append(m.Active, s.Active)
			},
			Done: func(log *record.Log) {
				for _, row := range log.Rows() {
					m.Moments = append(m.Moments, Moment{row.Active, row.Queued, row.Tally})
				}
			},
		},
	})
	if err == nil && res.CollapsedAt != nil {
		m.Collapsed = append(m.Collapsed, p.back+duration(*res.CollapsedAt))
	}
	return m, err
}

// managerSteps is the i-th partition's share of the operator's runbook; nil: nothing is done at it.
// What the operator does before the name's return at back takes effect with it.
func (r *replay) managerSteps(i int, back time.Duration) *scenario.Runbook {
	b := &scenario.Runbook{Name: r.cfg.Runbook.Name}
	for _, s := range r.cfg.Runbook.Steps {
		step := scenario.Step{At: max(0, s.At-back).String(), Do: s.Do, Value: s.Value}
		switch {
		case s.At >= r.cfg.End:
			continue
		case s.Do == operator.Restart:
			if !s.Restarts(i, r.cfg.Partitions) {
				continue
			}
			step.Value = 1 // of this partition's queue
		case s.Do != operator.Throttle && s.Do != operator.Relax:
			continue
		}
		b.Steps = append(b.Steps, step)
	}
	if len(b.Steps) == 0 {
		return nil
	}
	return b
}

// limit is a share of the launches that users ask for, which the operator lets in from a time on.
type limit struct {
	at    time.Duration
	share float64
}

// limits are the operator's limits on launches; none if nobody launches.
func (r *replay) limits() (all []limit) {
	if r.cfg.Manager.Launch == 0 {
		return nil
	}
	for _, s := range r.cfg.Runbook.Steps {
		switch s.Do {
		case operator.ThrottleLaunch:
			all = append(all, limit{s.At, s.Value})
		case operator.RelaxLaunch:
			all = append(all, limit{s.At, 1})
		}
	}
	return all
}

// launchChanges are the rates of launches that the operator's limits leave.
func (r *replay) launchChanges() (all []bench.LaunchChange) {
	for _, l := range r.limits() {
		all = append(all, bench.LaunchChange{At: l.at, Share: r.cfg.Manager.Launch * l.share})
	}
	return all
}
