package study

import (
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

const goodBook = `name = "x"
[[step]]
at = "8s"
do = "throttle"
value = 0.9
[[step]]
at = "9s"
do = "restart"
value = 1
[[step]]
at = "20s"
do = "relax"
`

func TestDrill(t *testing.T) {
	b, err := scenario.ParseRunbook("x.toml", []byte(goodBook))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Drill(t.Context(), bench.Virtual{}, surgeStudy(t, "duration=40s"), b, bench.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if d.Verdict != bench.Recovered || d.Score == nil || *d.Score < 1 || *d.Score > 20 {
		t.Errorf("%s", d.Text())
	}
	again, err := scenario.ParseRunbook("again.toml", []byte(b.TOML()))
	if err != nil || again.TOML() != b.TOML() {
		t.Errorf("%v: a runbook does not come back as it was written:\n%s", err, b.TOML())
	}
	// Rolling out another discipline is a runbook, too.
	roll, err := scenario.ParseRunbook("roll.toml", []byte("[[step]]\nat = \"8s\"\ndo = \"switch-queue\"\nto = \"slack\"\n[[step]]\nat = \"9s\"\ndo = \"switch-retry\"\nto = \"backoff\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err = Drill(t.Context(), bench.Virtual{}, surgeStudy(t, "duration=40s"), roll, bench.Options{Seed: 1}); err != nil || d.Verdict != bench.Recovered {
		t.Errorf("%v, %v", d, err)
	}
}

// Restarts alone bring a fifo back if there are enough of them, and the search finds that.
func TestSearchRunbook(t *testing.T) {
	if testing.Short() {
		t.Skip("336 drills")
	}
	all, err := SearchRunbook(t.Context(), bench.Virtual{}, surgeStudy(t, "leases=2000", "broken=200", "duration=30s"), bench.Options{Seed: 1}, 8*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	best, worst := all[0], all[len(all)-1]
	if best.Score == nil || *best.Score > 3 || worst.Score != nil {
		t.Errorf("best %v, worst %v", best.Score, worst.Score)
	}
	if text := DrillTable(all, 3); strings.Count(text, "\n") < 5 {
		t.Error(text)
	}
}
