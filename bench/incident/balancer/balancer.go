// Package balancer is the network load balancer of the replayed outage: targets in zones, their
// health checks, the checker's own load, and the automatic fail-over of zones.
//
// What is public: new targets were put in service before their network state had been propagated,
// so their checks failed and passed in turn, and targets left and re-entered service. The extra
// load slowed the checker. Delayed checks triggered automatic zone fail-over, which removed healthy
// capacity. Connection errors rose at 05:30, were noticed at 06:52, and ended with fail-over
// disabled at 09:36; it was enabled again at 14:09. The announced remedy is a velocity limit on the
// capacity that a balancer removes.
//
// What is inferred: a zone fails over when its check results are too old, and the checker works
// through its targets in rounds, so that a round takes longer under load.
//
// What is estimated: the share of checks of an unreached target that pass, the headrooms, how many
// zones may be out at once, and how long a zone stays out. What is calibrated: FlapWork, so that
// the first zone fails over at about 06:52 behind the calibrated network manager.
package balancer

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
)

// Config is the configuration of a Balancer.
type Config struct {
	Step     time.Duration // between two calls of Step
	Seed     uint64
	Zones    int
	Targets  float64       // in all zones together; each new target replaces one that left
	Every    time.Duration // between two checks of a target, with an idle checker
	Pass     float64       // share of the checks of an unreached target that pass
	FlapWork float64       // work of one change of a target's health, in units of one check
	Headroom float64       // the checker's capacity, in units of the checks of all targets
	Stale    time.Duration // a zone fails over when a round of its checks takes longer
	Out      time.Duration // least time that a zone stays out
	MostOut  int           // zones that may be out at once
	Need     float64       // share of the targets that the clients' connections need
	Velocity float64       // share of the targets that fail-over may remove per hour; 0: no limit
	Uneven   float64       // standard deviation of a zone's share of new targets, relative to the mean
}

// Default returns the calibrated configuration for a usual rate of new targets per second: there
// are as many targets as are launched in two usual hours. us-east-1 has six zones.
func Default(step time.Duration, seed uint64, perSecond float64) Config {
	return Config{
		Step: step, Seed: seed, Zones: 6, Targets: float64(perSecond * 7200), Every: 10 * time.Second, Pass: 0.5,
		FlapWork: 45, Headroom: 1.3, Stale: 15 * time.Second, Out: 5 * time.Minute, MostOut: 2, Need: 0.75, Uneven: 0.15,
	}
}

// VelocityLimit is the limit of the announced remedy as the replay has it: 5 % of the targets per
// hour. AWS did not publish the limit.
const VelocityLimit = 0.05

// Validate returns an error that names the first field that is out of range.
func (c Config) Validate() error {
	for _, f := range []struct {
		name        string
		value       float64
		least, most float64
	}{
		{"zones", float64(c.Zones), 1, 64},
		{"targets", c.Targets, 1e-9, 1e12},
		{"share of checks of unreached targets that pass", c.Pass, 0, 1},
		{"checks' worth of work per flap", c.FlapWork, 0, 1e6},
		{"headroom of the checker", c.Headroom, 1, 1e6},
		{"zones out at once", float64(c.MostOut), 0, float64(c.Zones - 1)},
		{"share of the targets that is needed", c.Need, 0.001, 1},
		{"share of the targets removed per hour", c.Velocity, 0, 1e6},
		{"unevenness of the zones", c.Uneven, 0, 1},
	} {
		if !(f.value >= f.least && f.value <= f.most) {
			return fmt.Errorf("balancer: %g %s: want %g to %g", f.value, f.name, f.least, f.most)
		}
	}
	if c.Step <= 0 || c.Every <= 0 || c.Stale < c.Every || c.Out < 0 {
		return fmt.Errorf("balancer: step %v, a check every %v, stale after %v, out for %v: want times above 0, and stale not before the next check",
			c.Step, c.Every, c.Stale, c.Out)
	}
	return nil
}

// Inputs are what happens in one step.
type Inputs struct {
	New         float64       // targets that are registered in the step
	Delay       time.Duration // until the network state of these targets is propagated
	FailOverOff bool          // the operator has disabled automatic fail-over
}

// Outputs are the state at the end of one step. Numbers of targets are expected values.
type Outputs struct {
	InService  float64       // targets that get connections
	OutHealthy float64       // reachable targets in zones that are failed over
	Unreached  float64       // targets whose network state is not propagated
	Flaps      float64       // changes of a target's health in the step
	CheckDelay time.Duration // how much longer a round of checks takes, in the slowest zone
	ZonesOut   int           // zones that are failed over
	Errors     float64       // share of connections that fail
}

// cohort is what was registered in one step and is not yet reached.
type cohort struct {
	ready time.Duration
	zones []float64 // targets by zone
}

type zone struct {
	lean    float64 // of the zone's share of new targets; varies slowly, mean 0, deviation 1
	fresh   float64 // unreached targets
	round   time.Duration
	out     bool
	until   time.Duration // the zone is out at least so long
	weight  float64       // share of the zone that DNS answers have, 0 to 1
	ordinal int
}

// Balancer is a load balancer. It is passive: the caller steps it.
type Balancer struct {
	cfg    Config
	rng    *rand.Rand
	zones  []zone
	order  []*zone // the zones, slowest round first
	queue  []cohort
	budget float64 // share of the targets that fail-over may remove now
}

// New returns a balancer whose targets are all in service, or an error if the configuration is out
// of range.
func New(cfg Config) (*Balancer, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	b := &Balancer{cfg: cfg, rng: rand.New(rand.NewPCG(cfg.Seed, 0x62616c616e636572)), zones: make([]zone, cfg.Zones), budget: cfg.Velocity}
	for i := range b.zones {
		b.zones[i] = zone{lean: det.Normal(b.rng), weight: 1, round: cfg.Every, ordinal: i}
		b.order = append(b.order, &b.zones[i])
	}
	return b, nil
}

// Step takes the step from now to now + Config.Step. Steps must follow one another.
func (b *Balancer) Step(now time.Duration, in Inputs) (out Outputs) {
	b.register(now, in)
	b.reach(now + b.cfg.Step)
	b.check()
	b.failOver(now, in.FailOverOff)
	b.route()

	each := b.cfg.Targets / float64(b.cfg.Zones)
	served := 0.0 // reachable targets that get connections
	wrong := 0.0  // unreached ones that do
	for i := range b.zones {
		z := &b.zones[i]
		good := each - z.fresh
		served += float64(good * z.weight)
		wrong += float64(z.fresh * b.cfg.Pass * z.weight)
		out.OutHealthy += float64(good * (1 - z.weight))
		out.Unreached += z.fresh
		out.Flaps += float64(b.flapsPerRound(z) * (float64(b.cfg.Step) / float64(z.round)))
		out.CheckDelay = max(out.CheckDelay, z.round-b.cfg.Every)
		if z.out {
			out.ZonesOut++
		}
	}
	if out.InService = served + wrong; out.InService <= 0 {
		out.Errors = 1
		return out
	}
	// A connection fails at an unreached target, or because those that are left are overloaded.
	overloaded := max(0, 1-out.InService/float64(b.cfg.Need*b.cfg.Targets))
	out.Errors = 1 - float64((1-wrong/out.InService)*(1-overloaded))
	return out
}

// memory is the time over which a zone's share of new targets changes, 10 minutes: an estimate.
const memory = 10 * time.Minute

// register spreads the new targets over the zones. Those that are reached before their first check
// are never seen to fail.
func (b *Balancer) register(now time.Duration, in Inputs) {
	keep := det.Exp(-float64(b.cfg.Step) / float64(memory))
	fresh := math.Sqrt(1 - float64(keep*keep))
	sum := 0.0
	shares := make([]float64, len(b.zones))
	for i := range b.zones {
		z := &b.zones[i]
		z.lean = float64(z.lean*keep) + float64(det.Normal(b.rng)*fresh)
		shares[i] = max(0.1, 1+float64(b.cfg.Uneven*z.lean))
		sum += shares[i]
	}
	if in.New <= 0 || in.Delay <= b.cfg.Every {
		return
	}
	ready := now + in.Delay
	if n := len(b.queue); n > 0 {
		ready = max(ready, b.queue[n-1].ready) // propagation is in order
	}
	each := b.cfg.Targets / float64(b.cfg.Zones)
	for i := range b.zones {
		n := max(0, min(float64(in.New*(shares[i]/sum)), each-b.zones[i].fresh))
		shares[i] = n
		b.zones[i].fresh += n
	}
	b.queue = append(b.queue, cohort{ready: ready, zones: shares})
}

// reach takes the targets that are reached by now from the unreached.
func (b *Balancer) reach(now time.Duration) {
	n := 0
	for ; n < len(b.queue) && b.queue[n].ready <= now; n++ {
		for i, x := range b.queue[n].zones {
			b.zones[i].fresh = max(0, b.zones[i].fresh-x)
		}
	}
	if b.queue = b.queue[n:]; len(b.queue) == 0 {
		b.queue = nil
		for i := range b.zones {
			b.zones[i].fresh = 0 // no rounding error stays
		}
	}
}

// flapsPerRound is the expected number of changes of health in a round of the zone's checks.
func (b *Balancer) flapsPerRound(z *zone) float64 {
	return float64(z.fresh * 2 * b.cfg.Pass * (1 - b.cfg.Pass))
}

// check computes how long a round of checks takes in each zone: the checks and the work of the
// flaps, over the zone's share of the checker.
func (b *Balancer) check() {
	each := b.cfg.Targets / float64(b.cfg.Zones)
	for i := range b.zones {
		z := &b.zones[i]
		work := 1 + float64(b.cfg.FlapWork*(b.flapsPerRound(z)/each))
		z.round = max(b.cfg.Every, time.Duration(work/b.cfg.Headroom*float64(b.cfg.Every)))
	}
	slices.SortFunc(b.order, func(x, y *zone) int { return cmp.Or(cmp.Compare(y.round, x.round), cmp.Compare(x.ordinal, y.ordinal)) })
}

// failOver decides which zones are out: those with the oldest results first.
func (b *Balancer) failOver(now time.Duration, off bool) {
	n := 0
	for i := range b.zones {
		z := &b.zones[i]
		if z.out && (off || now >= z.until && z.round <= b.cfg.Stale) {
			z.out = false
		}
		if z.out {
			n++
		}
	}
	for _, z := range b.order {
		if !off && !z.out && z.round > b.cfg.Stale && n < b.cfg.MostOut {
			z.out, z.until = true, now+b.cfg.Out
			n++
		}
	}
}

// route moves the zones' weights in DNS: down as far as the velocity limit lets it, up at once.
func (b *Balancer) route() {
	b.budget = min(b.cfg.Velocity, b.budget+float64(b.cfg.Velocity*b.cfg.Step.Hours()))
	for i := range b.zones {
		z := &b.zones[i]
		switch {
		case !z.out:
			z.weight = 1
		case b.cfg.Velocity == 0:
			z.weight = 0
		default:
			most := float64(b.budget * float64(b.cfg.Zones)) // in zones
			down := min(z.weight, most)
			z.weight -= down
			b.budget = max(0, b.budget-down/float64(b.cfg.Zones))
		}
	}
}
