package study

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/bisect"
	"github.com/leasestorm/leasestorm/bench/internal/parallel"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// changes are single changes that an operator could make, to see which helps most.
var changes = []struct {
	name string
	set  []string
}{
	{"drop what is past its deadline", []string{"queue=deadline"}},
	{"newest first", []string{"queue=lifo"}},
	{"least lease slack first", []string{"queue=slack"}},
	{"one queued attempt a droplet", []string{"queue=coalesce+fifo"}},
	{"a bounded queue", []string{"queue=bounded"}},
	{"a token bucket at the door", []string{"admit=token-bucket"}},
	{"backoff with full jitter", []string{"retry=backoff"}},
}

// twice are changes of size.
var twice = []struct {
	name string
	do   func(s *scenario.Scenario)
}{
	{"twice the timeout", func(s *scenario.Scenario) { s.Timeout *= 2 }},
	{"half the load (twice the workers)", func(s *scenario.Scenario) {
		if s.Scale != "none" {
			s.Rho /= 2
		} else {
			s.Workers = 2 * max(1, s.Workers)
		}
	}},
	{"half as many checks (twice the interval)", func(s *scenario.Scenario) {
		s.Interval *= 2
		if s.Scale != "none" {
			s.Rho /= 2
		}
		s.TTL = max(s.TTL, 3*s.Interval)
	}},
}

// Tip is a disturbance and the size from which on half of the seeds are lost.
type Tip struct {
	Disturbance string   `json:"disturbance"`
	Size        *float64 `json:"size_spare_timeouts"` // null: none up to Most tips it
	Most        float64  `json:"most"`
	What        string   `json:"what"`
	scenario    scenario.Scenario
}

// Remedy is a single change and what it does to the smallest disturbance.
type Remedy struct {
	Change string   `json:"change"`
	Size   *float64 `json:"size_spare_timeouts"` // null: none up to Most tips it
	Most   float64  `json:"most"`
	Gain   *float64 `json:"gain"`              // times what it survives without it, in establishes; null: beyond Most
	Fails  string   `json:"refused,omitempty"` // why it cannot be made
}

// Collapse is how far a configuration stands from the cliff.
type Collapse struct {
	Scenario string   `json:"scenario"`
	Queue    string   `json:"queue"`
	Admit    string   `json:"admit"`
	Retry    string   `json:"retry"`
	Seeds    int      `json:"seeds"`
	Seed     uint64   `json:"seed"`
	Own      float64  `json:"own_size"` // of the surge that the scenario itself has
	Tips     []Tip    `json:"tips"`
	Smallest *Tip     `json:"smallest"` // null: nothing tips it
	Remedies []Remedy `json:"remedies"`
	TOML     string   `json:"scenario_toml"` // a little above the smallest tip
}

// tolerance of a bisection, as a share of the size.
const tipTolerance = 0.01

// FindCollapse looks for the smallest disturbance that tips a scenario over, and for the
// single change that helps most against it.
func FindCollapse(ctx context.Context, runner bench.Runner, s scenario.Scenario, o bench.Options, n int) (*Collapse, error) {
	if s.Outage == 0 {
		return nil, scenario.Bad("outage", "disturbances begin with the return of an outage; set outage")
	}
	o.Seed = bench.DrawSeed(o.Seed)
	out := &Collapse{Scenario: s.Name, Queue: s.Queue, Admit: s.Admit, Retry: s.Retry, Seeds: n, Seed: o.Seed, Own: s.Beta()}
	f := &finder{runner, unrecorded(o), n}
	if lost, err := f.lost(ctx, s.Calm()); err != nil || lost {
		if lost {
			err = scenario.Bad("rho", "the scenario is lost with nothing gone wrong: there is no cliff to look for")
		}
		return nil, err
	}
	kinds := scenario.Disturbances()
	out.Tips = make([]Tip, len(kinds))
	at, _ := atOnce(f.runner, s)
	err := parallel.Do(ctx, at, len(kinds), func(ctx context.Context, i int) (err error) {
		out.Tips[i], err = f.tip(ctx, s, kinds[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	smallest := -1
	for i, t := range out.Tips {
		if t.Size != nil && (smallest < 0 || *t.Size < *out.Tips[smallest].Size) {
			smallest = i
		}
	}
	if smallest < 0 {
		return out, nil
	}
	tip := out.Tips[smallest]
	out.Smallest = &tip
	out.TOML = tip.scenario.TOML()
	return out, f.remedies(ctx, s, kinds[smallest], out)
}

// finder searches with a number of seeds.
type finder struct {
	runner bench.Runner
	o      bench.Options
	seeds  int
}

// lost says whether half of the seeds are not back.
func (f *finder) lost(ctx context.Context, s scenario.Scenario) (bool, error) {
	all, err := seeds(ctx, f.runner, s, f.o, f.seeds)
	if err != nil {
		return false, err
	}
	return sample(all).lost()
}

// tip bisects on the size of a disturbance.
func (f *finder) tip(ctx context.Context, base scenario.Scenario, d scenario.Disturbance) (Tip, error) {
	t := Tip{Disturbance: d.Name, Most: d.Most(&base)}
	at := func(size float64) (scenario.Scenario, error) {
		s := base.Calm()
		err := d.Set(&s, size)
		s.Duration += s.Pause + s.SlowFor
		return s, err
	}
	falls := func(size float64) (bool, error) {
		s, err := at(size)
		if err != nil {
			return false, err
		}
		return f.lost(ctx, s)
	}
	edge, found, err := bisect.Find(t.Most, bisect.Tolerance{Share: tipTolerance}, falls)
	if err != nil || !found {
		return t, err
	}
	size := edge.Middle()
	t.Size = &size
	if t.scenario, err = at(1.05 * edge.Lost); err != nil {
		return t, err
	}
	t.scenario.Name = "collapse-" + base.Name
	t.scenario.About = "the smallest disturbance that tips " + base.Name + " over, and a twentieth more"
	tipped, err := at(size)
	t.What = tipped.Disturbed()
	return t, err
}

// remedies tries each single change against the smallest disturbance.
func (f *finder) remedies(ctx context.Context, s scenario.Scenario, d scenario.Disturbance, out *Collapse) error {
	type try struct {
		name string
		s    scenario.Scenario
		err  error
	}
	var tries []try
	for _, c := range changes {
		t := try{name: fmt.Sprintf("%s (%s)", c.name, strings.Join(c.set, ", ")), s: s}
		t.err = t.s.Set(c.set...)
		if t.s != s {
			tries = append(tries, t)
		}
	}
	for _, c := range twice {
		t := try{name: c.name, s: s}
		c.do(&t.s)
		t.err = t.s.Validate()
		tries = append(tries, t)
	}
	out.Remedies = make([]Remedy, len(tries))
	at, _ := atOnce(f.runner, s)
	err := parallel.Do(ctx, at, len(tries), func(ctx context.Context, i int) error {
		r := Remedy{Change: tries[i].name}
		err := tries[i].err
		if err == nil {
			var t Tip
			if t, err = f.tip(ctx, tries[i].s, d); err == nil {
				r.Size, r.Most = t.Size, t.Most
				if t.Size != nil {
					gain := *t.Size * tries[i].s.Spare() / (*out.Smallest.Size * s.Spare())
					r.Gain = &gain
				}
			}
		}
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			r.Fails = strings.TrimPrefix(err.Error(), scenario.ErrScenario.Error()+": ")
			if !scenario.Refused(err) {
				return err
			}
		}
		out.Remedies[i] = r
		return nil
	})
	slices.SortStableFunc(out.Remedies, func(a, b Remedy) int {
		rank := func(r Remedy) float64 {
			switch {
			case r.Fails != "":
				return 1
			case r.Gain == nil:
				return -math.MaxFloat64
			}
			return -*r.Gain
		}
		return cmp.Compare(rank(a), rank(b))
	})
	return err
}

// Text is the search for a person.
func (r *Collapse) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: queue %s, admit %s, retry %s; %d seeds from %d on, virtual\nsizes are work added or taken away, in timeouts of the spare capacity (a surge's is β)\n\n", r.Scenario, r.Queue, r.Admit, r.Retry, r.Seeds, r.Seed)
	for _, t := range r.Tips {
		if t.Size == nil {
			fmt.Fprintf(&b, "  %-24s none up to %.1f tips it over\n", t.Disturbance, t.Most)
			continue
		}
		fmt.Fprintf(&b, "  %-24s tips it over from %.2f on: %s\n", t.Disturbance, *t.Size, t.What)
	}
	if r.Smallest == nil {
		return b.String() + "\nnothing that was tried tips it over\n"
	}
	fmt.Fprintf(&b, "\nthe smallest: %s, %.2f\n", r.Smallest.Disturbance, *r.Smallest.Size)
	if r.Own > 0 {
		var where string
		tip := r.Tips[0]
		switch {
		case tip.Size == nil:
			where = "and no surge tips it over"
		case r.Own >= *tip.Size:
			where = fmt.Sprintf("%.2f times the cliff: it is lost", r.Own / *tip.Size)
		default:
			where = fmt.Sprintf("%.0f %% of the way to the cliff", 100*r.Own / *tip.Size)
		}
		fmt.Fprintf(&b, "the scenario's own surge is %.2f, %s\n", r.Own, where)
	}
	b.WriteString("\nsingle changes, by what they do to it\n")
	for _, m := range r.Remedies {
		switch {
		case m.Fails != "":
			fmt.Fprintf(&b, "  %-56s refused: %s\n", m.Change, m.Fails)
		case m.Gain == nil:
			fmt.Fprintf(&b, "  %-56s none up to %.1f tips it over\n", m.Change, m.Most)
		default:
			fmt.Fprintf(&b, "  %-56s × %.2f\n", m.Change, *m.Gain)
		}
	}
	return b.String()
}
