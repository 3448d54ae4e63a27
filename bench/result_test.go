package bench

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Quantiles of nothing are "–" in text and null in JSON.
func TestQuantilesOfNothing(t *testing.T) {
	res := simulate(t, surgeAt(t, "broken=0", "duration=5s"), Options{Seed: 1})
	if text := res.Text(); !strings.Contains(text, "p50 –, p99 –, p99.9 –, max – (0)") || !strings.Contains(text, "(the host's own gaps: –, –)") {
		t.Error(text)
	}
	text, err := json.Marshal(res)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"time_to_lease_s":{"p50":null,"p99":null,"p999":null,"max":null,"n":0}`, `"host_gap_ms":{"p50":null,"p999":null}`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	none := &Result{Valid: true, Verdict: Healthy}
	if none.judgeHarness(time.Second, 0); !none.Valid || len(none.Noisy) > 0 {
		t.Errorf("a generator that offered nothing: %+v", none)
	}
}

// Jain's index is of the zones in which somebody asked.
func TestFairness(t *testing.T) {
	zone := func(asked, good int) fleet.Zone {
		return fleet.Zone{Asked: asked, Good: good, Waits: time.Duration(good) * time.Second}
	}
	for _, tt := range []struct {
		name  string
		zones []fleet.Zone
		want  float64 // NaN: none
	}{
		{"alike", []fleet.Zone{zone(10, 5), zone(20, 10)}, 1},
		{"one of two", []fleet.Zone{zone(10, 10), zone(10, 0)}, .5},
		{"unlike", []fleet.Zone{zone(10, 10), zone(10, 5)}, 0.9},
		{"and nobody in the others", []fleet.Zone{zone(0, 0), zone(10, 10), zone(0, 0), zone(10, 5), zone(0, 0)}, 0.9},
		{"nobody", []fleet.Zone{zone(0, 0), zone(0, 0)}, math.NaN()},
		{"nobody was answered", []fleet.Zone{zone(10, 0), zone(10, 0)}, math.NaN()},
	} {
		var res Result
		res.zones(tt.zones)
		if (res.Fairness == nil) != math.IsNaN(tt.want) || res.Fairness != nil && math.Abs(*res.Fairness-tt.want) > 1e-12 {
			t.Errorf("%s: %s, want %v", tt.name, show.Dash(res.Fairness, "%v"), tt.want)
		}
		for i, z := range res.Zones {
			if (z.Good == nil) != (tt.zones[i].Asked == 0) || (z.Mean == nil) != (tt.zones[i].Good == 0) || z.Mean != nil && *z.Mean != 1 {
				t.Errorf("%s: zone %d is %+v", tt.name, i, z)
			}
		}
	}
}
