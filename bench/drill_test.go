package bench

import (
	"errors"
	"slices"
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
	d, err := Drill(t.Context(), Virtual{}, surgeAt(t, "duration=40s"), b, Options{Seed: 1})
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
	if d, err = Drill(t.Context(), Virtual{}, surgeAt(t, "duration=40s"), roll, Options{Seed: 1}); err != nil || d.Verdict != Recovered {
		t.Errorf("%v, %v", d, err)
	}
}

// Restarts alone bring a fifo back if there are enough of them, and the search finds that.
func TestSearchRunbook(t *testing.T) {
	if testing.Short() {
		t.Skip("336 drills")
	}
	all, err := SearchRunbook(t.Context(), Virtual{}, surgeAt(t, "leases=2000", "broken=200", "duration=30s"), Options{Seed: 1}, 8*time.Second)
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

// A runbook is in the place of the scenario's operator, and a run that no table can hold is
// refused whatever the runbook does to its length.
func TestRunbookIsPlayed(t *testing.T) {
	b, err := ParseRunbook("x.toml", []byte("[[step]]\nat = \"24h\"\ndo = \"relax\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := newExperiment(surgeAt(t, "operator=both", "slow=0.5"), 1, 1, 1)
	if err == nil {
		err = x.play(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	if last := x.phases[len(x.phases)-1].Name; len(x.steps) != 1 || x.end != x.act(0)+x.Duration || x.costs.Slowed.To != x.end || last != "return" {
		t.Errorf("%d steps, the last phase is %s, the run ends at %v and is slow to %v", len(x.steps), last, x.end, x.costs.Slowed.To)
	}
	if x, err = newExperiment(surgeAt(t, "renew_rate=0.0000035"), 1, 1, 1); err == nil {
		err = x.play(b)
	}
	if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), "renew_rate: the run may last 24h") {
		t.Errorf("a run of a day and leases of 49.6: %v", err)
	}
	s := surgeAt(t, "broken=0", "outage=0s")
	if _, err = Drill(t.Context(), Virtual{}, s, b, Options{Seed: 1}); !errors.Is(err, ErrScenario) {
		t.Errorf("a runbook without an outage: %v", err)
	}
}

// Whatever a runbook says of itself comes back from its file.
func TestRunbookFile(t *testing.T) {
	b := Runbook{Name: "bell \a, \"quotes\" 'and' \x7f", About: "two\nlines \\ \x00 \u00e9 日", Steps: []Step{{At: "1s", Do: "throttle", Value: 1.0 / 3}, {At: "2s", Do: "switch-queue", To: "slack:theta=0.3,guard=0"}}}
	again, err := ParseRunbook("again.toml", []byte(b.TOML()))
	for i := range again.Steps {
		again.Steps[i].After = 0
	}
	if err != nil || again.Name != b.Name || again.About != b.About || !slices.Equal(again.Steps, b.Steps) {
		t.Errorf("%v:\n%s\n%+v\n%+v", err, b.TOML(), b, again)
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
		"[[step]]\nat = \"2562047h\"\ndo = \"relax\"":                                  "too late: 24h0m0s after the return at most",
		"[[step]]\nat = \"24h0m1s\"\ndo = \"relax\"":                                   "too late",
		"[[step]]\nat = \"1s\"\ndo = \"throttle\"\nvalue = 1e-300":                     "rate=1e-300 is out of range: 0.001 to 100",
		"stop = 1": "bad scenario",
		"[[step":   "x.toml:1",
	} {
		if _, err := ParseRunbook("x.toml", []byte(text)); !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want …%s…", text, err, want)
		}
	}
}
