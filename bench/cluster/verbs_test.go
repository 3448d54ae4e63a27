package cluster

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/study"
)

// plan is an experiment of four cells.
const plan = `name = "mine"
question = "What does a dead attempt cost?"
scenario = "surge"
cell = ["wait={wait}", "delta={delta}"]
measure = "ttr"
rows = "wait"
columns = "delta"

[[factor]]
name = "wait"
about = "w"
levels = ["0s", "10ms"]

[[factor]]
name = "delta"
about = "δ"
levels = ["0.5", "1"]
`

// Each verb has the same folder and the same output by way of workers, also if it is resumed with half of its
// runs.
func TestVerbsAreTheSame(t *testing.T) {
	elsewhere := strings.Fields("--cluster embed --local-workers 2")
	for _, tt := range []struct {
		name, args string
		resume     string // verb; "": it keeps nothing to go on with
	}{
		{"experiment", "experiment plan.toml surge --leases 2000 --broken 400 --seeds 2 --out o", "experiment"},
		{"threshold", "threshold surge --leases 2000 --contestants fifo,lifo --seeds 2 --set duration=10s --out o", "threshold"},
		{"incident", "incident --counterfactuals --leases 200 --partitions 2 --seeds 1 --out o", "incident"},
		{"drill", "drill surge --search --leases 500 --broken 100 --set duration=5s --out o", "drill"},
		{"validate", "validate --engine virtual --model mmc --arrivals 100000 --rho 0.5", ""},
		{"published", "validate --published --seeds 1 --json --out o", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && (tt.name == "incident" || tt.name == "published") {
				t.Skip("takes some seconds")
			}
			one, many := t.TempDir(), t.TempDir()
			args := strings.Fields(tt.args)
			outputs := [2]string{}
			for i, dir := range []string{one, many} {
				if err := os.WriteFile(filepath.Join(dir, "plan.toml"), []byte(plan), 0o600); err != nil {
					t.Fatal(err)
				}
				line := args
				if i == 1 {
					line = append(args[:len(args):len(args)], elsewhere...)
				}
				cmd, errs := command(t.Context(), t, dir, line...)
				text, err := cmd.Output()
				if err != nil && len(text) == 0 {
					t.Fatalf("%v: %v\n%s", line, err, errs)
				}
				outputs[i] = string(text)
			}
			if outputs[0] != outputs[1] || outputs[0] == "" {
				t.Errorf("prints\n%s\nin one process\n%s", outputs[1], outputs[0])
			}
			same(t, many, one)
			if tt.resume == "" || t.Failed() {
				return
			}
			path := filepath.Join(many, "o", study.RunsFile)
			runs, err := os.ReadFile(path)
			if err != nil || bytes.Count(runs, []byte("\n")) < 4 {
				t.Fatalf("%v: too few runs to take some away: %s", err, runs)
			}
			if err := os.WriteFile(path, runs[:len(runs)/2], 0o600); err != nil {
				t.Fatal(err)
			}
			run(t, many, 0, append([]string{tt.resume, "--resume", "o"}, elsewhere...)...)
			same(t, many, one)
		})
	}
}

// What no worker does is refused by name, with the reason.
func TestStaysHere(t *testing.T) {
	dir := t.TempDir()
	for line, want := range map[string]string{
		"find-collapse surge":    "find-collapse takes no --cluster: its searches are few",
		"border surge":           "'threshold' makes many searches at a time",
		"run surge":              "run takes no --cluster: it shows the runs of this process",
		"drill surge":            "--cluster goes with --search",
		"incident":               "--cluster goes with --counterfactuals",
		"validate --engines":     "the service times that a run on this host's cores measured",
		"validate --engine real": "those of the real engine measure this host",
	} {
		if text := run(t, dir, 2, append(strings.Fields(line), "--cluster", "embed")...); !strings.Contains(text, want) {
			t.Errorf("%s: %s, want %q", line, text, want)
		}
	}
	if left := tree(t, dir); len(left) > 0 {
		t.Errorf("files are left of what was refused: %v", left)
	}
}
