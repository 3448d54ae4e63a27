package cli

import (
	"os"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/scenario"
)

const initFlags = "--clients 20_000 --interval 10s --timeout 5s --service 2ms --workers 16"

// What init writes is the scenario of its answers, and what it shows as derived is what it derived: with
// those lines put in force the scenario is the same.
func TestInit(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, tt := range map[string]struct{ flags, want string }{
		"plain":   {initFlags, "β* = 2.48"},
		"backoff": {initFlags + " --retry backoff:cap=4", "comes back even if all"},
		"sigma":   {initFlags + " --sigma 1.5", "by the fluid law the manager comes back even if all leases break"},
		"few":     {"--clients 3 --interval 10s --timeout 5s --service 2ms --workers 1", "comes back even if all"},
		"nolaw":   {initFlags + " --retry decorrelated", "the fluid law does not cover this retry policy"},
	} {
		file := name + ".toml"
		status, stdout, stderr := call(t, append([]string{"init", file}, strings.Fields(tt.flags)...)...)
		text, err := os.ReadFile(file)
		if status != exitOK || err != nil || !strings.Contains(string(text), tt.want) || !strings.Contains(stdout, string(text)) {
			t.Errorf("%s: status %d, %v: %s%s", name, status, err, stdout, stderr)
			continue
		}
		asked, err := scenario.Load(file)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if asked.Interval.Seconds() != 10 || asked.Timeout.Seconds() != 5 || asked.ServiceTime.Milliseconds() != 2 || asked.Name != name {
			t.Errorf("%s: %+v", name, asked)
		}
		above, below, _ := strings.Cut(string(text), "\n# What you were not asked")
		_, below, _ = strings.Cut(below, "\n")
		inForce, err := scenario.Parse(file, []byte(above+"\n"+strings.ReplaceAll("\n"+below, "\n# ", "\n")))
		if diff := inForce.Differences(&asked); err != nil || len(diff) > 0 || strings.Count(below, "\n") != 9 {
			t.Errorf("%s: with its comments in force: %v, %v\n%s", name, diff, err, text)
		}
	}
	if status, _, stderr := call(t, "sim", "plain.toml", "--out", "none"); status != exitOK {
		t.Errorf("status %d: %s", status, stderr)
	}
}

func TestInitRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("my.toml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		initFlags: "my.toml exists already", "a.txt " + initFlags: "ends in .toml", "no/a.toml " + initFlags: "there is no folder no", "a.toml b.toml": "takes one file, not 2",
		"a.toml --clients 5": "there is no terminal to ask on: give --interval, --timeout, --service, --workers",
		"a.toml " + strings.Replace(initFlags, "20_000", "many", 1):              `--clients: bad scenario: leases: "many" is not a number`,
		"a.toml " + strings.Replace(initFlags, "20_000", "1.5", 1):               "--clients: bad scenario: leases: 1.5 is not a whole number",
		"a.toml " + strings.Replace(initFlags, "20_000", "0x10", 1):              "--clients: bad scenario",
		"a.toml " + strings.Replace(initFlags, "10s", "10", 1):                   "--interval: bad scenario: interval: 10 is not a time",
		"a.toml " + strings.Replace(initFlags, "10s", "2s", 1):                   "bad scenario: interval: 2s is out of range: at least the timeout, 5s",
		"a.toml " + strings.Replace(initFlags, "--workers 16", "--workers 1", 1): "need 4.00 of 1 workers",
		"a.toml " + initFlags + " --retry nosuch":                                "--retry: bad scenario: retry: retry policy",
		"a.toml " + initFlags + " --retry backoff\"":                             "--retry: bad scenario",
	} {
		status, stdout, stderr := call(t, append([]string{"init"}, strings.Fields(args)...)...)
		if status == exitOK || stdout != "" || !strings.Contains(stderr, want) || strings.Contains(stderr, "a.toml:1") || strings.Contains(stderr, "a.toml:2") {
			t.Errorf("init %s: status %d, want %q: %s%s", args, status, want, stdout, stderr)
		}
	}
	if _, err := os.Lstat("a.toml"); err == nil {
		t.Error("a file was written for what was refused")
	}
}

// On a terminal init asks for what no flag says, again where an answer is not possible, and once more
// where all of them together are not.
func TestInitAsks(t *testing.T) {
	t.Chdir(t.TempDir())
	answer := func(text string) func() {
		r, w, err := os.Pipe()
		if err == nil {
			_, err = w.WriteString(text)
		}
		if err != nil {
			t.Fatal(err)
		}
		_ = w.Close()
		in, asked := os.Stdin, terminal
		os.Stdin, terminal = r, func() bool { return true }
		return func() { os.Stdin, terminal = in, asked; _ = r.Close() }
	}
	done := answer("many\n\n20_000\n10s\n5s\n1\n\n\n" + "\n\n\n16\n\n\n")
	status, _, stderr := call(t, "init", "--service", "2ms")
	done()
	s, err := scenario.Load("my.toml")
	if status != exitOK || err != nil || s.Leases != 20_000 || s.Workers != 16 || s.Sigma != 4 || s.Retry != "immediate" {
		t.Errorf("status %d, %v, %+v: %s", status, err, s, stderr)
	}
	for _, want := range []string{`"many" is not a number`, "(aws-sdk, backoff, ", "[immediate]: ", "[4]: ", "need 4.00 of 1 workers", "[20_000]: ", "once more"} {
		if !strings.Contains(stderr, want) {
			t.Errorf("no %q in %s", want, stderr)
		}
	}
	if strings.Contains(stderr, "how long one worker takes") {
		t.Errorf("what a flag says is asked: %s", stderr)
	}
	done = answer("5\n")
	status, _, stderr = call(t, "init", "b.toml")
	done()
	if _, err := os.Lstat("b.toml"); err == nil || status != exitUsage || !strings.Contains(stderr, "not answered") {
		t.Errorf("without answers: status %d, %v, %s", status, err, stderr)
	}
}
