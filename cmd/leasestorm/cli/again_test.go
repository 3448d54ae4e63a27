package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
)

// draw takes an element of a list.
func draw[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// randomRun is a command line of a small virtual run with options drawn at random, which makes
// its files in out; dir is for its inputs.
func randomRun(t *testing.T, rng *rand.Rand, dir, out string) []string {
	t.Helper()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	scenario := draw(rng, "surge", "rescue", "steady", "load-ramp", "own")
	args := []string{"sim", scenario}
	switch scenario {
	case "own":
		scenario = draw(rng, "my-storm", "surge", "day2", "-")
		name := draw(rng, "my storm's file.toml", `a"b$HOME.toml`, "x;echo.toml", "--.toml")
		about := draw(rng, `"it's $HOME, and a \"quote\""`, `"bell \u0007, two\nlines"`, `""`, `"日本 é"`)
		args[1] = write(name, fmt.Sprintf("name = %q\nabout = %s\nbroken = 3e2\nrho = 0.3", scenario, about))
	case "surge":
		if rng.IntN(2) == 0 {
			args[0] = "drill"
			book := fmt.Sprintf("name = %q\nabout = \"it's\"\n[[step]]\nat = \"300ms\"\ndo = \"throttle\"\nvalue = %g\n[[step]]\nat = \"700ms\"\ndo = \"switch-queue\"\nto = \"slack:theta=0.3,guard=0\"\n", draw(rng, "a b", "x"), rng.Float64()+0.1)
			args = append(args, "--runbook", write("a runbook's.toml", book))
		}
	}
	args = append(args, "--out", out, "--leases", fmt.Sprint(300+rng.IntN(500)), "--seed", fmt.Sprint(1+rng.IntN(1000)),
		"--set", "timeout=100ms", "--set", "interval=500ms", "--set", "ttl=1500ms", "--set", "steady=100ms")
	if scenario == "load-ramp" {
		args = append(args, "--set", draw(rng, "loads=0.5, 0.9", "loads=1.2"), "--set", "measure=200ms")
	} else {
		args = append(args, "--duration", "1s", "--broken", fmt.Sprint(draw(rng, 0, 100, 250)), "--set", "outage=100ms", "--set", "operator_at=300ms")
	}
	for _, option := range [][]string{
		{"--queue", draw(rng, "lifo", "deadline:margin=1", "slack:theta=0.3,guard=0", "percore+fifo")},
		{"--admit", draw(rng, "token-bucket", "concurrency")}, {"--retry", draw(rng, "backoff", "fixed:wait=10ms")}, {"--table", draw(rng, "mutex", "sharded:shards=3")},
		{"--workers", fmt.Sprint(1 + rng.IntN(4))}, {"--max-queue", fmt.Sprint(draw(rng, 0, 30, 100))},
		{"--service", draw(rng, "exponential", "lognormal:cv=2")},
		{"--set", fmt.Sprintf("delta=%v", rng.Float64())}, {"--set", "wait=" + draw(rng, "0s", "13ms")}, {"--set", "about=" + draw(rng, "", "a  b\tc", "don't", "-x", "\\")},
		{"--set", "zones=5"}, {"--set", "launch=" + draw(rng, "0.05", "1e-1")}, {"--set", draw(rng, "scale=service", "service_time=100us")},
	} {
		if rng.IntN(3) == 0 {
			args = append(args, option...)
		}
	}
	return args
}

// shellWords are the words that a POSIX shell makes of a line.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `for word in `+line+`; do printf '%s\0' "$word"; done`).Output()
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func manifestOf(t *testing.T, dir string) (m bench.Manifest) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// The manifest's command, in a shell in the run's folder, makes the same run, to the byte.
func TestManifestCommandMakesTheRunAgain(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell")
	}
	home, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 29))
	made := map[string]int{}
	for i := range 60 {
		t.Chdir(home)
		dir := t.TempDir()
		first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
		args := randomRun(t, rng, dir, first)
		if status, _, stderr := call(t, args...); status == exitUsage {
			continue // there is no such scenario
		} else if status != exitOK {
			t.Fatalf("%q: status %d, %s", args, status, stderr)
		}
		made[args[0]]++
		line := manifestOf(t, first).Command
		words := shellWords(t, line)
		t.Chdir(first)
		if status, _, stderr := call(t, append(words[1:], "--out", second)...); status != exitOK {
			t.Fatalf("%d: %q\nmade again by %s: status %d, %s", i, args, line, status, stderr)
		}
		names := namesIn(t, first)
		if again := namesIn(t, second); !slices.Equal(names, again) {
			t.Fatalf("%q\nmade again by %s: files %v, %v", args, line, names, again)
		}
		for _, name := range names {
			a, err1 := os.ReadFile(filepath.Join(first, name))
			b, err2 := os.ReadFile(filepath.Join(second, name))
			if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
				t.Errorf("%q\nmade again by %s: %s differs, %v, %v", args, line, name, err1, err2)
			}
		}
	}
	if made["sim"] < 20 || made["drill"] < 4 {
		t.Errorf("only %v runs were made", made)
	}
}

// A list of contestants is cut at its commas, but not between the parameters of a part; a flag
// that comes again adds to it.
func TestContestants(t *testing.T) {
	for text, want := range map[string][]string{
		"fifo":                    {"fifo"},
		"fifo,lifo":               {"fifo", "lifo"},
		"fifo, lifo":              {"fifo", "lifo"},
		"slack:theta=0.3,guard=0": {"slack:theta=0.3,guard=0"},
		"fifo,slack:theta=0.3,guard=0/none/backoff:base=1,cap=4,lifo": {"fifo", "slack:theta=0.3,guard=0/none/backoff:base=1,cap=4", "lifo"},
		"fair:quantum=1,x=2+deadline:margin=1,percore+fifo":           {"fair:quantum=1,x=2+deadline:margin=1", "percore+fifo"},
		"fifo,,lifo": {"fifo", "", "lifo"},
		"guard=0":    {"guard=0"},
		"":           {""},
	} {
		if got := splitContestants(text); !slices.Equal(got, want) {
			t.Errorf("%s: %q; want %q", text, got, want)
		}
	}
	all := []string{"default"}
	l := contestantList{all: &all}
	for _, text := range []string{"fifo,lifo", "slack:theta=0.3,guard=0"} {
		if err := l.Set(text); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"fifo", "lifo", "slack:theta=0.3,guard=0"}; !slices.Equal(all, want) {
		t.Errorf("%q; want %q", all, want)
	}
	status, stdout, stderr := call(t, "threshold", "--leases", "1000", "--seeds", "1", "--out", "none", "--contestants", "slack:theta=0.3,guard=0,fifo")
	if status != exitOK || !strings.Contains(stdout, "slack:theta=0.3,guard=0 ") || !strings.Contains(stdout, "\nfifo ") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
}
