package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tinyExperiment = `name = "mine"
question = "Which order?"
scenario = "surge"
set = ["leases=2000", "broken=200", "duration=5s"]
cell = ["queue={order}", "wait={wait}"]
measure = "lost"
rows = "order"
columns = "wait"

[[factor]]
name = "order"
about = "the discipline"
levels = ["fifo", "deadline"]

[[factor]]
name = "wait"
about = "w"
levels = ["0s", "10ms"]
`

// What an experiment sets itself, or cannot be asked of a service, is refused by name before a run.
func TestExperimentRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "mine.toml", tinyExperiment)
	write(t, "none.toml", strings.ReplaceAll(tinyExperiment, `"queue={order}"`, `"queue={order}:nothing=1"`))
	write(t, "axes.toml", strings.NewReplacer(`"queue={order}"`, `"jitter={order}", "ttl_h=3"`, `["fifo", "deadline"]`, `["0.1", "0.2"]`).Replace(tinyExperiment))
	target := []string{"--engine", "target", "--target", "http://127.0.0.1:1/"}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"mine.toml", "--queue", "lifo"}, "sets queue in each"},
		{[]string{"mine.toml", "--set", "wait=1s"}, "sets wait in each"},
		{[]string{"ranking", "--set", "rho=0.3"}, "sets rho in each"},
		{[]string{"ranking", "--retry", "backoff"}, "sets retry in each"},
		{[]string{"ranking", "pause"}, "a scenario of its own"},
		{[]string{"axes.toml", "--retry", "fixed"}, "sets retry in each"},
		{[]string{"axes.toml", "--set", "ttl=20s"}, "sets ttl in each"},
		{append([]string{"mine.toml"}, target...), "sets queue: "},
		{append([]string{"retry-after"}, target...), "axis beta"},
		{[]string{"none.toml"}, "each of the 4 cells is refused, the first because: "},
		{[]string{"missing.toml"}, "missing.toml"},
		{[]string{"nothing"}, "retry-after"},
	} {
		status, _, stderr := call(t, append([]string{"experiment"}, tt.args...)...)
		if status != exitUsage || !strings.Contains(stderr, tt.want) {
			t.Errorf("%v: status %d, %s, want %q", tt.args, status, stderr, tt.want)
		}
	}
	if left, err := filepath.Glob("results/*"); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// An experiment goes on as it was begun, whatever its file says by then.
func TestExperimentResumes(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "mine.toml", tinyExperiment)
	if status, _, stderr := call(t, "experiment", "mine.toml", "--seeds", "2", "--out", "x"); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	first, err := os.ReadFile("x/experiment.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove("x/experiment.json"); err != nil {
		t.Fatal(err)
	}
	write(t, "mine.toml", "")
	if status, _, stderr := call(t, "experiment", "--resume", "x"); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	if again, err := os.ReadFile("x/experiment.json"); err != nil || string(again) != string(first) {
		t.Errorf("%v: it is another experiment", err)
	}
}

// write writes a file.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
