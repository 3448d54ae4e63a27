package study

import (
	"math"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
)

// Where only some zones surge, the searches go as far as their leases.
func TestSearchesInZones(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	set := []string{"leases=400", "zones=3", "surge_zones=1", "broken=1"} // 134 in the first
	for _, tt := range []struct{ queue string }{{"fifo"}, {"lifo"}} {
		s := surgeStudy(t, append(set, "queue="+tt.queue)...)
		o := bench.Options{Seed: 1}
		s.Duration = BorderTimeouts * s.Timeout
		b, err := FindBorder(t.Context(), bench.Virtual{}, s, o, 1)
		if err != nil || b.Broken > 134 || b.Broken < 1 || math.IsNaN(b.Most) {
			t.Errorf("the border of %s: %d leases of 134, %v", tt.queue, b.Broken, err)
		}
		all, err := Thresholds(t.Context(), bench.Virtual{}, s, []string{tt.queue}, o, 1, nil)
		if err != nil || math.IsNaN(all[0].Most) || all[0].Most != b.Most {
			t.Errorf("the threshold of %s: %+v, %v", tt.queue, all, err)
		}
		found, err := FindCollapse(t.Context(), bench.Virtual{}, s, o, 1)
		if err != nil || math.Abs(found.Tips[0].Most-b.Most) > 1e-9*b.Most {
			t.Errorf("the cliff of %s: %v", tt.queue, err)
		}
	}
}
