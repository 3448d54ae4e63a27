package dns

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Cell is one point of the map of chances.
type Cell struct {
	Delay  time.Duration `json:"delay_ns"`
	Keep   int           `json:"keep"`
	Rate   float64       `json:"plans_per_minute"`
	Races  int           `json:"races"` // trials in which the name was emptied
	Trials int           `json:"trials"`
	// Possible is the closed form: a delayed plan can be old enough to be deleted only if the delay
	// exceeds Keep periods. At equality the spread of the plans' times decides.
	Possible bool `json:"possible"`
	// Beyond: the delay is longer than the Window of plans that a State can hold; there are no trials.
	Beyond bool `json:"beyond_window"`
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
				c.Possible = delay >= time.Duration(keep)*one.Period
				if c.Beyond = delay > (Window-8)*one.Period; c.Beyond {
					c.Trials = 0
				}
				for range c.Trials {
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

// ChanceText is the map for a person: a row for each rate and number of plans kept, a column for each
// delay. A dash is a point at which the closed form rules the race out.
func ChanceText(cells []Cell, seed uint64) string {
	if len(cells) == 0 {
		return ""
	}
	head := []string{"plans a minute", "plans kept", "d > N·p from"}
	rows := [][]string{nil}
	for i, c := range cells {
		if i == 0 || cells[i-1].Rate != c.Rate || cells[i-1].Keep != c.Keep {
			border := time.Duration(float64(c.Keep) * float64(time.Minute) / c.Rate)
			rows = append(rows, []string{fmt.Sprintf("%g", c.Rate), fmt.Sprint(c.Keep), fmt.Sprintf("%.3g min", border.Minutes())})
		}
		if len(rows) == 2 {
			head = append(head, fmt.Sprintf("%g min", c.Delay.Minutes()))
		}
		text := "–"
		switch {
		case c.Beyond:
			text = "·"
		case c.Possible:
			text = fmt.Sprintf("%.1f %%", 100*float64(c.Races)/float64(c.Trials))
		case c.Races > 0:
			text = fmt.Sprintf("%d of %d!", c.Races, c.Trials)
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], text)
	}
	rows[0] = head
	return fmt.Sprintf("chance that one walk that is late by d empties the name, of %d trials each, seed %d\n\n%s\n–: impossible by the closed form, since the plan is not old enough to be deleted\n·: more plans than the model holds\n",
		cells[0].Trials, seed, show.Columns(rows))
}
