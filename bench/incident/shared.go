package incident

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dependency"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// shared is what the managers did in the replays of a table. Replays in which they see the same share it: most
// layers leave the managers alone, and at 24,000 leases nine tenths of a replay's time go into them.
type shared struct {
	runner bench.Runner // where they run, if that is in other processes
	mu     sync.Mutex
	days   map[string]*managed
}

// managed is what the managers did under the same conditions. The first replay that asks for it makes it.
type managed struct {
	once sync.Once
	did  *managers
	err  error
}

// managers returns what the managers of a replay did, whose DNS is resolved.
func (s *shared) managers(ctx context.Context, r *replay) (*managers, error) {
	key := fmt.Sprintf("%d %v %s %v %v %d", r.cfg.Seed, r.empty, r.cfg.Manager.TOML(), r.cfg.Client, r.cfg.Runbook.Steps, r.cfg.Partitions)
	s.mu.Lock()
	d := s.days[key]
	if d == nil {
		d = &managed{}
		s.days[key] = d
	}
	s.mu.Unlock()
	d.once.Do(func() {
		if study.IsWide(s.runner) {
			d.did, d.err = runElsewhere.Do(ctx, s.runner, r.conditions())
		} else {
			d.did, d.err = r.runManagers(ctx, 0)
		}
	})
	return d.did, d.err
}

// conditions are all that the managers of a replay see.
type conditions struct {
	Seed       uint64            `json:"seed"`
	Scenario   string            `json:"scenario_toml"`
	Partitions int               `json:"partitions"`
	Client     dependency.Config `json:"client"`
	Steps      []stepAt          `json:"steps"`
	Empty      []dwfm.Window     `json:"empty"`
	Away       dwfm.Window       `json:"away"`
	End        time.Duration     `json:"end_ns"`
}

// stepAt is an operator.Step with what its JSON leaves out.
type stepAt struct {
	At    time.Duration `json:"at_ns"`
	Do    string        `json:"do"`
	Value float64       `json:"value,omitempty"`
	From  float64       `json:"from,omitempty"`
}

func (r *replay) conditions() conditions {
	c := conditions{
		Seed: r.cfg.Seed, Scenario: r.cfg.Manager.TOML(), Partitions: r.cfg.Partitions, Client: r.cfg.Client,
		Empty: r.empty, Away: r.away, End: r.cfg.End,
	}
	for _, s := range r.cfg.Runbook.Steps {
		c.Steps = append(c.Steps, stepAt{s.At, s.Do, s.Value, s.From})
	}
	return c
}

// runElsewhere runs the managers for another process. A worker has one core, so the partitions go one by one.
var runElsewhere = study.NewTask("incident-managers", func(ctx context.Context, c conditions) (*managers, error) {
	r := &replay{empty: c.Empty, away: c.Away}
	r.cfg = Config{Seed: c.Seed, Partitions: c.Partitions, Client: c.Client, End: c.End}
	var err error
	if r.cfg.Manager, err = scenario.Parse("managers", []byte(c.Scenario)); err != nil {
		return nil, err
	}
	if strings.HasPrefix(r.cfg.Manager.ServiceLaw, scenario.MeasuredServices) {
		return nil, scenario.Bad("service_law", "it names a folder: want fixed, exponential or lognormal")
	}
	for _, s := range c.Steps {
		r.cfg.Runbook.Steps = append(r.cfg.Runbook.Steps, operator.Step{At: s.At, Do: s.Do, Value: s.Value, From: s.From})
	}
	if err := r.cfg.validate(); err != nil {
		return nil, err
	}
	return r.runManagers(ctx, 1)
})
