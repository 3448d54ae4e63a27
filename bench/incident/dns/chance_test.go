package dns

import (
	"testing"
	"time"
)

// A delay well below Keep periods empties no name, and a long one empties some, whatever the cause.
func TestChances(t *testing.T) {
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
