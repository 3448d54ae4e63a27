package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
)

// notRun are the commands of the README and the docs that TestDocsCommands does not run, with the
// reason. Their flags, targets and files are checked all the same. The list may get shorter only.
var notRun = map[string]string{
	"make test":                         "this test is a part of it",
	"make bench":                        "five minutes in real time",
	"make bench-sim":                    "a minute of benchmarks",
	"make bench-peers":                  "downloads libraries; bench/peers has its own test",
	"make bench-contestants":            "downloads libraries; bench/contestants has its own tests",
	"bin/leasestorm bench --suite full": "an hour in real time, and no flag makes its runs smaller",
	"leasestorm validate --engines":     "minutes in real time, on both engines",
}

const notRunAtMost = 7

// realAtMost is how many of the lines with "run" are run in real time; "sim", which takes the
// same scenarios and flags, stands for the others.
const realAtMost = 1

// tinyRun makes a run in real time of a fraction of a second, after its calibration.
const tinyRun = "--leases 2000 --broken 500 --duration 100ms --set timeout=50ms --set interval=1s --set ttl=3s --set spread=5ms --set steady=50ms --set outage=50ms"

// smaller is what a command gets behind what is printed, so that it ends in a moment: of the
// rows with its verb the first whose with it has. Lists and --set add to what is printed.
var smaller = []struct{ verb, with, more string }{
	{"run", "", tinyRun + " --seeds 1"},
	{"storm", "", tinyStorm}, {"probe", "", "--call connections.most=1"},
	{"rank", "--target", tinyStorm + " --seeds 1"}, {"border", "--target", strings.Replace(tinyStorm, "--broken 20 --duration 1s", "--duration 300ms --seeds 1", 1)},
	{"sweep", "--target", tinyStorm + " --x wait=0:0.1:2 --seeds 1"},
	{"sim", "hysteresis", "--leases 20000"}, // nothing breaks there
	{"sim", "examples", ""},
	{"sim", "", "--leases 20000 --broken 2000"},
	{"drill", "--engine real", tinyRun},
	{"drill", "my.toml", "--leases 2000 --broken 200 --duration 60s"},
	{"drill", "", "--leases 2000 --broken 200 --duration 12s"},
	{"border", "", "--leases 5000 --seeds 1"},
	{"map", "--x", "--leases 1000 --broken 100 --seeds 1"},
	{"map", "", "--leases 1000 --broken 100 --seeds 1 --x beta=0.25:6:4 --y rho=0.05:0.75:4"},
	{"sweep", "", "--leases 1000 --broken 100 --seeds 1"},
	{"find-collapse", "", "--leases 2000 --broken 100 --seeds 1"},
	{"validate", "--model", ""},
	{"validate", "--published", "--seeds 1"},
	{"validate", "", "--engine virtual --model md1 --rho 0.5 --arrivals 30000"},
	{"rank", "--contestants", "--engine virtual --leases 2000 --broken 200 --seeds 1"},
	{"rank", "", "--engine virtual --leases 2000 --broken 200 --seeds 1"},
	{"remedy", "", "--engine virtual --leases 2000 --broken 200 --seeds 1"},
	{"fairness", "", "--engine virtual --leases 2000 --broken 200 --seeds 1"},
	{"experiment", "bucket", "--seeds 1 --set duration=60s"}, {"experiment", "drift", "--leases 100 --seeds 1"},
	{"experiment", "question.toml", "--seeds 1"}, {"experiment", "", "--leases 1000 --seeds 1"},
	{"bench generator", "", "--leases 1000 --length 100ms"},
	{"bench speed", "", "--leases 1000 --rounds 1 --length 1ms"},
	{"bench", "hysteresis", "--leases 20000"}, // nothing breaks there
	{"incident explore", "", ""},
	{"incident", "--counterfactuals", "--leases 100 --partitions 1 --seeds 1"},
	{"incident", "", "--leases 200 --partitions 2"},
	{"play", "", "--help"}, // it serves until it is interrupted; the engine is not in a test's program
	{"threshold", "", "--engine virtual --leases 2000 --seeds 1"},
}

// Every command of the README and the docs does what it is printed for, in a folder where a
// reader has what it names: my.toml as the README has it, runbook.toml as drill --help has it,
// and a run in DIR.
func TestDocsCommands(t *testing.T) {
	if testing.Short() {
		t.Skip("runs each command of the docs: half a minute")
	}
	if _, err := exec.LookPath("sh"); err != nil || runtime.GOOS == "windows" {
		t.Skip("no shell")
	}
	dir := docsFolder(t)
	service := leaseService(t)
	left := maps.Clone(notRun)
	seen := map[string]bool{}
	real := 0 // runs in real time
	for _, p := range allProse(t) {
		if filepath.Base(p.path) == "CONTRIBUTING.md" {
			continue // what takes part in making it: tests and fuzzing
		}
		for _, line := range p.commands() {
			delete(left, line)
			if seen[line] || notRun[line] != "" {
				continue
			}
			seen[line] = true
			inTime := strings.NewReplacer("http://127.0.0.1:8080/lease", service, "http://127.0.0.1:8081/lease", service).Replace(line) // a reader's own
			if strings.Contains(line, "leasestorm run ") {
				// The calibration of each takes seconds, and much longer on a busy host.
				if real++; real > realAtMost {
					inTime = strings.Replace(inTime, "leasestorm run ", "leasestorm sim ", 1)
				}
			}
			t.Run(line, func(t *testing.T) { runLine(t, dir, inTime) })
		}
	}
	schemas(t, dir)
	for line := range left {
		t.Errorf("%q is among what is not run, and no document has it: take it out", line)
	}
	if len(notRun) > notRunAtMost {
		t.Errorf("%d commands are not run, at most %d may: make the new one small enough to run", len(notRun), notRunAtMost)
	}
}

// schemas looks for the number in each JSON file below dir, and that all kinds of them are there.
func schemas(t *testing.T, dir string) {
	kinds := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".json" || strings.Contains(exported(), filepath.Base(path)) { // a format of others
			return err
		}
		text, err := os.ReadFile(path)
		if !strings.Contains(string(text), fmt.Sprintf(`"schema": %d`, bench.ManifestSchema)) {
			t.Errorf("%s has no schema number", path)
		}
		kinds[filepath.Base(path)] = true
		return err
	})
	if all := "border.json compare.json comparison.json counterfactuals.json drill.json experiment.json find-collapse.json incident.json manifest.json map-result.json map.json published.json speed.json study.json suite.json sweep.json threshold.json"; err != nil || strings.Join(slices.Sorted(maps.Keys(kinds)), " ") != all {
		t.Errorf("the commands have made %v, want %s: %v", kinds, all, err)
	}
}

// docsFolder is a folder in which bin/leasestorm is the command.
func docsFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	self, err := filepath.Abs(os.Args[0])
	if err == nil {
		err = os.Mkdir(filepath.Join(dir, "bin"), 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string, mode fs.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	docs, err := filepath.Abs("../../../docs")
	if err == nil {
		err = os.Symlink(docs, filepath.Join(dir, "docs"))
	}
	if err != nil {
		t.Fatal(err)
	}
	// $SMALLER is words: no quotes.
	write("bin/leasestorm", "#!/bin/sh\n"+asCommand+"=1 exec '"+self+"' \"$@\" $SMALLER\n", 0o700)
	var scenario []string
	for _, p := range allProse(t) {
		for _, line := range p.code {
			if filepath.Base(p.path) == "README.md" && regexp.MustCompile(`^[a-z_]+ = `).MatchString(line) {
				scenario = append(scenario, line)
			}
		}
	}
	write("my.toml", strings.Join(scenario, "\n"), 0o600)
	if text, ok := operator.Text("day"); ok {
		write("mine.toml", text, 0o600)
	}
	_, help, _ := call(t, "drill", "--help")
	book := strings.Join(regexp.MustCompile(`(?m)^  (\[\[|[a-z]+ = ).*$`).FindAllString(help, -1), "\n")
	write("runbook.toml", strings.ReplaceAll(book, `"8s"`, `"20ms"`), 0o600) // as soon as tinyRun is short
	if status, _, stderr := call(t, append([]string{"sim", "surge", "--out", filepath.Join(dir, "DIR")}, small...)...); status != exitOK {
		t.Fatalf("status %d: %s", status, stderr)
	}
	return dir
}

// runLine runs a line in the shell. A run that a busy host makes invalid, or lets no worker run
// for, has run: what is held here is the line, not the host.
func runLine(t *testing.T, dir, line string) {
	_, args, ok := strings.Cut(line, "leasestorm ")
	if !ok {
		t.Fatal("it is neither the command nor among what is not run")
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute) // it hangs
	defer stop()
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	verb := verbOf(args)
	more := ""
	for _, row := range smaller {
		if row.verb == verb && strings.Contains(line, row.with) {
			more = row.more
			break
		}
	}
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = append(os.Environ(), "SMALLER="+more, "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	real := verb == "run" || verb == "drill" || verb == "storm" || strings.Contains(line, "--target")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && real && (exit.ExitCode() == exitInvalid ||
		strings.Contains(stderr.String(), "this host is too busy") || strings.Contains(stderr.String(), "the host spoilt each try")) {
		err = nil
	}
	if err != nil || stdout.Len()+stderr.Len() == 0 {
		t.Errorf("%v, with %s\n%s%s", err, more, stdout.String(), stderr.String())
	}
}

// Every flag that prose names exists, every link leads somewhere, and so do targets of make,
// scripts, and tests and benchmarks that go test is to run.
func TestDocsNames(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	pattern := regexp.MustCompile(`-(run|bench) '?(\w+)`)
	for _, p := range allProse(t) {
		for _, to := range p.brokenLinks() {
			t.Errorf("%s: the link %s leads nowhere", p.path, to)
		}
		for _, text := range append(p.commands(), p.spans()...) {
			for _, flag := range unknownFlags(text) {
				if script, _, _ := strings.Cut(text, " "); strings.HasPrefix(script, "scripts/") {
					if body, err := os.ReadFile(filepath.Join(top, script)); err == nil && bytes.Contains(body, []byte(flag)) {
						continue // it is the script's own
					}
				}
				t.Errorf("%s: there is no flag %s in %q", p.path, flag, text)
			}
			words := strings.Fields(text)
			if len(words) == 0 {
				continue
			}
			if words[0] == "make" {
				for _, target := range words[1:] {
					if strings.Contains(target, "=") {
						break
					}
					if !bytes.Contains(makefile, []byte("\n"+target+":")) {
						t.Errorf("%s: there is no target %s in %q", p.path, target, text)
					}
				}
			}
			if strings.HasPrefix(words[0], "scripts/") {
				if _, err := os.Stat(filepath.Join(top, words[0])); err != nil {
					t.Errorf("%s: %v", p.path, err)
				}
			}
			if m := pattern.FindStringSubmatch(text); m != nil && strings.Contains(text, "go test") && !declares(t, m[1], m[2]) {
				t.Errorf("%s: nothing has the name %s in %q", p.path, m[2], text)
			}
		}
	}
}

// declares says whether a test file has a test or a benchmark whose name has the pattern.
func declares(t *testing.T, kind, pattern string) bool {
	prefix := map[string]string{"run": "func Test", "bench": "func Benchmark"}[kind]
	name := regexp.MustCompile(prefix + `\w*` + strings.TrimPrefix(strings.TrimPrefix(pattern, "Test"), "Benchmark"))
	found := false
	err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || found || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		found = name.Match(text)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// Every package of the module that others can import stands in the README's table.
func TestDocsPackages(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(top, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	var table []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			first, _, _ := strings.Cut(line[2:], "|")
			table = append(table, inCode.FindAllString(first, -1)...)
		}
	}
	packages := map[string]bool{}
	err = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(path, filepath.Clean(top)+string(filepath.Separator)))
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if path != top && nested == nil || d.Name() == "internal" || d.Name() == "testdata" || d.Name() == ".git" || name == "bin" {
				return fs.SkipDir
			}
		} else if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			packages["`"+name[:strings.LastIndex(name, "/")]+"`"] = true
		}
		return nil
	})
	if err != nil || len(packages) < 20 {
		t.Fatalf("%d packages: %v", len(packages), err)
	}
	for name := range packages {
		if !slices.Contains(table, name) {
			t.Errorf("README: the table of packages has no %s", name)
		}
	}
}

// Who imports a queue downloads code and docs, not what results and other nested modules hold.
func TestModuleIsSmall(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-z")
	cmd.Dir = top
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("not a git repository: %v", err)
	}
	names := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	const most = 4 << 20 // code and its tests are most of it
	total, nested := int64(0), map[string]bool{}
	for _, name := range names {
		if dir, ok := strings.CutSuffix(name, "/go.mod"); ok {
			nested[dir] = true
		}
	}
	for _, name := range names {
		inside := false
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			inside = inside || nested[filepath.ToSlash(dir)]
		}
		if info, err := os.Lstat(filepath.Join(top, name)); err == nil && !inside {
			total += info.Size()
		}
	}
	if !nested["results"] || total == 0 || total > most {
		t.Errorf("the module has %d bytes, at most %d may: nested are %v", total, int64(most), nested)
	}
}
