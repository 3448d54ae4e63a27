package services

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
)

// Count is the number of services of the day: the seed report says 140, the public dashboard 142.
const Count = 140

// The shape of the generated part. All of it is estimated.
const (
	lowestLayer  = 3 // of generated services
	topLayer     = 5
	circles      = 6 // groups of services of one layer that need each other
	circleStart  = 0.75
	meanPatience = 4 * time.Minute // cached answers and open connections
	mostPatience = 20 * time.Minute
	meanRecovery = 6 * time.Minute
	mostRecovery = 20 * time.Minute
	leastHand    = 20 * time.Minute // until people break a circle
	mostHand     = 2 * time.Hour
	globalShare  = 0.1
)

// Generate returns a graph of n services: the public ones, and the rest drawn from the seed.
func Generate(n int, seed uint64) (*Graph, error) {
	if err := checkCount(n); err != nil {
		return nil, err
	}
	g := &Graph{}
	d := drawer{rand.New(rand.NewPCG(seed, 0x7365727669636573))}
	for _, p := range public {
		s := Service{Name: p.name, Public: true, Base: len(g.Services) < bases, Inner: p.inner, Global: p.global, Hand: p.hand}
		for _, name := range p.need {
			on, hard := strings.CutSuffix(name, "!")
			i := g.find(on)
			s.Needs = append(s.Needs, d.need(i, hard, true))
			s.Layer = max(s.Layer, g.Services[i].Layer+1)
		}
		patience, recovery := d.times()
		s.Patience, s.Recovery = patience, cmp.Or(p.recovery, recovery)
		g.Services = append(g.Services, s)
	}
	layers := make([]int, n-len(public))
	for i := range layers {
		layers[i] = lowestLayer + d.IntN(topLayer-lowestLayer+1)
	}
	slices.Sort(layers)
	for i, layer := range layers {
		g.Services = append(g.Services, d.service(g, fmt.Sprintf("service-%03d", len(public)+i+1), layer))
	}
	d.circles(g)
	g.findCircles()
	for i := range g.Circles {
		g.Circles[i].Hand = leastHand + time.Duration(d.Int64N(int64(mostHand-leastHand)))
	}
	return g, nil
}

// drawer draws the parts of a graph.
type drawer struct{ *rand.Rand }

func (d drawer) with(p float64) bool { return d.Float64() < p }

func (d drawer) need(on int, hard, public bool) Need {
	return Need{On: on, Hard: hard, Start: hard, Data: hard && d.with(0.6), Public: public}
}

func (d drawer) times() (patience, recovery time.Duration) {
	draw := func(mean, most time.Duration) time.Duration {
		return min(most, time.Duration(float64(mean)*det.Exponential(d.Rand))).Truncate(time.Second)
	}
	return draw(meanPatience, mostPatience), draw(meanRecovery, mostRecovery)
}

// service draws a service of the given layer. It needs at least one of the services at the bottom,
// since the event reached it.
func (d drawer) service(g *Graph, name string, layer int) Service {
	s := Service{Name: name, Layer: layer, Global: d.with(globalShare)}
	s.Patience, s.Recovery = d.times()
	add := func(on int, hard float64) {
		if !slices.ContainsFunc(s.Needs, func(n Need) bool { return n.On == on }) {
			s.Needs = append(s.Needs, d.need(on, d.with(hard), false))
		}
	}
	for _, base := range []struct {
		on         int
		like, hard float64
	}{{DynamoDB, 0.8, 0.7}, {EC2, 0.45, 0.25}, {NLB, 0.35, 0.3}} {
		if d.with(base.like) {
			add(base.on, base.hard)
		}
	}
	if !slices.ContainsFunc(s.Needs, func(n Need) bool { return n.On != NLB }) {
		add(DynamoDB, 1) // the event reached every service of the graph
	}
	below := slices.IndexFunc(g.Services[len(public):], func(o Service) bool { return o.Layer >= layer })
	if below < 0 {
		below = len(g.Services) - len(public)
	}
	for range 1 + d.IntN(3) {
		if i := bases + d.IntN(len(public)-bases); d.with(0.4) && g.Services[i].Layer < layer {
			add(i, 0.4)
		} else if below > 0 {
			add(len(public)+d.IntN(below), 0.5)
		}
	}
	return s
}

// circles closes circles among generated services of one layer, so that no two circles join.
func (d drawer) circles(g *Graph) {
	free := d.Perm(len(g.Services) - len(public))
	for range circles {
		size := 2 + d.IntN(3)
		var ring []int
		rest := free[:0:0]
		for _, i := range free {
			i += len(public)
			if len(ring) < size && (len(ring) == 0 || g.Services[ring[0]].Layer == g.Services[i].Layer) {
				ring = append(ring, i)
			} else {
				rest = append(rest, i-len(public))
			}
		}
		if len(ring) < 2 {
			return // a graph with few services
		}
		free = rest
		for k, i := range ring {
			need := d.need(ring[(k+1)%len(ring)], true, false)
			need.Start, need.Data = d.with(circleStart), false
			g.Services[i].Needs = append(g.Services[i].Needs, need)
		}
	}
}
