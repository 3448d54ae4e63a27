package study

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Map is the collapse probability of contestants side by side over two axes of a scenario. It
// is kept as map.json in a folder of its own, beside the points.
type Map struct {
	Schema      int            `json:"schema"`
	Scenario    string         `json:"scenario_toml"`
	X           scenario.Range `json:"x"`
	Y           scenario.Range `json:"y"`
	Contestants []string       `json:"contestants"` // queue, or queue/admit, or queue/admit/retry
	Seeds       int            `json:"seeds"`
	Seed        uint64         `json:"seed"` // of the first; 0: NewMap draws one
	Method                     // virtual, if it names no engine
	All         bool           `json:"all"` // every point is run; else only those near a border
	// Measure is what a run is counted for: collapse (the default), or healthy: that leases
	// lapsed which had outlived the outage.
	Measure string          `json:"measure"`
	Build   bench.BuildInfo `json:"build"`
}

// MapPoint is a contestant at a place of the map.
type MapPoint struct {
	Contestant  int      `json:"contestant"`
	X           int      `json:"x"` // index
	Y           int      `json:"y"`
	Beta        float64  `json:"beta"`
	Law         float64  `json:"law"`               // β at which the batch law expects a fifo to collapse
	Lost        int      `json:"lost"`              // seeds that were not back at the end
	Runs        int      `json:"runs"`              // valid seeds
	Invalid     int      `json:"invalid,omitempty"` // seeds that the host spoilt
	TTR         *float64 `json:"ttr_s"`             // median of those that came back; null: none
	HealthyLost int      `json:"healthy_lost"`
	Impossible  string   `json:"impossible,omitempty"` // why there is no such scenario
	Inferred    bool     `json:"inferred,omitempty"`   // not run: all around it agree
}

// P is the collapse probability.
func (p MapPoint) P() float64 {
	if p.Runs == 0 {
		return math.NaN()
	}
	return float64(p.Lost) / float64(p.Runs)
}

const (
	mapLayout  = "map.json"
	pointsFile = "points.jsonl"
)

// MapResult is a finished map.
type MapResult struct {
	Map
	Points []MapPoint `json:"points"` // by contestant, row and column
	Marks  []MapMark  `json:"marks"`
	Title  string     `json:"title"`
	// Fluid is the border by the fluid law, by contestant; null: no axis is the surge.
	Fluid []FluidLine `json:"fluid_law"`
}

// MapMark is a place worth knowing.
type MapMark struct {
	X    float64 `json:"x"` // in the axes' units
	Y    float64 `json:"y"`
	Text string  `json:"text"`
}

// marks are the incident's own numbers, where the map has them: of 10^6 leases 10^2 were
// broken on an ordinary day, and 10^5 on the day.
func (g *Map) marks() (all []MapMark) {
	if g.Measure == "healthy" {
		return nil
	}
	for _, m := range []struct {
		share float64
		text  string
	}{{1e-4, "an ordinary day: 10² of 10⁶"}, {0.1, "the day: 10⁵ of 10⁶"}} {
		s, err := scenario.Parse("scenario_toml", []byte(g.Scenario))
		if err != nil {
			return nil
		}
		s.Broken = int(m.share * float64(s.Leases))
		ax, err1 := scenario.FindAxis(g.X.Axis)
		ay, err2 := scenario.FindAxis(g.Y.Axis)
		if err1 != nil || err2 != nil {
			return nil
		}
		x, y := ax.Get(&s), ay.Get(&s)
		if x >= g.X.Low && x <= g.X.High && y >= g.Y.Low && y <= g.Y.High {
			all = append(all, MapMark{x, y, m.text})
		}
	}
	return all
}

// NewMap checks a map and lays out its folder.
func NewMap(dir string, g Map) error {
	if err := g.validate(); err != nil {
		return err
	}
	g.Schema, g.Build, g.Seed = bench.ManifestSchema, bench.ReadBuildInfo(), bench.DrawSeed(g.Seed)
	return LayOut(dir, mapLayout, g)
}

// RefusedText says in a line for each reason how many points there are not.
func (r *MapResult) RefusedText() string {
	var cells []Cell
	for _, p := range r.Points {
		if p.Impossible != "" && !p.Inferred {
			cells = append(cells, Cell{Refused: p.Impossible})
		}
	}
	return refusals(cells)
}

// base is the scenario without a contestant.
func (g *Map) base() scenario.Scenario {
	s, err := scenario.Parse("scenario_toml", []byte(g.Scenario))
	if err != nil {
		return scenario.Default()
	}
	return s
}

func (g *Map) validate() error {
	if g.X.Axis == g.Y.Axis {
		return fmt.Errorf("%w: both axes are %q: want two", scenario.ErrScenario, g.X.Axis)
	}
	if (g.X.Axis == "broken" || g.X.Axis == "beta") && (g.Y.Axis == "broken" || g.Y.Axis == "beta") {
		return fmt.Errorf("%w: broken and beta are one axis", scenario.ErrScenario)
	}
	if g.Measure != "" && g.Measure != "collapse" && g.Measure != "healthy" {
		return scenario.Bad("measure", fmt.Sprintf("%q: want collapse or healthy", g.Measure))
	}
	if len(g.Contestants) == 0 || g.Seeds < 1 || g.Seeds > scenario.MaxSeeds {
		return fmt.Errorf("%w: a map needs a contestant and 1 to %d seeds", scenario.ErrScenario, scenario.MaxSeeds)
	}
	for _, r := range []scenario.Range{g.X, g.Y} {
		if err := r.Validate(); err != nil {
			return err
		}
	}
	s, err := scenario.Parse("scenario_toml", []byte(g.Scenario))
	if err != nil {
		return err
	}
	if err := g.Method.validate(); err != nil {
		return err
	}
	if _, err := bench.ServiceLaw(context.Background(), &s); err != nil {
		return err
	}
	if err := allContest(s, g.Contestants); err != nil {
		return err
	}
	// A grid whose every point is impossible is a mistake; that of a corner is not.
	tried := errors.New("")
	for _, x := range []int{0, g.X.N / 2, g.X.N - 1} {
		for _, y := range []int{0, g.Y.N / 2, g.Y.N - 1} {
			if _, tried = g.scenario(0, x, y); tried == nil {
				return nil
			}
		}
	}
	return tried
}

// scenario is what is run at a place. beta comes last, as it depends on the other axis.
func (g *Map) scenario(contestant, x, y int) (scenario.Scenario, error) {
	s, err := scenario.Parse("scenario_toml", []byte(g.Scenario))
	if err != nil {
		return s, err
	}
	if err := s.Contest(g.Contestants[contestant]); err != nil {
		return s, err
	}
	first, second := g.X, g.Y
	at := [2]int{x, y}
	if first.Axis == "beta" {
		first, second = second, first
		at = [2]int{y, x}
	}
	if err := first.Apply(&s, first.At(at[0])); err != nil {
		return s, err
	}
	if err := second.Apply(&s, second.At(at[1])); err != nil {
		return s, err
	}
	return s, s.Validate()
}

// point runs a place over its seeds.
func (g *Map) point(ctx context.Context, runner bench.Runner, p MapPoint) (MapPoint, error) {
	s, err := g.scenario(p.Contestant, p.X, p.Y)
	if errors.Is(err, scenario.ErrScenario) {
		p.Impossible = err.Error()
		return p, nil
	}
	if err != nil {
		return p, err
	}
	p.Beta, p.Law = g.law(&s)
	all, refused, err := point(ctx, runner, s, g.options(g.Seed), g.Seeds)
	good := all.valid()
	p.Impossible, p.Runs, p.TTR, p.Invalid = refused, len(good), good.back().median(ttr), len(all)-len(good)
	for _, r := range good {
		p.HealthyLost += r.HealthyLost
		if g.Measure == "healthy" && r.HealthyLost > 0 || g.Measure != "healthy" && r.Verdict.Lost() {
			p.Lost++
		}
	}
	return p, err
}

// law is what the map's line is about, both sides: β and the batch law, or, of healthy
// leases, θ·TTL and slack's guard, in seconds.
func (g *Map) law(s *scenario.Scenario) (value, border float64) {
	if g.Measure != "healthy" {
		return s.Beta(), law.Batch(s)
	}
	_, v, err := queue.Catalog.Resolve(s.Queue)
	retry, err2 := admit.MakeRetry(s.Retry, s.Timeout)
	l, ok := retry.(admit.Longest)
	if err != nil || err2 != nil || !ok {
		return 0, 0
	}
	return v["theta"] * s.TTL.Seconds(), (s.Timeout + s.Wait + l.Longest()).Seconds()
}

// title is what the figure says it is of.
func (g *Map) title() string {
	s, err := scenario.Parse("scenario_toml", []byte(g.Scenario))
	if err != nil {
		return ""
	}
	what := "collapse probability"
	if g.Measure == "healthy" {
		what = "probability that healthy leases lapse"
	}
	t := fmt.Sprintf("%s: "+what+", %s leases, %d seed%s a point, %s", s.Name, show.Count(s.Leases), g.Seeds, show.Plural(g.Seeds), cmp.Or(g.Engine, "virtual"))
	if s.ServiceLaw != "" && s.ServiceLaw != scenario.FixedServices {
		t += ", " + s.ServiceLaw + " services"
	}
	return t
}

// Text is the map for a person: how much of it each contestant survives.
func (r *MapResult) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-34s %8s %12s %8s %8s\n", "contestant", "safe", "vulnerable", "lost", "points run")
	for c, name := range r.Contestants {
		var safe, between, lost, run, all int
		for _, p := range r.Points {
			if p.Contestant != c || p.Runs == 0 {
				continue
			}
			all++
			if !p.Inferred {
				run++
			}
			switch p.Lost {
			case 0:
				safe++
			case p.Runs:
				lost++
			default:
				between++
			}
		}
		share := func(n int) float64 { return 100 * float64(n) / float64(max(1, all)) }
		fmt.Fprintf(&b, "%-34s %6.1f %% %10.1f %% %6.1f %% %8d of %d\n", name, share(safe), share(between), share(lost), run, all)
	}
	return b.String()
}
