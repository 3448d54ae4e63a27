package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/hist"
)

// hist selects, sums and converts a run's log; the run's own percentile file is what comes of it.
func TestHist(t *testing.T) {
	t.Chdir(t.TempDir())
	if status, _, stderr := call(t, append([]string{"sim", "surge", "--out", "run"}, small...)...); status != exitOK {
		t.Fatal(stderr)
	}
	for _, tt := range []struct {
		out  string
		args []string
	}{
		{"a.csv", []string{"run"}}, {"b.hlog", []string{"a.csv"}}, {"c.hlog", []string{"run/latency.hlog"}},
		{"sum.hlog", []string{"run", "a.csv", "b.hlog", "--sum", "tag"}}, {"own.hgrm", []string{"run", "--tag", "establish/return/intended"}},
	} {
		if status, stdout, stderr := call(t, append([]string{"hist", "--out", tt.out}, tt.args...)...); status != exitOK || stdout != "" {
			t.Fatalf("%v: status %d, %s%s", tt, status, stdout, stderr)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if read("b.hlog") != read("c.hlog") {
		t.Errorf("by way of CSV\n%s, want\n%s", read("b.hlog"), read("c.hlog"))
	}
	// The run's own file has the exact maximum and the rows of the log.
	rows := func(text string) string { return text[:strings.Index(text, "#[Max")] }
	if got, want := read("own.hgrm"), read("run/establish-return-intended.hgrm"); rows(got) != rows(want) {
		t.Errorf("own.hgrm\n%s, want\n%s", got, want)
	}
	one, err := hist.Read("c.hlog", read("c.hlog"), 0)
	if err != nil {
		t.Fatal(err)
	}
	three, err := hist.Read("sum.hlog", read("sum.hlog"), 0)
	if err != nil || len(one.Intervals) != len(three.Intervals) {
		t.Fatalf("%v: %d intervals, want %d", err, len(three.Intervals), len(one.Intervals))
	}
	sum := int64(0)
	for i := range one.Intervals {
		sum += 3*one.Intervals[i].Count() - three.Intervals[i].Count()
	}
	if sum != 0 {
		t.Errorf("the sum of three lacks %d values", sum)
	}
	_, all, _ := call(t, "hist", "run")
	_, late, _ := call(t, "hist", "run", "--from", "150ms")
	if a, l := strings.Count(all, "\n"), strings.Count(late, "\n"); l >= a || l < 2 || !strings.Contains(all, "steady") || strings.Contains(late, "steady") {
		t.Errorf("from 150 ms on:\n%s of\n%s", late, all)
	}
}

// What hist cannot do it says before anything is written.
func TestHistRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	if status, _, stderr := call(t, append([]string{"sim", "surge", "--out", "run"}, small...)...); status != exitOK {
		t.Fatal(stderr)
	}
	log, err := os.ReadFile(filepath.Join("run", "latency.hlog"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut.hlog": string(log[:len(log)-20]), "none.hgrm": "not one\n", "comma.hlog": strings.Replace(string(log), "Tag=", "Tag=a,b", 1),
		"ns.csv": "value_ns,count\n5,1\n", "there.csv": "",
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"", exitUsage, "hist takes one or more files"},
		{"run --unit ns", exitFailed, "its values are in microseconds, and nanoseconds are asked for"}, {"ns.csv --unit us", exitFailed, "nanoseconds, and microseconds"},
		{"nosuch", exitFailed, "nosuch"}, {"cut.hlog", exitFailed, "--partial takes them"}, {"none.hgrm", exitFailed, "none.hgrm: bad histogram file: "},
		{"comma.hlog", exitFailed, "a tag has no comma"}, {"run ns.csv", exitFailed, "nanoseconds cannot be added to values in microseconds"},
		{"run --tag [", exitUsage, "--tag"}, {"run --tag nosuch", exitFailed, "no interval is selected"},
		{"run --from soon", exitUsage, "--from"}, {"run --to 5", exitUsage, "--to"}, {"run --sum both", exitUsage, "want tag or all"},
		{"run --format xls", exitUsage, "want one of hlog, hgrm, csv, summary"}, {"run --out x.txt", exitUsage, "its end is none of"}, {"run --out x", exitUsage, "its end is none of"},
		{"run --out there.csv", exitFailed, "exists already"}, {"run --out nosuch/x.csv", exitFailed, "there is no folder"},
		{"run --format hgrm", exitUsage, "--sum all"}, {"run --json --format csv", exitUsage, "leave one of them out"}, {"run --unit min", exitUsage, "want one of ns, us, ms, s"},
	} {
		status, stdout, stderr := call(t, append([]string{"hist"}, strings.Fields(tt.args)...)...)
		if status != tt.status || stdout != "" || !strings.Contains(stderr, tt.want) {
			t.Errorf("hist %s: status %d, want %d with %q: %s%s", tt.args, status, tt.status, tt.want, stdout, stderr)
		}
	}
	status, stdout, stderr := call(t, "hist", "cut.hlog", "--partial")
	if status != exitOK || !strings.Contains(stderr, "what follows is missing") || !strings.Contains(stdout, "steady") {
		t.Errorf("status %d: %s%s", status, stdout, stderr)
	}
}
