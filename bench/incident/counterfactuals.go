package incident

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
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
// stop it alone, seeds times each.
func Counterfactuals(ctx context.Context, cfg Config, layers []Layer, seeds int) (*Cheese, error) {
	cfg.Seed = bench.DrawSeed(cfg.Seed)
	c := &Cheese{Schema: bench.ManifestSchema, Seed: cfg.Seed, Leases: cfg.Manager.Leases}
	kept, tried := map[string]*managers{}, map[string]Counterfactual{}
	try := func(with ...Layer) (f Counterfactual, err error) {
		names := make([]string, len(with))
		for i, l := range with {
			names[i] = l.Name
		}
		key := strings.Join(slices.Sorted(slices.Values(names)), " ")
		f, ok := tried[key]
		if !ok {
			if f, err = counterfactual(ctx, cfg, seeds, kept, with); err != nil {
				return f, err
			}
			if len(with) > 0 {
				f.stops(&c.Day)
			}
			tried[key] = f
		}
		f.Layers = names // in the order that was asked for
		return f, nil
	}
	var err error
	if c.Day, err = try(); err != nil {
		return nil, err
	}
	var open []Layer // does not stop the day alone
	for _, l := range layers {
		alone, err := try(l)
		if err != nil {
			return nil, err
		}
		if c.Alone = append(c.Alone, alone); !alone.Stopped {
			open = append(open, l)
		}
	}
	for i, a := range open {
		for _, b := range open[i+1:] {
			if sameKnob(a, b) {
				continue
			}
			pair, err := try(a, b)
			if err != nil {
				return nil, err
			}
			c.Pairs = append(c.Pairs, pair)
		}
	}
	for _, all := range [][]Counterfactual{c.Alone, c.Pairs} {
		slices.SortStableFunc(all, c.compare())
	}
	c.Greedy, err = c.greedy(open, try)
	return c, err
}

// compare orders by what is lost, as a share of the day's: lease-hours and service-hours count alike.
func (c *Cheese) compare() func(a, b Counterfactual) int {
	return func(a, b Counterfactual) int { return cmp.Compare(c.lost(&a), c.lost(&b)) }
}

func (c *Cheese) lost(f *Counterfactual) float64 {
	return f.LeaseHours/c.Day.LeaseHours + f.ServiceHours/c.Day.ServiceHours
}

// greedy adds the best layer again and again.
func (c *Cheese) greedy(layers []Layer, try func(...Layer) (Counterfactual, error)) (*Counterfactual, error) {
	best, with := c.Day, []Layer(nil)
	for !best.Stopped {
		from, chosen := best, Layer{}
		for _, l := range layers {
			if slices.ContainsFunc(with, func(w Layer) bool { return sameKnob(w, l) || w.Name == l.Name }) {
				continue
			}
			f, err := try(append(slices.Clone(with), l)...)
			if err != nil {
				return nil, err
			}
			if c.lost(&f) < c.lost(&best)-leastGain {
				best, chosen = f, l
			}
		}
		if c.lost(&best) >= c.lost(&from) {
			break
		}
		with = append(with, chosen)
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

// counterfactual replays the day with these layers. kept has what the managers did under the same
// conditions: most layers leave them alone.
func counterfactual(ctx context.Context, cfg Config, seeds int, kept map[string]*managers, with []Layer) (Counterfactual, error) {
	c := Counterfactual{Layers: []string{}, Seeds: seeds}
	for _, l := range with {
		if err := l.Apply(&cfg); err != nil {
			return c, err
		}
		c.Layers = append(c.Layers, l.Name)
	}
	if cfg.Progress != nil {
		fmt.Fprintf(cfg.Progress, "%s\n", c.name())
	}
	cfg.Progress = nil
	var ttrs []float64
	for i := range seeds {
		one := cfg
		one.Seed += uint64(i)
		res, err := replayKept(ctx, one, kept)
		if err != nil {
			return c, err
		}
		c.LeaseHours += res.LeaseHours / float64(seeds)
		c.ServiceHours += res.ServiceHours / float64(seeds)
		c.DownMax = max(c.DownMax, res.ServicesDownMax)
		if res.Outage {
			c.Outages++
		}
		if res.CollapsedAt != nil {
			c.Collapses++
		}
		if res.TTR != nil {
			ttrs = append(ttrs, *res.TTR)
		}
	}
	if len(ttrs) > 0 {
		slices.Sort(ttrs)
		c.TTR = &ttrs[len(ttrs)/2]
	}
	return c, nil
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
