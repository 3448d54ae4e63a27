package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// flagValues are the shared flags, each with a value that is not its default and what of it is
// seen in the files of a study; "": the value itself.
var flagValues = map[string]struct{ value, seen string }{
	"table": {"mutex", `table = \"mutex\"`}, "queue": {"lifo", "lifo"}, "admit": {"limit", "limit"}, "retry": {"backoff", "backoff"},
	"leases": {"700", "leases = 700"}, "broken": {"70", "broken = 70"}, "duration": {"2s", `duration = \"2s\"`}, "workers": {"3", "workers = 3"},
	"service": {"exponential", `service_law = \"exponential\"`}, "set": {"delta=0.5", "delta = 0.5"}, "contestants": {"bounded", "bounded"},
	"engine": {"virtual", "virtual"}, "seeds": {"2", ""}, "seed": {"77", "77"}, "max-queue": {"4321", "4321"},
	"idle": {"park", "park"}, "redo": {"1", `"redo"`}, "no-wait": {"true", ""}, "json": {"true", ""}, "listen": {"127.0.0.1:0", ""},
	"target": {"http://127.0.0.1:1", ""}, "call": {"prime=false", ""}, "outage": {"hang", ""}, "i-may-load-this": {"example.org", ""}, "out": {"", ""}, "resume": {"", ""},
}

// quickly are all verbs that run scenarios, each with what makes it quick.
var quickly = map[string][]string{
	"run": {"tiny.toml"}, "sim": {"tiny.toml"},
	"rank": {"tiny.toml", "--contestants", "fifo,deadline"}, "remedy": {"tiny.toml", "--contestants", "deadline"}, "fairness": {"tiny.toml", "--contestants", "fifo"},
	"threshold": {"tiny.toml", "--contestants", "fifo"}, "border": {"tiny.toml"}, "find-collapse": {"tiny.toml"},
	"sweep": {"tiny.toml", "--x", "rho=0.2:0.3:2", "--contestants", "fifo"},
	"map":   {"tiny.toml", "--x", "rho=0.2:0.3:2", "--y", "delta=0.5:1:2", "--contestants", "fifo"}, "drill": {"tiny.toml"},
	"experiment": {"plan.toml", "tiny.toml"},
	"incident":   {"slow.toml", "--partitions", "2"},
}

// planText is an experiment that sets none of the keys that have a flag.
const planText = `name = "mine"
question = "What does a dead attempt cost?"
scenario = "surge"
cell = ["wait={wait}", "theta={theta}"]
measure = "ttr"
rows = "wait"
columns = "theta"

[[factor]]
name = "wait"
about = "w"
levels = ["0s", "10ms"]

[[factor]]
name = "theta"
about = "θ of slack"
levels = ["0.2"]
`

// Each verb honours each shared flag, so that it is seen in the study's files, or refuses it by
// name with the reason: none is dropped.
func TestVerbsHonourFlags(t *testing.T) {
	if testing.Short() {
		t.Skip("runs each verb with each flag: half a minute")
	}
	t.Chdir(t.TempDir())
	text := "leases = 400\nbroken = 40\ntimeout = \"100ms\"\nrho = 0.3\nduration = \"1s\"\n"
	if err := os.WriteFile("tiny.toml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("slow.toml", []byte("leases = 200\ntimeout = \"30s\"\ninterval = \"180s\"\nlaunch = 0.05\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("plan.toml", []byte(planText), 0o600); err != nil {
		t.Fatal(err)
	}
	n := 0
	for verb, args := range quickly {
		cmd, _, err := newRoot().Find([]string{verb})
		if err != nil {
			t.Fatal(err)
		}
		shared := 0
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			v, known := flagValues[f.Name]
			if !known || v.value == "" {
				return
			}
			shared++
			n++
			dir := fmt.Sprintf("out%d", n)
			line := append([]string{verb}, args...)
			if slices.Contains([]string{"queue", "admit", "retry", "contestants"}, f.Name) {
				if i := slices.Index(line, "--contestants"); i >= 0 && (verb != "remedy" || f.Name == "contestants") {
					line = slices.Delete(line, i, i+2)
				}
			}
			if slices.Contains([]string{"rank", "remedy", "fairness"}, verb) && f.Name != "engine" {
				line = append(line, "--engine", "virtual")
			}
			if verb == "run" {
				line = append(line, "--engine", "virtual")
			}
			line = append(line, "--out", dir, "--"+f.Name+"="+v.value)
			status, stdout, stderr := call(t, line...)
			if status == exitUsage && strings.Contains(stderr, "--"+f.Name) {
				return // refused by name
			}
			if status != exitOK {
				t.Errorf("%v: status %d, %s", line, status, stderr)
				return
			}
			if f.Name == "listen" {
				if !strings.Contains(stderr, "live: http://127.0.0.1:") {
					t.Errorf("%v listens nowhere: %s", line, stderr)
				}
				return
			}
			if f.Name == "json" {
				if !json.Valid([]byte(stdout)) || strings.TrimSpace(stdout) == "" {
					t.Errorf("%v prints no JSON: %.100s", line, stdout)
				}
				return
			}
			if f.Name == "seeds" {
				runs, _ := filepath.Glob(filepath.Join(dir, "*s2", "manifest.json"))
				if all := jsonIn(t, dir); len(runs) == 0 && !strings.Contains(all, `"seeds":2`) && !strings.Contains(all, `"seeds":"2"`) {
					t.Errorf("%v: no trace of it in %s", line, dir)
				}
				return
			}
			if all := jsonIn(t, dir); !strings.Contains(all, v.seen) {
				t.Errorf("%v: no %s in %s", line, v.seen, dir)
			}
		})
		if want := len(flagValues) - 2; shared != want { // out and resume have no value here
			t.Errorf("%s has %d of the %d shared flags", verb, shared, want)
		}
	}
}

// jsonIn is all JSON below a folder, without spaces after colons.
func jsonIn(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	for _, pattern := range []string{"*.json", "*/*.json"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all.WriteString(strings.ReplaceAll(string(text), `": `, `":`))
		}
	}
	return all.String()
}

// A study that is interrupted goes on from its folder, and ends with the same result.
func TestStudiesGoOn(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("tiny.toml", []byte("leases = 400\ntimeout = \"100ms\"\nrho = 0.3\nduration = \"1s\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"threshold", "border", "find-collapse", "sweep"} {
		line := append([]string{verb}, quickly[verb]...)
		if status, _, stderr := call(t, append(line, "--out", verb, "--seed", "5")...); status != exitOK {
			t.Fatalf("%v: %s", line, stderr)
		}
		runs := filepath.Join(verb, "runs.jsonl")
		whole, err := os.ReadFile(runs)
		if err != nil {
			t.Fatal(err)
		}
		result, err := os.ReadFile(filepath.Join(verb, verb+".json"))
		if err != nil {
			t.Fatal(err)
		}
		// As a kill leaves it: without the last half, and with a part of a line.
		if err := os.WriteFile(runs, whole[:len(whole)/2], 0o600); err != nil {
			t.Fatal(err)
		}
		if status, _, stderr := call(t, verb, "--resume", verb); status != exitOK {
			t.Fatalf("%s: %s", verb, stderr)
		}
		again, err := os.ReadFile(filepath.Join(verb, verb+".json"))
		if err != nil || string(again) != string(result) {
			t.Errorf("%s: another result, %v\n%s\n%s", verb, err, result, again)
		}
		if status, _, stderr := call(t, verb, "--resume", verb, "--seed", "6"); status != exitUsage || !strings.Contains(stderr, "leave out --seed") {
			t.Errorf("%s: status %d, %s", verb, status, stderr)
		}
	}
}

// The worked examples are what they say: each runs, and its five numbers are enough for every study.
func TestExampleScenarios(t *testing.T) {
	files, err := filepath.Glob("../../../docs/examples/scenarios/*.toml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		for _, verb := range []string{"sim", "rank", "border"} {
			line := []string{verb, file, "--seed", "1", "--out", filepath.Join(t.TempDir(), "out")}
			if verb == "rank" {
				line = append(line, "--engine", "virtual", "--seeds", "1", "--contestants", "fifo,deadline")
			}
			status, stdout, stderr := call(t, line...)
			if status != exitOK || stdout == "" || !strings.Contains(stderr, "a check takes") {
				t.Errorf("%v: status %d, %s%s", line, status, stdout, stderr)
			}
		}
	}
}

// What a host has no room for on its cores is left out by name; the virtual engine's rows come.
func TestValidateOnASmallHost(t *testing.T) {
	status, stdout, stderr := call(t, "validate", "--model", "mmc", "--servers", "300", "--rho", "0.5", "--arrivals", "200000")
	if status != exitOK && status != exitDisagrees || !strings.Contains(stdout, "virtual") || strings.Contains(stdout, "real") || !strings.Contains(stderr, "the real engine's rows of mmc are left out: ") {
		t.Errorf("status %d, %s%s", status, stdout, stderr)
	}
}
