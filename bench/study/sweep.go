package study

import (
	"context"
	"fmt"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"go.uber.org/atomic"
)

// Sweep is the study of contestants side by side along one axis of a scenario.
type Sweep struct {
	Schema      int            `json:"schema"`
	Scenario    string         `json:"scenario_toml"`
	Title       string         `json:"title"`
	X           scenario.Range `json:"x"`
	Contestants []string       `json:"contestants"`
	Seeds       int            `json:"seeds"`
	Seed        uint64         `json:"seed"` // of the first; 0: Run draws one
	Method
	Points []SweepPoint    `json:"points"` // by contestant, then X
	Build  bench.BuildInfo `json:"build"`
}

// SweepPoint is a contestant at a value of the axis.
type SweepPoint struct {
	Contestant int     `json:"contestant"`
	X          float64 `json:"x"`
	Lost       int     `json:"lost"`  // seeds that did not come back
	Runs       int     `json:"runs"`  // valid ones
	TTR        *Spread `json:"ttr_s"` // of those that came back
	Idle       *Spread `json:"idle"`  // share of the workers' time in the recovery that was idle
	Eta        *Spread `json:"efficiency"`
	Refused    string  `json:"refused,omitempty"` // why there is no such scenario
}

// Run runs the sweep's points.
func (l *Sweep) Run(ctx context.Context, runner bench.Runner, progress func(done, of int)) error {
	base, err := scenario.Parse("sweep.toml", []byte(l.Scenario))
	if err != nil {
		return err
	}
	if len(l.Contestants) == 0 || l.Seeds < 1 {
		return fmt.Errorf("%w: a sweep needs a contestant and a seed at least", scenario.ErrScenario)
	}
	if err := l.X.Validate(); err != nil {
		return err
	}
	if base.Outage == 0 {
		return scenario.Bad("outage", "a sweep's TTR needs a surge; set outage")
	}
	if err := allContest(base, l.Contestants); err != nil {
		return err
	}
	at, _ := atOnce(runner, base)
	l.Seed = bench.DrawSeed(l.Seed)
	l.Schema, l.Build = bench.ManifestSchema, bench.ReadBuildInfo()
	l.Title = fmt.Sprintf("%s: %s leases, %s broken, %d seeds, %s", base.Name, show.Count(base.Leases), show.Count(base.Broken), l.Seeds, runner.Name())
	l.Points = make([]SweepPoint, len(l.Contestants)*l.X.N)
	var done atomic.Int64
	return each(ctx, runner, at, len(l.Points), l.Seeds, func(ctx context.Context, i int) error {
		p, err := l.point(ctx, runner, base, i/l.X.N, l.X.At(i%l.X.N))
		l.Points[i] = p
		if n := done.Inc(); progress != nil {
			progress(int(n), len(l.Points))
		}
		return err
	})
}

func (l *Sweep) point(ctx context.Context, runner bench.Runner, s scenario.Scenario, contestant int, x float64) (SweepPoint, error) {
	p := SweepPoint{Contestant: contestant, X: x}
	if err := l.fit(&s, contestant, x); err != nil {
		p.Refused = err.Error()
		return p, nil //nolint:nilerr // that there is no such scenario is a result
	}
	all, refused, err := point(ctx, runner, s, l.options(l.Seed), l.Seeds)
	if err != nil {
		return p, err
	}
	p.Refused = refused
	p.sum(all)
	return p, nil
}

// sum takes the valid runs together.
func (p *SweepPoint) sum(all sample) {
	good := all.valid()
	back := good.back()
	p.Runs, p.Lost = len(good), len(good)-len(back)
	p.TTR, p.Idle, p.Eta = back.spread(ttr), back.spread(idle), back.spread(efficiency)
}

// fit makes the scenario of a point. The axis comes first: what it sets of a contestant's
// parts is the contestant's, if it names that part. Only a parameter of a part comes after it.
func (l *Sweep) fit(s *scenario.Scenario, contestant int, x float64) error {
	apply := func() error { return l.X.Apply(s, x) }
	contest := func() error { return s.Contest(l.Contestants[contestant]) }
	if l.X.OfPart() {
		apply, contest = contest, apply
	}
	if err := apply(); err != nil {
		return err
	}
	if err := contest(); err != nil {
		return err
	}
	return s.Validate()
}

// Text is a table of TTRs.
func (l *Sweep) Text() string {
	rows := [][]string{append([]string{show.WithUnit(l.X.Axis, l.X.Unit)}, l.Contestants...)}
	for i := range l.X.N {
		row := []string{fmt.Sprintf("%.3g", l.X.At(i))}
		for c := range l.Contestants {
			p := l.Points[c*l.X.N+i]
			switch {
			case p.Refused != "":
				row = append(row, "refused")
			case p.Runs == 0:
				row = append(row, "–")
			case p.TTR == nil:
				row = append(row, "lost")
			default:
				cell := fmt.Sprintf("%.2f", p.TTR.Median)
				if p.Idle != nil {
					cell += fmt.Sprintf(", idle %.0f %%", 100*p.Idle.Median)
				}
				if p.Lost > 0 {
					cell += fmt.Sprintf(", lost %d of %d", p.Lost, p.Runs)
				}
				row = append(row, cell)
			}
		}
		rows = append(rows, row)
	}
	return "TTR (s) and the workers' idle share in the recovery\n" + show.Columns(rows)
}
