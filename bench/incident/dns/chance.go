package dns

import (
	"math/rand/v2"
	"time"
)

// Cell is one point of the map of chances.
type Cell struct {
	Delay  time.Duration `json:"delay_ns"`
	Keep   int           `json:"keep"`
	Rate   float64       `json:"plans_per_minute"`
	Races  int           `json:"races"` // trials in which the name was emptied
	Trials int           `json:"trials"`
	// Possible is the closed form: a delayed plan can be old enough to be deleted only if the delay
	// exceeds Keep periods.
	Possible bool `json:"possible"`
}

// Chances returns the share of trials in which one walk that is delayed by so much empties the name,
// over delays, plans kept and plans a minute. Trials differ in the phases of planner and enactors.
func Chances(cfg Config, delays []time.Duration, keeps []int, rates []float64, trials int) ([]Cell, error) {
	var all []Cell
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x6368616e6365))
	for _, rate := range rates {
		for _, keep := range keeps {
			for _, delay := range delays {
				c := Cell{Delay: delay, Keep: keep, Rate: rate, Trials: trials}
				one := cfg
				one.Keep, one.RaceAt, one.Delay = keep, 0, delay
				one.Period = time.Duration(float64(time.Minute) / rate)
				c.Possible = delay > time.Duration(keep)*one.Period
				for range trials {
					one.Seed = rng.Uint64()
					y, err := New(one)
					if err != nil {
						return nil, err
					}
					end := delay + 6*one.Period
					if y.Run(end, nil); len(y.Empties(end)) > 0 {
						c.Races++
					}
				}
				all = append(all, c)
			}
		}
	}
	return all, nil
}
