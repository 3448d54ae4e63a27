package scenario

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

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
