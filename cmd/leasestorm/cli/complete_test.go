package cli

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// complete returns what the shell is offered for a line whose last word is unfinished, and whether no
// space comes behind it.
func complete(t *testing.T, words ...string) (offered []string, noSpace bool) {
	t.Helper()
	status, stdout, stderr := call(t, append([]string{"__complete"}, words...)...)
	if status != exitOK {
		t.Fatalf("%v: status %d, %s", words, status, stderr)
	}
	for line := range strings.Lines(stdout) {
		text, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(text, ":") {
			return offered, text == ":6" // no files, no space
		}
		offered = append(offered, text)
	}
	t.Fatalf("%v: %s", words, stdout)
	return nil, false
}

func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"mine.toml", "[odd].toml", "mine.txt"} {
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		line    string // whose last word is unfinished
		want    string
		noSpace bool
	}{
		{"run sur", "surge-100 surge", false}, {"sim mi", "mine.toml", false}, {"rank [", "[odd].toml", false}, {"run surge ", "", false},
		{"sim surge --queue de", "deadline", false}, {"sim surge --queue=de", "deadline", false}, {"sim surge --queue percore+adap", "percore+adaptive-lifo", false},
		{"sim surge --queue perc", "percore+", true}, {"sim surge --queue codel:", "codel:target= codel:interval= codel:exponent=", true}, {"sim surge --queue percore+codel:target=5ms,", "percore+codel:target=5ms,target= percore+codel:target=5ms,interval= percore+codel:target=5ms,exponent=", true},
		{"sim surge --queue codel:target=", "", true}, {"run surge --admit vega", "vegas", false}, {"run surge --retry decor", "decorrelated", false}, {"run surge --table mut", "mutex", false},
		{"rank surge --contestants fifo,dead", "fifo,deadline", false}, {"rank surge --contestants fifo/token-b", "fifo/token-bucket", false}, {"rank surge --contestants fifo,lifo/none/fix", "fifo,lifo/none/fixed", false},
		{"rank surge --contestants fifo/none/fixed/", "", true},
		{"sim surge --set rh", "rho=", true}, {"sim surge --set queue=cod", "queue=codel queue=codel-vitess", false}, {"sim surge --set rho=", "", true}, {"sim surge --set service_law=logn", "service_law=lognormal:cv=", true},
		{"sim surge --set then_adm", "then_admit=", true}, {"border surge --engine v", "virtual", false}, {"run surge --idle p", "park", false},
		{"describe dead", "deadline", false}, {"describe ed", "edf edf+ edf", false}, {"describe queue/ed", "queue/edf queue/edf+", false}, {"describe retry/backo", "retry/backoff", false}, {"describe adm", "admit/", true},
		{"describe nosuch/", "", true}, {"bench --suite st", "standard", false}, {"list runbook da", "day", false}, {"incident --runbook mi", "mine.toml", false},
		{"hist x --format h", "hlog hgrm", false}, {"hist x --sum a", "all", false}, {"init --retry imm", "immediate", false},
		{"experiment dri", "drift", false}, {"experiment mi", "mine.toml", false}, {"experiment drift surge-", "surge-100", false}, {"list experiment la", "launches", false}, {"hel", "help", false},
	} {
		words := strings.Split(tt.line, " ")
		got, noSpace := complete(t, words...)
		if strings.Join(got, " ") != tt.want || noSpace != tt.noSpace {
			t.Errorf("%s: %v, no space %v, want %s, %v", tt.line, got, noSpace, tt.want, tt.noSpace)
		}
	}
}

// All names of the catalogs and all keys are offered, and what is offered is taken.
func TestCompletionIsWhole(t *testing.T) {
	keys, _ := complete(t, "sim", "surge", "--set", "")
	for _, k := range scenario.Keys() {
		if !slices.Contains(keys, k.Name+"=") {
			t.Errorf("no key %s", k.Name)
		}
	}
	names, _ := complete(t, "describe", "")
	for _, name := range slices.Concat(queue.Catalog.Names(), admit.Controllers.Names(), admit.Retries.Names(), queue.Wrappers.Names(), admit.Estimators.Names()) {
		if !slices.Contains(names, name) {
			t.Errorf("no name %s", name)
		}
	}
	for _, name := range names {
		if name = strings.TrimSuffix(name, "+"); strings.HasSuffix(name, "/") {
			continue
		}
		if _, err := study.Portraits(name); err != nil {
			t.Errorf("%s is offered: %v", name, err)
		}
	}
	offered, _ := complete(t, "run", "")
	for _, name := range offered {
		if _, err := scenario.Load(name); err != nil {
			t.Errorf("%s is offered: %v", name, err)
		}
	}
	if len(offered) < len(scenario.All()) {
		t.Errorf("%d scenarios offered", len(offered))
	}
}

// The script for bash is sound.
func TestCompletionScript(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("no bash")
	}
	status, script, stderr := call(t, "completion", "bash")
	if status != exitOK {
		t.Fatal(stderr)
	}
	cmd := exec.CommandContext(t.Context(), bash, "-c", script+"\ncomplete -p leasestorm")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "__start_leasestorm") {
		t.Errorf("%v: %s", err, out)
	}
}
