package bench

import (
	"errors"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

// A runbook is in the place of the scenario's operator, and a run that no table can hold is
// refused whatever the runbook does to its length.
func TestRunbookIsPlayed(t *testing.T) {
	b, err := scenario.ParseRunbook("x.toml", []byte("[[step]]\nat = \"24h\"\ndo = \"relax\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := newExperiment(surgeAt(t, "operator=both", "slow=0.5"), 1, 1)
	if err == nil {
		err = x.play(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if last := x.phases[len(x.phases)-1].Name; len(x.steps) != 1 || x.end != x.act(0)+x.Duration || x.costs.Slowed.To != x.end || last != "return" {
		t.Errorf("%d steps, the last phase is %s, the run ends at %v and is slow to %v", len(x.steps), last, x.end, x.costs.Slowed.To)
	}
	if x, err = newExperiment(surgeAt(t, "renew_rate=0.0000035"), 1, 1); err == nil {
		err = x.play(b)
	}
	if !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), "renew_rate: the run may last 24h") {
		t.Errorf("a run of a day and leases of 49.6: %v", err)
	}
	s := surgeAt(t, "broken=0", "outage=0s")
	if _, err = (Virtual{}).Run(t.Context(), s, Options{Seed: 1, Runbook: &b}); !errors.Is(err, scenario.ErrScenario) {
		t.Errorf("a runbook without an outage: %v", err)
	}
}
