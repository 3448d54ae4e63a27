package dns

import (
	"math"
	"testing"
)

// Plans hold the healthy balancers with weights by capacity. They change slowly, and not at all from
// call to call.
func TestPlans(t *testing.T) {
	for seed := range uint64(5) {
		p := Planner{Seed: seed, Records: 240}
		least, most, sum, changed, weights := math.MaxInt, 0, 0, 0, 0
		const plans = 900
		for plan := 1; plan <= plans; plan++ {
			all, next := p.Weights(plan, 0), map[int]int{}
			for _, w := range p.Weights(plan+1, 0) {
				next[w.Balancer] = w.Weight
			}
			if n := p.Count(plan, 0); n != len(all) {
				t.Fatalf("plan %d counts %d of %d", plan, n, len(all))
			}
			for i, w := range all {
				if w.Weight < lowest || w.Weight > lowest+spreadCap || i > 0 && w.Balancer <= all[i-1].Balancer || w.Balancer >= p.Balancers() {
					t.Fatalf("plan %d: %+v", plan, w)
				}
				was, ok := next[w.Balancer]
				if !ok || was != w.Weight {
					changed++
				}
				if d := was - w.Weight; ok && (d > 2 || d < -2) {
					t.Errorf("plan %d: balancer %d goes from %d to %d", plan, w.Balancer, w.Weight, was)
				}
			}
			least, most, sum, weights = min(least, len(all)), max(most, len(all)), sum+len(all), weights+len(all)
		}
		if mean := float64(sum) / plans; mean < 234 || mean > 246 || least < 220 || most > 250 || most-least < 4 {
			t.Errorf("seed %d: %d to %d records, %.1f on average", seed, least, most, mean)
		}
		if share := float64(changed) / float64(weights); share < .15 || share > .5 {
			t.Errorf("seed %d: %.2f of the balancers change from plan to plan", seed, share)
		}
	}
	if one := (Planner{Records: 1}); one.Balancers() != 1 {
		t.Error("one record has more than one balancer")
	}
	for plan := range 5000 { // some time its only balancer is out of health
		if n := (Planner{Records: 1}).Count(plan, 0); n != 1 {
			t.Fatalf("plan %d has %d records", plan, n)
		}
	}
}
