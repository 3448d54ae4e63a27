package bench

import (
	"errors"
	"strings"
	"testing"
	"time"
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
	b, err := ParseRunbook("x.toml", []byte(goodBook))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Drill(t.Context(), surgeAt(t, "duration=40s"), b, SimOptions{Options: Options{Seed: 1}}, false)
	if err != nil {
		t.Fatal(err)
	}
	if d.Verdict != Recovered || d.Score == nil || *d.Score < 1 || *d.Score > 20 {
		t.Errorf("%s", d.Text())
	}
	again, err := ParseRunbook("again.toml", []byte(b.TOML()))
	if err != nil || again.TOML() != b.TOML() {
		t.Errorf("%v: a runbook does not come back as it was written:\n%s", err, b.TOML())
	}
	// Rolling out another discipline is a runbook, too.
	roll, err := ParseRunbook("roll.toml", []byte("[[step]]\nat = \"8s\"\ndo = \"switch-queue\"\nto = \"slack\"\n[[step]]\nat = \"9s\"\ndo = \"switch-retry\"\nto = \"backoff\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err = Drill(t.Context(), surgeAt(t, "duration=40s"), roll, SimOptions{Options: Options{Seed: 1}}, false); err != nil || d.Verdict != Recovered {
		t.Errorf("%v, %v", d, err)
	}
}

// Restarts alone bring a fifo back if there are enough of them, and the search finds that.
func TestSearchRunbook(t *testing.T) {
	if testing.Short() {
		t.Skip("336 drills")
	}
	all, err := SearchRunbook(t.Context(), surgeAt(t, "leases=2000", "broken=200", "duration=30s"), SimOptions{Options: Options{Seed: 1}}, 8*time.Second)
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

func TestRunbookErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                                     "needs a [[step]]",
		"[[step]]":                             "step 1: at",
		"[[step]]\nat = \"x\"\ndo = \"relax\"": "want a time",
		"[[step]]\nat = \"1s\"\ndo = \"pray\"": "there are throttle",
		"[[step]]\nat = \"1s\"\ndo = \"restart\"\nvalue = 2":                           "restart of 2",
		"[[step]]\nat = \"1s\"\ndo = \"throttle\"":                                     "throttle of 0",
		"[[step]]\nat = \"1s\"\ndo = \"switch-queue\"\nto = \"lilo\"":                  "unknown name",
		"[[step]]\nat = \"2s\"\ndo = \"relax\"\n[[step]]\nat = \"1s\"\ndo = \"relax\"": "before the step above",
		"stop = 1": "bad scenario",
		"[[step":   "x.toml:1",
	} {
		if _, err := ParseRunbook("x.toml", []byte(text)); !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want …%s…", text, err, want)
		}
	}
}
