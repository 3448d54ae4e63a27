package incident

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/study"
)

// Layer is one thing that could have been otherwise on that day.
type Layer struct {
	Name  string // as the flags that set it
	Doc   string
	Apply func(*Config) error
}

// Counterfactual is the day with some layers changed, over all seeds.
type Counterfactual struct {
	Layers       []string `json:"layers"` // empty: the day as it was
	Seeds        int      `json:"seeds"`
	Outages      int      `json:"outages"`   // seeds with an outage
	Collapses    int      `json:"collapses"` // seeds in which the managers collapsed by themselves
	LeaseHours   float64  `json:"lease_hours_lost"`
	ServiceHours float64  `json:"service_hours_lost"`
	DownMax      int      `json:"services_down_max"`
	TTR          *float64 `json:"ttr_s"` // null: in no seed
	// Stopped: lease-hours and service-hours lost are below StoppedShare of the day's.
	Stopped bool `json:"stopped"`
}

// StoppedShare is the share of the day's losses below which a layer counts as having stopped it.
const StoppedShare = 0.1

// Cheese is the table of counterfactuals, named after J. Reason's model of holes in layers that have
// to line up (Human Error, 1990).
type Cheese struct {
	Schema int              `json:"schema"`
	Seed   uint64           `json:"seed"`
	Leases int              `json:"leases"`
	Day    Counterfactual   `json:"day"`
	Alone  []Counterfactual `json:"alone"` // least lost first
	// Pairs are all pairs of layers of which neither stops the day alone; the best first.
	Pairs []Counterfactual `json:"pairs"`
	// Greedy is what comes of adding the best of these layers again and again, until the day is
	// stopped or nothing helps any more.
	Greedy *Counterfactual `json:"greedy"`
}

// Counterfactuals replays the day with each layer changed, and with each pair of those that do not
// stop it alone, seeds times each. If the runner makes its runs in other processes, the managers run there.
// With a [study.Memory] a table that was interrupted goes on where it was.
func Counterfactuals(ctx context.Context, runner bench.Runner, cfg Config, layers []Layer, seeds int) (*Cheese, error) {
	cfg.Seed = bench.DrawSeed(cfg.Seed)
	c := &Cheese{Schema: bench.ManifestSchema, Seed: cfg.Seed, Leases: cfg.Manager.Leases}
	t := &trial{cfg: cfg, runner: runner, seeds: seeds, day: &c.Day, shared: &shared{runner: runner, days: map[string]*managed{}}, tried: map[string]Counterfactual{}}
	day, err := t.all(ctx, [][]Layer{{}})
	if err != nil {
		return nil, err
	}
	c.Day = day[0]
	var alone, pairs [][]Layer
	for _, l := range layers {
		alone = append(alone, []Layer{l})
	}
	if c.Alone, err = t.all(ctx, alone); err != nil {
		return nil, err
	}
	var open []Layer // does not stop the day alone
	for i, l := range layers {
		if !c.Alone[i].Stopped {
			open = append(open, l)
		}
	}
	for i, a := range open {
		for _, b := range open[i+1:] {
			if !sameKnob(a, b) {
				pairs = append(pairs, []Layer{a, b})
			}
		}
	}
	if c.Pairs, err = t.all(ctx, pairs); err != nil {
		return nil, err
	}
	for _, all := range [][]Counterfactual{c.Alone, c.Pairs} {
		slices.SortStableFunc(all, c.compare())
	}
	c.Greedy, err = c.greedy(ctx, open, t)
	return c, err
}

// trial replays the day with layers changed.
type trial struct {
	cfg    Config
	runner bench.Runner
	seeds  int
	day    *Counterfactual // once it is known
	shared *shared
	tried  map[string]Counterfactual // by the layers' names, in alphabetical order
}

// namesOf are the names of layers.
func namesOf(with []Layer) []string {
	names := make([]string, len(with))
	for i, l := range with {
		names[i] = l.Name
	}
	return names
}

func trialKey(with []Layer) string {
	return strings.Join(slices.Sorted(slices.Values(namesOf(with))), " ")
}

// all tries each of these sets of layers.
func (t *trial) all(ctx context.Context, sets [][]Layer) ([]Counterfactual, error) {
	var fresh [][]Layer
	for _, with := range sets {
		if _, ok := t.tried[trialKey(with)]; !ok {
			fresh = append(fresh, with)
		}
	}
	ends := make([][]ended, len(fresh))
	for i := range ends {
		ends[i] = make([]ended, t.seeds)
	}
	err := study.Each(ctx, t.runner, 1, len(fresh)*t.seeds, func(ctx context.Context, i int) (err error) {
		with, seed := fresh[i/t.seeds], i%t.seeds
		ends[i/t.seeds][seed], err = study.Kept(t.runner, fmt.Sprintf("%d %s", seed, trialKey(with)), func() (ended, error) { return t.replay(ctx, with, seed) })
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, with := range fresh {
		f := sum(ends[i])
		if len(with) > 0 {
			f.stops(t.day)
		}
		t.tried[trialKey(with)] = f
	}
	out := make([]Counterfactual, len(sets))
	for i, with := range sets {
		out[i] = t.tried[trialKey(with)]
		out[i].Layers = namesOf(with) // in the order that was asked for
	}
	return out, nil
}

// compare orders by what is lost, as a share of the day's: lease-hours and service-hours count alike.
func (c *Cheese) compare() func(a, b Counterfactual) int {
	return func(a, b Counterfactual) int { return cmp.Compare(c.lost(&a), c.lost(&b)) }
}

func (c *Cheese) lost(f *Counterfactual) float64 {
	return f.LeaseHours/c.Day.LeaseHours + f.ServiceHours/c.Day.ServiceHours
}

// greedy adds the best layer again and again.
func (c *Cheese) greedy(ctx context.Context, layers []Layer, t *trial) (*Counterfactual, error) {
	best, with := c.Day, []Layer(nil)
	for !best.Stopped {
		var sets [][]Layer
		for _, l := range layers {
			if !slices.ContainsFunc(with, func(w Layer) bool { return sameKnob(w, l) || w.Name == l.Name }) {
				sets = append(sets, append(slices.Clone(with), l))
			}
		}
		all, err := t.all(ctx, sets)
		if err != nil {
			return nil, err
		}
		from := c.lost(&best)
		for i := range all {
			if c.lost(&all[i]) < c.lost(&best)-leastGain {
				best, with = all[i], sets[i]
			}
		}
		if c.lost(&best) >= from {
			break
		}
	}
	return &best, nil
}

// leastGain is the share of the day's losses that a layer has to save to count as a help.
const leastGain = 0.005

// sameKnob reports whether two layers set the same flag, as two queues do.
func sameKnob(a, b Layer) bool {
	x, _, _ := strings.Cut(a.Name, " ")
	y, _, _ := strings.Cut(b.Name, " ")
	return x == y && x != "--dns-mend"
}

func (c *Counterfactual) stops(day *Counterfactual) {
	c.Stopped = c.LeaseHours <= StoppedShare*day.LeaseHours && c.ServiceHours <= StoppedShare*day.ServiceHours
}

// ended is what the table counts of a replay.
type ended struct {
	Outage       bool     `json:"outage"`
	Collapsed    bool     `json:"collapsed"`
	LeaseHours   float64  `json:"lease_hours_lost"`
	ServiceHours float64  `json:"service_hours_lost"`
	DownMax      int      `json:"services_down_max"`
	TTR          *float64 `json:"ttr_s"`
}

// replay replays the day with these layers, with the seed of that place.
func (t *trial) replay(ctx context.Context, with []Layer, seed int) (ended, error) {
	cfg := t.cfg
	for _, l := range with {
		if err := l.Apply(&cfg); err != nil {
			return ended{}, err
		}
	}
	if cfg.Progress != nil && seed == 0 {
		f := Counterfactual{Layers: namesOf(with)}
		fmt.Fprintf(cfg.Progress, "%s\n", f.name())
	}
	cfg.Progress = nil
	cfg.Seed += uint64(seed)
	res, err := replayWith(ctx, cfg, t.shared)
	if err != nil {
		return ended{}, err
	}
	return ended{res.Outage, res.CollapsedAt != nil, res.LeaseHours, res.ServiceHours, res.ServicesDownMax, res.TTR}, nil
}

// sum takes the seeds together.
func sum(seeds []ended) Counterfactual {
	c := Counterfactual{Seeds: len(seeds)}
	var ttrs []float64
	for _, e := range seeds {
		c.LeaseHours += e.LeaseHours / float64(len(seeds))
		c.ServiceHours += e.ServiceHours / float64(len(seeds))
		c.DownMax = max(c.DownMax, e.DownMax)
		if e.Outage {
			c.Outages++
		}
		if e.Collapsed {
			c.Collapses++
		}
		if e.TTR != nil {
			ttrs = append(ttrs, *e.TTR)
		}
	}
	if len(ttrs) > 0 {
		slices.Sort(ttrs)
		c.TTR = &ttrs[len(ttrs)/2]
	}
	return c
}

func (c *Counterfactual) name() string {
	if len(c.Layers) == 0 {
		return "the day as it was"
	}
	return strings.Join(c.Layers, " ")
}

// Text is the table for a person.
func (c *Cheese) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s leases, %d seed%s from %d: what would have stopped the day, the least lost first\n\n", show.Count(c.Leases), c.Day.Seeds, show.Plural(c.Day.Seeds), c.Seed)
	rows := [][]string{{"changed", "outages", "collapses", "lease-h lost", "service-h lost", "most down", "TTR", "stopped"}}
	row := func(f Counterfactual, stopped string) {
		ttr := "–"
		if f.TTR != nil {
			ttr = fmt.Sprintf("%.0f min", *f.TTR/60)
		}
		rows = append(rows, []string{f.name(), fmt.Sprintf("%d/%d", f.Outages, f.Seeds), fmt.Sprintf("%d/%d", f.Collapses, f.Seeds),
			show.Group(float64(int(f.LeaseHours + .5))), fmt.Sprintf("%.0f", f.ServiceHours), fmt.Sprint(f.DownMax), ttr, stopped})
	}
	row(c.Day, "")
	for _, f := range c.Alone {
		row(f, map[bool]string{true: "yes", false: "no"}[f.Stopped])
	}
	b.WriteString(show.Columns(rows))
	needed := 0
	for _, f := range c.Pairs {
		if f.Stopped {
			needed++
		}
	}
	fmt.Fprintf(&b, "\n%d pairs of those that do not stop it alone: %d stop it together; the best are\n\n", len(c.Pairs), needed)
	rows = rows[:1]
	for _, f := range c.Pairs[:min(len(c.Pairs), max(10, needed))] {
		row(f, map[bool]string{true: "yes", false: "no"}[f.Stopped])
	}
	b.WriteString(show.Columns(rows))
	if g := c.Greedy; g != nil {
		fmt.Fprintf(&b, "\nadding the best layer again and again: %s: %s lease-hours and %.0f service-hours are lost, stopped: %s\n",
			g.name(), show.Group(g.LeaseHours), g.ServiceHours, map[bool]string{true: "yes", false: "no"}[g.Stopped])
	}
	fmt.Fprintf(&b, "\nstopped: less than %.0f %% of the day's lease-hours and of its service-hours are lost\n", 100*StoppedShare)
	b.WriteString("recheck and nonempty-guard stop the race as it went; 'leasestorm incident explore' says what else they leave open\n")
	return b.String()
}
