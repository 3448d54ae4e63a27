package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench/oracle"
)

// call runs the command and returns its exit status, stdout and stderr.
func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	read := func(f **os.File) func() string {
		old := *f
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		*f = w
		text := make(chan string)
		go func() {
			var b bytes.Buffer
			_, _ = io.Copy(&b, r)
			text <- b.String()
		}()
		return func() string {
			_ = w.Close()
			*f = old
			return <-text
		}
	}
	out, err := read(&os.Stdout), read(&os.Stderr)
	status = Main(args)
	return status, out(), err()
}

func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		args []string
		want string // on stderr
	}{
		{[]string{"nosuch"}, `unknown command "nosuch"`},
		{[]string{"completion", "tcsh"}, `unknown command "tcsh" for "leasestorm completion"`},
		{[]string{"completion", "bash", "zsh"}, `unknown command "zsh"`},
		{[]string{"run"}, "run takes one scenario, not 0"},
		{[]string{"run", "nosuch"}, `no scenario "nosuch"; there are: `},
		{[]string{"run", "surge", "--nosuch"}, "unknown flag: --nosuch"},
		{[]string{"run", "surge", "--queue", "lilo"}, `"lilo": unknown name; there are: `},
		{[]string{"run", "surge", "--table", "lilo"}, `"lilo": unknown name; there are: `},
		{[]string{"run", "surge", "--admit", "lilo"}, `"lilo": unknown name; there are: `},
		{[]string{"run", "surge", "--retry", "lilo"}, `"lilo": unknown name; there are: `},
		{[]string{"run", "surge", "--broken", "2000000"}, "broken: 2000000 is out of range: 0 to 1000000 leases"},
		{[]string{"run", "surge", "--leases", "0"}, "leases: 0 is out of range: 1 to"},
		{[]string{"run", "surge", "--leases", "many"}, "leases: many is not a whole number"},
		{[]string{"run", "surge", "--duration", "5"}, "duration: 5 is not a time"},
		{[]string{"run", "surge", "--set", "rho=2"}, "rho: 2 is out of range: 0.001 to 0.99 of capacity"},
		{[]string{"run", "surge", "--seed", "-1"}, `invalid argument "-1" for "--seed"`},
		{[]string{"run", "surge", "--workers", "-1"}, "workers: -1 is out of range: 0"},
		{[]string{"run", "surge", "--leases", "100000000"}, "leave"},
		{[]string{"run", "surge", "--idle", "doze"}, "want one of spin, yield, park"},
		{[]string{"run", "surge", "--seeds", "0"}, "--seeds 0 is out of range: 1"},
		{[]string{"run", "surge", "--max-queue", "-1"}, "--max-queue -1 is out of range"},
		{[]string{"bench", "--suite", "nosuch"}, `no suite "nosuch"; there are: short, standard, full`},
		{[]string{"bench", "--resume", "x", "--seed", "3"}, "--resume goes on with the bench as it was begun: leave out --seed"},
		{[]string{"validate", "--model", "mmc", "--rho", "1"}, "the queue has a steady state only for rho below 1"},
		{[]string{"validate", "--model", "mmc", "--servers", "0"}, "servers 0 is out of range"},
		{[]string{"validate", "--model", "impatient", "--timeout", "inf"}, "not a decimal number"},
		{[]string{"validate", "--model", "mmc", "--rho", "1e-9"}, "rho 1e-09 is out of range"},
		{[]string{"validate", "--model", "mmck", "--k", "100000000000"}, "k 100000000000 is out of range"},
		{[]string{"validate", "--model", "mmc", "--rho", "0.99", "--engine", "virtual"}, "want at least 27000000"},
		{[]string{"validate", "--model", "mmc", "--cv", "3"}, "--cv is no parameter of model mmc"},
		{[]string{"validate", "--rho", "0.9"}, "--rho is of one model"},
		{[]string{"validate", "--engines", "--rho", "0.5"}, "--rho is about models"},
		{[]string{"validate", "--set", "rho=0.5"}, "--set is about scenarios"},
		{[]string{"validate", "--model", "mmc", "--servers", "4096", "--engine", "real"}, "want fewer servers, or the virtual engine"},
		{[]string{"validate", "--published", "--model", "mmc"}, "--model is not about published results"},
		{[]string{"validate", "--published", "--engines"}, "--engines is not about published results"},
		{[]string{"validate", "--published", "--seeds", "-1"}, "--seeds -1 is out of range"},
		{[]string{"validate", "--engines", "--out", "x"}, "--out is about published results"},
		{[]string{"validate", "--seeds", "3"}, "--seeds is about published results"},
		{[]string{"validate", "--model", "nosuch"}, "there are: mmc, md1, mg1, mmck, impatient, repairman"},
		{[]string{"plot"}, "plot takes one folder"},
		{[]string{"map", "surge", "--x", "colour=0:1:4"}, `no axis "colour"; there are: broken, beta, `},
		{[]string{"map", "surge", "--x", "beta=1:2:1"}, "points are out of range: 2 to 1000"},
		{[]string{"map", "surge", "--y", "rho=2:3:4"}, "rho: 3 is out of range"},
		{[]string{"find-collapse", "steady"}, "set outage"},
		{[]string{"bench", "generator", "--rate", "0"}, "--rate 0 is out of range"},
		{[]string{"bench", "extra"}, "extra"},
		{[]string{"sim", "surge", "--leases", "0x1000"}, "leases: 0x1000 is not a whole number"},
		{[]string{"sim", "surge", "--workers", "0x10"}, `workers: 0x10 is not a whole number`},
		{[]string{"sim", "surge", "--workers", "010000"}, "workers: 10000 is out of range"},
		{[]string{"sim", "surge", "--seeds", "0b1"}, "is not a decimal number"},
		{[]string{"bench", "generator", "--rate", "inf"}, "is not a decimal number"},
		{[]string{"drill", "surge", "--search", "--runbook", "x"}, "leave out --runbook"},
		{[]string{"drill", "surge", "--engine", "real", "--service", "exponential"}, "services on real cores have a distribution of their own"},
	} {
		status, stdout, stderr := call(t, tt.args...)
		if status != exitUsage || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Contains(stderr, "goroutine") {
			t.Errorf("%v: status %d, stdout %q, stderr %q; want 2, nothing, …%s…", tt.args, status, stdout, stderr, tt.want)
		}
	}
	if left, err := filepath.Glob("results/*"); err != nil || len(left) > 0 {
		t.Errorf("what was refused has left %v, %v", left, err)
	}
}

// full is a disk that is.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

// The text of validate that cannot be written is an error, not a pass.
func TestValidateFull(t *testing.T) {
	for _, json := range []bool{false, true} {
		p := &rowPrinter{w: full{}, json: json}
		if err := p.print([]oracle.Row{{Pass: true}}); err == nil {
			t.Errorf("json %v: no error", json)
		}
	}
}

// tiny flags make a run of a second.
var tiny = []string{"--leases", "2000", "--broken", "500", "--duration", "300ms", "--workers", "1", "--seed", "7",
	"--set", "timeout=50ms", "--set", "interval=1s", "--set", "ttl=3s", "--set", "spread=5ms", "--set", "steady=50ms", "--set", "outage=50ms"}

// --json prints one object with all that is promised, and nothing else on stdout.
func TestRunJSON(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	status, stdout, stderr := call(t, append([]string{"run", "surge", "--json", "--out", dir, "--queue", "lifo"}, tiny...)...)
	if status != exitOK && status != exitInvalid {
		t.Fatalf("status %d: %s", status, stderr)
	}
	var got map[string]any
	d := json.NewDecoder(strings.NewReader(stdout))
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("stdout has more than one object: %v", err)
	}
	for _, key := range strings.Fields("scenario table queue admit retry leases broken seed workers verdict ttr_s efficiency capacity_per_s beta " +
		"goodput_per_s wasted_work shed active_min active_end time_to_lease_s slip_ms host_gap_ms valid invalid_because elapsed_s") {
		if _, ok := got[key]; !ok {
			t.Errorf("no key %q in %s", key, stdout)
		}
	}
	for object, keys := range map[string]string{"time_to_lease_s": "p50 p99 p999 max", "slip_ms": "p50 p999", "host_gap_ms": "p50 p999"} {
		for _, key := range strings.Fields(keys) {
			if _, ok := got[object].(map[string]any)[key]; !ok {
				t.Errorf("no key %q in %q", key, object)
			}
		}
	}
	if got["queue"] != "lifo" || got["seed"] != 7.0 || got["leases"] != 2000.0 {
		t.Errorf("%s", stdout)
	}
	status, stdout, _ = call(t, "plot", dir)
	if status != exitOK || !strings.Contains(stdout, "recovery-surge.png") {
		t.Errorf("plot of the run: status %d, %s", status, stdout)
	}
	if status, _, stderr = call(t, append([]string{"run", "surge", "--out", dir}, tiny...)...); status != exitFailed || !strings.Contains(stderr, "exists already") {
		t.Errorf("a run into a folder that exists: status %d, %s", status, stderr)
	}
}

func TestMap(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "map")
	status, stdout, stderr := call(t, "map", "surge", "--leases", "1000", "--broken", "100", "--x", "beta=1:4:3", "--y", "wait=0.1:1:3:log", "--seeds", "1",
		"--contestants", "fifo,lifo,slack", "--out", dir)
	if status != exitOK || !strings.Contains(stdout, "vulnerable") {
		t.Fatalf("status %d, %s, %s", status, stdout, stderr)
	}
	for _, file := range []string{"map.png", "map.svg", "map.json", "points.jsonl", "map-result.json"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	if status, again, stderr := call(t, "map", "--resume", dir); status != exitOK || again != stdout {
		t.Errorf("resumed when done: status %d, %s, %s", status, again, stderr)
	}
	if status, _, stderr := call(t, "map", "--resume", dir, "--seeds", "2"); status != exitUsage || !strings.Contains(stderr, "leave out --seeds") {
		t.Errorf("status %d, %s", status, stderr)
	}
	if status, _, stderr := call(t, "map", "--resume", t.TempDir()); status != exitFailed || !strings.Contains(stderr, "not a map's folder") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestPlotFails(t *testing.T) {
	if status, _, stderr := call(t, "plot", t.TempDir()); status != exitFailed || !strings.Contains(stderr, "no finished run") {
		t.Errorf("status %d, %s", status, stderr)
	}
}

func TestVersion(t *testing.T) {
	if status, stdout, _ := call(t, "version"); status != exitOK || !strings.HasPrefix(stdout, "leasestorm ") {
		t.Errorf("status %d, %q", status, stdout)
	}
}
