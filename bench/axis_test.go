package bench

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// An axis sets what a scenario can be, or is refused by a message without a number that came of
// an overflow.
func TestAxesAtTheirEnds(t *testing.T) {
	bases := [][]string{nil, {"broken=0"}, {"broken=0", "outage=0s"}, {"surge_zones=1", "broken=60"}}
	for _, a := range Axes {
		for _, x := range []float64{0, -1, 1e-300, 1e-9, 0.5, 1, 1e6, 1e12, 1e300, math.Inf(1), math.Inf(-1), math.NaN()} {
			for _, base := range bases {
				s, err := smallest(t, base...)
				if err != nil {
					t.Fatal(err)
				}
				workers := 1
				if err = a.set(&s, &workers, x); err == nil {
					err = s.Validate()
				}
				if err != nil && (!errors.Is(err, ErrScenario) || strings.Contains(err.Error(), "9223372036854775808") || strings.Contains(err.Error(), "2562047h")) {
					t.Errorf("%s=%g of %v: %v", a.Name, x, base, err)
				}
				if workers < 1 || workers > MaxWorkers {
					t.Errorf("%s=%g: %d workers", a.Name, x, workers)
				}
			}
		}
	}
	s, err := smallest(t, "broken=0", "outage=0s")
	if err != nil {
		t.Fatal(err)
	}
	a, err := findAxis("outage")
	if err != nil {
		t.Fatal(err)
	}
	workers := 1
	if err := a.set(&s, &workers, 1); err == nil || !strings.Contains(err.Error(), "set outage") {
		t.Errorf("an axis of outages without one: %v", err)
	}
	if _, err := ParseRange("timeout=1:1e300:3:log"); err == nil || !strings.Contains(err.Error(), "up to 1e12") {
		t.Errorf("a range to 1e300: %v", err)
	}
}

// Where only some zones surge, the searches go as far as their leases.
func TestSearchesInZones(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	set := []string{"leases=400", "zones=3", "surge_zones=1", "broken=1"} // 134 in the first
	for _, tt := range []struct{ queue string }{{"fifo"}, {"lifo"}} {
		s := surgeAt(t, append(set, "queue="+tt.queue)...)
		o := Options{Seed: 1}
		b, err := FindBorder(t.Context(), Virtual{}, s, o, 1)
		if err != nil || b.Broken > 134 || b.Broken < 1 || math.IsNaN(b.Most) {
			t.Errorf("the border of %s: %d leases of 134, %v", tt.queue, b.Broken, err)
		}
		all, err := Thresholds(t.Context(), Virtual{}, s, []string{tt.queue}, o, 1)
		if err != nil || math.IsNaN(all[0].Most) || all[0].Most != b.Most {
			t.Errorf("the threshold of %s: %+v, %v", tt.queue, all, err)
		}
		found, err := FindCollapse(t.Context(), Virtual{}, s, o, 1)
		if err != nil || math.Abs(found.Tips[0].Most-b.Most) > 1e-9*b.Most {
			t.Errorf("the cliff of %s: %v", tt.queue, err)
		}
	}
}
