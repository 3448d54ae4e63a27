package study

import (
	"errors"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// The smallest surge is where the fluid law has the border, the scenario that is printed
// collapses, and a change that helps is said to.
func TestFindCollapse(t *testing.T) {
	s := surgeStudy(t, "leases=2000", "broken=50", "rho=0.5")
	r, err := FindCollapse(t.Context(), bench.Virtual{}, s, bench.Options{Seed: 1}, 1)
	if err != nil {
		t.Fatal(err)
	}
	border, _ := law.Beta(&s)
	law := *border
	if r.Tips[0].Size == nil || *r.Tips[0].Size < 0.93*law || *r.Tips[0].Size > 1.07*law {
		t.Errorf("the surge tips it over at %v, the fluid law says %.2f", r.Tips[0], law)
	}
	if r.Smallest == nil || *r.Smallest.Size > *r.Tips[0].Size {
		t.Fatalf("smallest %v", r.Smallest)
	}
	bad, err := scenario.Parse("found.toml", []byte(r.TOML))
	if err != nil {
		t.Fatal(err)
	}
	if res := simulateStudy(t, bad, bench.Options{Seed: 1}); res.Verdict != bench.Collapsed && res.Verdict != bench.Degraded {
		t.Errorf("the scenario that was found: %s", res.Verdict)
	}
	if first := r.Remedies[0]; first.Gain != nil && *first.Gain < 2 {
		t.Errorf("the best change is %+v", first)
	}
	if text := r.Text(); !strings.Contains(text, "of the way to the cliff") || !strings.Contains(text, "queue=deadline") {
		t.Error(text)
	}
}

func TestFindCollapseRefuses(t *testing.T) {
	for _, s := range []scenario.Scenario{surgeStudy(t, "broken=0", "outage=0s"), surgeStudy(t, "rho=0.9", "launch=0.5", "leases=2000", "broken=0")} {
		if _, err := FindCollapse(t.Context(), bench.Virtual{}, s, bench.Options{Seed: 1}, 1); !errors.Is(err, scenario.ErrScenario) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}
