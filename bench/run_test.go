package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

// tiny is a surge that any host gets through in a second or two.
func tiny(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=2000", "broken=500", "timeout=50ms", "interval=1s", "ttl=3s", "spread=5ms", "steady=50ms", "outage=50ms", "duration=400ms"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A small run of the real engine: what it offers is accounted for, with a discipline that
// drops and one that does not. The verdict is the host's business. (Every part goes
// through the same model in virtual time: TestSimulateConserves.)
func TestRunConserves(t *testing.T) {
	for _, set := range [][]string{{"queue=lifo-lockfree", "table=sharded"}, {"queue=deadline", "admit=token-bucket", "retry=backoff"}} {
		res, err := Real{}.Run(t.Context(), tiny(t, set...), Options{Seed: 1})
		if err != nil {
			t.Fatalf("%v: %v", set, err)
		}
		if res.ActiveMin > 2000-250 || res.Verdict == "" || res.Capacity <= 0 {
			t.Errorf("%v: %+v", set, res)
		}
	}
}

func TestRunFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	res, err := Real{}.Run(t.Context(), tiny(t), Options{Folder: dir})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if m.Result.Verdict != res.Verdict || m.Schema != ManifestSchema || m.Result.Seed == 0 {
		t.Errorf("%+v", m)
	}
	// Its services drive a virtual run, if the host let enough of them happen.
	_, err = Virtual{}.Run(t.Context(), tiny(t, "service_law=measured:"+dir), Options{})
	if (err == nil) != (m.Services != nil) || err != nil && !errors.Is(err, scenario.ErrScenario) {
		t.Errorf("%d quantiles of services: %v", len(m.Services), err)
	}
	if _, err := (Virtual{}).Run(t.Context(), tiny(t, "service_law=measured:"+t.TempDir()), Options{}); !errors.Is(err, scenario.ErrScenario) {
		t.Errorf("services of no run: %v", err)
	}
	again, err := scenario.Parse("manifest", []byte(m.Scenario))
	if want := tiny(t, fmt.Sprint("workers=", m.Result.Workers)); err != nil || again != want {
		t.Errorf("the manifest's scenario: %v", err)
	}
	if err := record.Check(t.Context(), dir, m.Files); err != nil || len(m.Files) < 3 {
		t.Errorf("%d files, %v", len(m.Files), err)
	}
	if err := os.Truncate(filepath.Join(dir, "series.csv"), 100); err != nil {
		t.Fatal(err)
	}
	if err := record.Check(t.Context(), dir, m.Files); !errors.Is(err, record.ErrTorn) {
		t.Errorf("a file that was cut off: %v", err)
	}
	if _, err := (Real{}).Run(t.Context(), tiny(t), Options{Folder: dir}); !errors.Is(err, record.ErrExists) {
		t.Errorf("a second run into the same folder: %v", err)
	}
}

func TestRunInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	parent := t.TempDir()
	_, err := Real{}.Run(ctx, tiny(t), Options{Folder: filepath.Join(parent, "run")})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("an interrupted run left %v", left)
	}
}

func TestExperiment(t *testing.T) {
	s := tiny(t, "leases=1000000", "broken=100000", "timeout=1s", "interval=20s", "ttl=60s", "workers=4")
	x, err := newExperiment(s, 1, scenario.ShortestCheck)
	if err != nil {
		t.Fatal(err)
	}
	if x.Want[queue.Check] != 20*time.Microsecond || x.Want[queue.Establish] != 80*time.Microsecond {
		t.Errorf("service times %v; want 20 µs and 80 µs", x.Want)
	}
	if c := x.Capacity(x.Want); c < 49_999 || c > 50_001 || x.Beta(c) < 2.66 || x.Beta(c) > 2.67 {
		t.Errorf("capacity %v, β %v; want 50,000 and 2.67", c, x.Beta(c))
	}
	s.Scale, s.ServiceTime = "leases", 10*time.Microsecond
	if x, err = newExperiment(s, 1, scenario.ShortestCheck); err != nil || x.Leases != 2_000_000 || x.Broken != 200_000 {
		t.Errorf("scale leases: %v, %d leases, %d broken; want 2·10^6 and 2·10^5", err, x.Leases, x.Broken)
	}
	s.Scale, s.ServiceTime = "none", 40*time.Microsecond
	if x, err = newExperiment(s, 1, scenario.ShortestCheck); err != nil || x.Rho != 0.5 {
		t.Errorf("scale none: %v, ρ %v; want 0.5", err, x.Rho)
	}
	s.Workers = 1
	if _, err = newExperiment(s, 1, scenario.ShortestCheck); !errors.Is(err, scenario.ErrScenario) {
		t.Errorf("more checks than a worker can serve: %v", err)
	}
	s.Scale, s.Leases = "service", 100_000_000
	if _, err = newExperiment(s, 1, scenario.ShortestCheck); !errors.Is(err, scenario.ErrScenario) {
		t.Errorf("10^8 leases on one worker: %v", err)
	}
}

// A run that is invalid under a CPU quota says so.
func TestBlame(t *testing.T) {
	const quota = "a cgroup's CPU quota of 0.50 processors stopped the process 9 times"
	for _, slip := range []float64{1, 51} {
		for _, quota := range []string{"", quota} {
			p50 := 0.01
			res := &Result{Valid: true, Slip: Pair{P50: &p50, P999: &slip}}
			res.judgeHarness(time.Second, 0)
			plain := res.Because
			res.blame(quota)
			if named := res.Because != plain; named != (quota != "" && slip > 50) || named && !strings.Contains(res.Because, quota) {
				t.Errorf("slip %g, quota %q: because %q", slip, quota, res.Because)
			}
			if noisy := len(res.Noisy) > 0; noisy != (quota != "" && slip < 50) {
				t.Errorf("slip %g, quota %q: noisy %v", slip, quota, res.Noisy)
			}
		}
	}
}

func TestJudgeHarness(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		p50, p999, drift, by float64
		valid, noisy         bool
	}{
		{"quiet", 0.01, 2, 0.02, 0.01, true, false},
		{"gaps", 0.01, 11, 0, 0, true, true},
		{"large gaps", 0.01, 51, 0, 0, false, false},
		{"behind for good", 11, 40, 0, 0, false, false},
		{"drift", 0.01, 1, -0.11, 0, true, true},
		{"large drift", 0.01, 1, -0.26, 0, false, false},
		{"fit", 0.01, 1, 0, 0.06, true, true},
		{"no fit", 0.01, 1, 0, -0.3, false, false},
	} {
		res := &Result{Valid: true, Verdict: Recovered, Slip: Pair{&tt.p50, &tt.p999}, Drift: tt.drift}
		res.judgeHarness(time.Second, tt.by)
		if res.Valid != tt.valid || (res.Verdict == Invalid) == tt.valid || (len(res.Noisy) > 0) != tt.noisy || (res.Because == "") != tt.valid {
			t.Errorf("%s: %+v", tt.name, res)
		}
	}
}
