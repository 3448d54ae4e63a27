package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/compare"
	"github.com/leasestorm/leasestorm/bench/export"
)

// ranked makes the folder of a small ranking in virtual time.
func rankedIn(t *testing.T, dir string, more ...string) string {
	t.Helper()
	line := append([]string{"rank", "surge", "--engine", "virtual", "--leases", "2000", "--broken", "200", "--contestants", "fifo,deadline", "--out", dir}, more...)
	if status, _, stderr := call(t, line...); status != exitOK {
		t.Fatalf("%v: status %d, %s", line, status, stderr)
	}
	return dir
}

// Each line has its status, and says what it must.
func TestCompareAndGate(t *testing.T) {
	t.Chdir(t.TempDir())
	rankedIn(t, "a", "--seeds", "2")
	rankedIn(t, "slow", "--seeds", "2", "--set", "slow=0.1")
	rankedIn(t, "later", "--seeds", "2", "--seed", "50")
	rankedIn(t, "required", "--seeds", "1", "--set", "require=queue=deadline: verdict==recovered\nqueue=fifo: verdict==collapsed")
	rankedIn(t, "spoilt", "--seeds", "2")
	path := filepath.Join("spoilt", "surge-deadline-s2", "manifest.json")
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), `"valid": true`, `"valid": false, "why": ""`, 1)), 0o600)
	}
	if err == nil {
		err = errors.Join(os.Mkdir("empty", 0o700), os.Mkdir("invalid", 0o700))
	}
	if err == nil {
		late := strings.NewReplacer(`"valid": true`, `"valid": false`, `"invalid_because": ""`, `"invalid_because": "late"`)
		err = os.WriteFile(filepath.Join("invalid", "manifest.json"), []byte(late.Replace(string(text))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line   string
		status int
		want   string // on stdout or stderr
	}{
		{"compare a a", exitOK, "No difference is real"},
		{"compare a a --out none", exitOK, "No difference is real"},
		{"compare a slow", exitUsage, "scenario surge: slow = 0; 0.1"},
		{"compare a slow --anyway", exitOK, "UNLIKE, compared all the same: scenario surge: slow = 0; 0.1"},
		{"compare a slow --anyway --measure ttr", exitOK, "1 of 1 differences is real: 0 better in B, 1 worse."},
		{"compare a later", exitOK, "10 a side are asked for"},
		{"compare a", exitUsage, "compare takes two folders, not 1"},
		{"compare a a --measure speed", exitUsage, `--measure "speed": there are: collapsed, lost, ttr`},
		{"compare a a --envelope later", exitUsage, "the folder has no aa.json"},
		{"compare a nowhere", exitFailed, "nowhere"},
		{"compare a empty", exitFailed, "no finished run in this folder"},
		{"gate a a --worse-than 5%", exitOK, "No difference is real"},
		{"gate a slow --worse-than 5% --anyway", exitFailedGate, "worse by more than 5%; the first: surge deadline: ttr (s)"},
		{"gate a slow --worse-than 50% --anyway --measure ttr,lost", exitOK, "1 worse"},
		{"gate slow a --worse-than 0% --anyway --measure ttr", exitOK, "1 better"},
		{"gate a later --worse-than 5%", exitUsage, "so few runs cannot show any difference"},
		{"gate a spoilt --worse-than 5%", exitInvalid, "1 of 4 runs are invalid"},
		{"gate a invalid --worse-than 5%", exitInvalid, "invalid: no valid run: 1 of 1 are invalid; the first: late"},
		{"compare invalid a", exitInvalid, "invalid: no valid run"},
		{"gate a a", exitUsage, "want the largest change for the worse"},
		{"gate a a --worse-than 0.05", exitUsage, "want the largest change for the worse"},
		{"gate a a --worse-than 5% --require x", exitUsage, "--require is about one folder"},
		{"gate a --worse-than 5%", exitUsage, "--worse-than compares with a base"},
		{"gate a --anyway --require ttr<8s", exitUsage, "--anyway compares with a base"},
		{"gate a --require queue=deadline:_ttr<8s,wasted_work<5%", exitOK, "ok"},
		{"gate a --require queue=deadline:_ttr<10ms", exitFailedGate, "1 of 1 requirements do not hold; the first: surge deadline: ttr<10ms"},
		{"gate a --require queue=lifo:_ttr<8s", exitUsage, "no contestant matches; there are: surge deadline, surge fifo"},
		{"gate a --require ttr<8", exitUsage, "column 5"},
		{"gate a", exitUsage, "nothing is required"},
		{"gate required", exitOK, "ok"},
		{"gate spoilt --require queue=deadline:_ttr<8s", exitInvalid, "invalid"},
		{"gate spoilt --require queue=deadline:_ttr<1ms", exitFailedGate, "requirements do not hold"},
		{"gate empty --require ttr<8s", exitFailed, "no finished run in this folder"},
		{"bench --aa --engine virtual", exitUsage, "in virtual time nothing does"},
		{"sim surge --set require=ttr", exitUsage, "require: column 4"},
	} {
		args := strings.Fields(tt.line)
		for i, a := range args {
			args[i] = strings.ReplaceAll(a, "_ttr", " ttr")
		}
		status, stdout, stderr := call(t, args...)
		if status != tt.status || !strings.Contains(stdout+stderr, tt.want) {
			t.Errorf("%s: status %d, want %d and %q\n%s%s", tt.line, status, tt.status, tt.want, stdout, stderr)
		}
	}
	if _, err := os.Stat("none"); err == nil {
		t.Error("--out none has made a folder")
	}
	for _, line := range []string{"compare a later --json", "gate a --json --require ttr<100h", "gate a slow --anyway --worse-than 1% --json"} {
		_, stdout, stderr := call(t, strings.Fields(line)...)
		var got struct {
			Schema int `json:"schema"`
		}
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || got.Schema != 1 {
			t.Errorf("%s: %v, %s%s", line, err, stdout, stderr)
		}
	}
}

// A service that takes a tenth longer from the return on, after all is calibrated, is found by other
// seeds: 10 a side, in the engine that runs have. Of the capacity 1 - 1/1.1 is away then.
func TestSlowServiceIsFound(t *testing.T) {
	t.Chdir(t.TempDir())
	rankedIn(t, "base", "--seeds", "10")
	rankedIn(t, "again", "--seeds", "10", "--seed", "101")
	rankedIn(t, "slow", "--seeds", "10", "--seed", "201", "--set", "slow=0.0909")
	if status, stdout, stderr := call(t, "gate", "base", "again", "--worse-than", "0%"); status != exitOK || !strings.Contains(stdout, "No difference is real") {
		t.Errorf("the same: status %d, %s%s", status, stdout, stderr)
	}
	if status, stdout, stderr := call(t, "gate", "base", "slow", "--worse-than", "5%", "--anyway"); status != exitFailedGate || !strings.Contains(stderr, "surge deadline: ttr") {
		t.Errorf("slower: status %d, %s%s", status, stdout, stderr)
	}
	// Of a contestant with one run nothing can be told: the gate does not pass.
	for seed := 102; seed <= 110; seed++ {
		if err := os.RemoveAll(filepath.Join("again", fmt.Sprintf("surge-deadline-s%d", seed))); err != nil {
			t.Fatal(err)
		}
	}
	if status, stdout, stderr := call(t, "gate", "base", "again", "--worse-than", "0%"); status != exitInvalid || !strings.Contains(stderr, "too few valid runs of surge deadline") {
		t.Errorf("one run: status %d, %s%s", status, stdout, stderr)
	}
}

// The folder of bench --aa has two suites and the envelope between them. A folder of which only the
// envelope is missing gets it.
func TestAAFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	for i, side := range compare.Sides {
		line := append([]string{"bench", "--suite", "short", "--engine", "virtual", "--seeds", "2", "--seed", []string{"1", "11"}[i], "--out", filepath.Join("aa", side)}, "--leases", "2000", "--set", "duration=5s")
		if status, _, stderr := call(t, line...); status != exitOK {
			t.Fatalf("%v: status %d, %s", line, status, stderr)
		}
	}
	status, stdout, stderr := call(t, "bench", "--resume", "aa")
	if status != exitOK || !strings.Contains(stdout, "±") || !strings.Contains(stdout, "--envelope aa") {
		t.Fatalf("status %d, %s%s", status, stdout, stderr)
	}
	e, there, err := compare.ReadEnvelope("aa")
	if err != nil || !there || len(e.Rows) < 10 {
		t.Errorf("%+v, %v", e, err)
	}
	if status, _, stderr := call(t, "compare", filepath.Join("aa", "a"), filepath.Join("aa", "b"), "--envelope", "aa"); status != exitOK {
		t.Errorf("status %d, %s", status, stderr)
	}
	hasFormats(t, filepath.Join("aa", "a"), 4) // of two contestants: the others break more leases than there are
}

// hasFormats says that all formats stand in a folder, with so many runs.
func hasFormats(t *testing.T, dir string, runs int) {
	t.Helper()
	for _, f := range export.Formats {
		if info, err := os.Stat(filepath.Join(dir, f.Name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "cells.csv"))
	if n := strings.Count(string(text), "\n") - 1; err != nil || n != runs {
		t.Errorf("%s: cells.csv has %d runs, want %d: %v", dir, n, runs, err)
	}
}

// One run and a repetition have the formats of other programs beside them, as a suite has. Further seeds
// in the same folder are among them. A file of somebody else is not overwritten.
func TestFormatsBesideRuns(t *testing.T) {
	t.Chdir(t.TempDir())
	const mine = "my notes\n"
	for _, name := range []string{"bench.txt", "report.html"} {
		if err := errors.Join(os.MkdirAll("theirs-"+name, 0o700), os.WriteFile(filepath.Join("theirs-"+name, name), []byte(mine), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	sim := func(more ...string) (status int, stderr string) {
		status, _, stderr = call(t, append([]string{"sim", "surge", "--leases", "500", "--broken", "50"}, more...)...)
		return status, stderr
	}
	for _, tt := range []struct {
		out, seeds, seed string
		runs             int
	}{{"one", "1", "1", 1}, {"several", "2", "1", 2}, {"several", "3", "3", 5}} {
		if status, stderr := sim("--out", tt.out, "--seeds", tt.seeds, "--seed", tt.seed); status != exitOK {
			t.Fatalf("%+v: status %d, %s", tt, status, stderr)
		}
		hasFormats(t, tt.out, tt.runs)
	}
	for _, name := range []string{"bench.txt", "report.html"} {
		path := filepath.Join("theirs-"+name, name)
		status, stderr := sim("--out", filepath.Dir(path), "--seeds", "2")
		entries, dirErr := os.ReadDir(filepath.Dir(path))
		text, err := os.ReadFile(path)
		if status != exitFailed || !strings.Contains(stderr, path+": exists already; name another folder") || string(text) != mine || len(entries) != 1 || err != nil || dirErr != nil {
			t.Errorf("%s: status %d, %s%q, %d entries, %v, %v", path, status, stderr, text, len(entries), err, dirErr)
		}
	}
}

// The workflow of the docs does what it is there for: its lines run, in its order, where a reader has
// what it builds.
func TestCIExample(t *testing.T) {
	if testing.Short() || runtime.GOOS == "windows" {
		t.Skip("runs each line of the workflow")
	}
	text, err := os.ReadFile(filepath.Join(top, "docs", "examples", "ci", "leasestorm.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := docsFolder(t)
	ran := map[string]int{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		for _, name := range []string{"$BASE ", "$CHANGE "} {
			if args, ok := strings.CutPrefix(line, name); ok {
				ran[verbOf(args)]++
				if bad := unknownFlags("leasestorm " + args); len(bad) > 0 {
					t.Errorf("%s: there is no flag %v", line, bad)
				}
				runLine(t, dir, "leasestorm "+args)
			}
		}
	}
	if ran["rank"] != 2 || ran["gate"] != 3 || ran["compare"] != 1 {
		t.Errorf("the workflow has %v", ran)
	}
	for _, page := range []string{"change/report.html", "comparison/report.html"} {
		if _, err := os.Stat(filepath.Join(dir, page)); err != nil || !strings.Contains(string(text), page) {
			t.Errorf("%s: %v", page, err)
		}
	}
}
