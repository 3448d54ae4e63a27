package dns

import (
	"strings"
	"testing"
	"time"
)

// Where the closed form d > N·p rules a race out there is none, in either form of the clean-up. Beyond
// it there are some, and with fencing none at all.
func TestChances(t *testing.T) {
	delays := []time.Duration{time.Minute, 4 * time.Minute, 8 * time.Minute, 30 * time.Minute}
	for _, form := range Forms {
		for _, m := range []Mend{0, Fencing} {
			c := Default()
			c.Form, c.Mends, c.Seed = form, m, 1
			cells, err := Chances(c, delays, []int{2, 5}, []float64{1, 2}, 200)
			if err != nil {
				t.Fatal(err)
			}
			races, possible := 0, 0
			for _, cell := range cells {
				if cell.Races > 0 && !cell.Possible {
					t.Errorf("%s, %q: %d races at d = %v, N = %d, %g plans a minute", form, m, cell.Races, cell.Delay, cell.Keep, cell.Rate)
				}
				if cell.Possible {
					races, possible = races+cell.Races, possible+cell.Trials
				}
			}
			if (races > 0) != (m == 0) || possible == 0 {
				t.Errorf("%s, %q: %d races in %d trials beyond the border", form, m, races, possible)
			}
			if text := ChanceText(cells, 1); strings.Contains(text, "!") || strings.Count(text, "\n") < 8 {
				t.Error(text)
			}
		}
	}
}

// A delay well below Keep periods empties no name, and a long one empties some, whatever the cause.
func TestChancesOfCauses(t *testing.T) {
	for _, cause := range []Cause{Lock, Slow} {
		for _, form := range Forms {
			c := Default()
			c.Cause, c.Form, c.Seed = cause, form, 1
			cells, err := Chances(c, []time.Duration{2 * time.Minute, 12 * time.Minute}, []int{5}, []float64{1}, 300)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range cells {
				if x.Possible != (x.Races > 0) {
					t.Errorf("%s, %s: %+v", cause, form, x)
				}
			}
		}
	}
}
