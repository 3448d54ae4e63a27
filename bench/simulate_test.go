package bench

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"testing"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// surgeAt is the surge at a hundredth of its size, with the same β and the same verdicts.
func surgeAt(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=10000", "broken=1000"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func simulate(t *testing.T, s scenario.Scenario, o Options) *Result {
	t.Helper()
	return simulateBy(t, Virtual{}, s, o)
}

func simulateBy(t *testing.T, v Virtual, s scenario.Scenario, o Options) *Result {
	t.Helper()
	res, err := v.Run(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// hashOf runs a scenario into a folder and returns a sum over all its files.
func hashOf(t *testing.T, v Virtual, s scenario.Scenario, o Options) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	o.Folder = dir
	simulateBy(t, v, s, o)
	sum := sha256.New()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(sum, "%s %d\n%s", e.Name(), len(text), text)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// Taking events together is the same as taking them one by one, to the byte.
func TestLookaheadIsSingle(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	for _, set := range [][]string{
		nil, {"broken=3000"}, {"broken=500"}, {"retry=backoff", "launch=0.1"}, {"delta=0.3", "wait=200ms"}, {"timeout=330ms", "broken=2000"}, {"operator=both", "operator_at=3s", "duration=20s"},
		{"slow=0.5", "slow_for=3s"}, {"delta=0"}, {"launch=0.3", "launch_tries=4", "launch_law=even", "slow=0.5", "slow_for=3s", "slow_at=arrival"}, {"launch=0.3", "launch_tries=3"},
	} {
		for _, workers := range []int{1, 3} {
			for _, service := range []string{"fixed", "exponential"} {
				o, of := Options{Seed: 7}, append([]string{fmt.Sprint("workers=", workers), "service_law=" + service}, set...)
				together := hashOf(t, Virtual{}, surgeAt(t, of...), o)
				if hashOf(t, Virtual{single: true}, surgeAt(t, of...), o) != together {
					t.Errorf("%v, %d workers, %s: the runs differ", set, workers, service)
				}
			}
		}
	}
}

// The same scenario and seed make the same files, to the byte, for every GOMAXPROCS.
func TestSimulateIsDeterministic(t *testing.T) {
	var first string
	for i, procs := range []int{1, 2, 4} {
		old := runtime.GOMAXPROCS(procs)
		got := hashOf(t, Virtual{}, surgeAt(t, "queue=lifo", "retry=backoff", "launch=0.1", "workers=3", "service_law=exponential"), Options{Seed: 7})
		runtime.GOMAXPROCS(old)
		if i == 0 {
			first = got
		} else if got != first {
			t.Errorf("with GOMAXPROCS %d the files differ: %s, %s", procs, got, first)
		}
	}
}

// What becomes of the surge is a property of the discipline and the control.
func TestVerdicts(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	for _, tt := range []struct {
		set      []string
		verdict  Verdict
		min, max float64 // TTR, s
	}{
		{[]string{"queue=fifo"}, Collapsed, 0, 0},
		{[]string{"queue=fifo-lockfree"}, Collapsed, 0, 0},
		{[]string{"queue=fifo", "broken=300"}, Recovered, 0.5, 0.7},
		{[]string{"queue=fifo", "broken=1"}, Healthy, 0, 0},
		{[]string{"queue=fifo", "wait=4s"}, Recovered, 1, 15}, // β < 1 + (1 + w/τ)/δ
		{[]string{"queue=fifo", "delta=0.1"}, Recovered, 1, 15},
		{[]string{"queue=codel"}, Collapsed, 0, 0}, // it sheds far too slowly
		{[]string{"queue=lifo"}, Recovered, 2.4, 2.8},
		{[]string{"queue=lifo-lockfree"}, Recovered, 2.4, 2.8},
		{[]string{"queue=percore+fifo"}, Collapsed, 0, 0},
		{[]string{"queue=percore+deadline"}, Recovered, 2.3, 2.7},
		{[]string{"queue=adaptive-lifo"}, Recovered, 2.4, 2.8},
		{[]string{"queue=controlled-delay", "duration=60s"}, Recovered, 10, 40}, // a tenth of a timeout's work each timeout
		{[]string{"queue=edf"}, Collapsed, 0, 0},
		{[]string{"queue=edf+deadline"}, Recovered, 2.3, 2.7},
		{[]string{"queue=slack"}, Recovered, 1.9, 2.2}, // efficiency over .9
		{[]string{"queue=coalesce+fifo"}, Recovered, 2, 3},
		{[]string{"queue=coalesce+deadline"}, Recovered, 2, 3},
		{[]string{"queue=priority+fifo"}, Collapsed, 0, 0},
		{[]string{"queue=priority+adaptive-lifo"}, Recovered, 2.4, 3.5},
		{[]string{"queue=fair+deadline"}, Recovered, 2.3, 2.8},
		{[]string{"queue=fifo", "admit=backlog"}, Recovered, 2, 20},
		{[]string{"queue=fifo", "admit=limit"}, Recovered, 2, 9},
		{[]string{"queue=bounded"}, Recovered, 2.5, 5},
		{[]string{"queue=deadline"}, Recovered, 2.3, 2.7},
		{[]string{"queue=deadline", "retry=backoff"}, Recovered, 2, 9},
		{[]string{"queue=fifo", "admit=token-bucket", "duration=60s"}, Recovered, 3.3, 40},
		{[]string{"queue=fifo", "admit=token-bucket", "retry=backoff"}, Recovered, 3.3, 9},
		{[]string{"queue=fifo", "admit=throttle"}, Recovered, 2, 25},
		{[]string{"queue=fifo", "admit=concurrency"}, Recovered, 2, 20},
		{[]string{"queue=fifo", "operator=both", "duration=60s"}, Recovered, 8, 30},
		{[]string{"queue=fifo", "operator=restart", "duration=60s"}, Collapsed, 0, 0},
		{[]string{"queue=fifo", "operator=restart", "restarts=2", "duration=60s"}, Recovered, 8, 12},
		{[]string{"queue=fifo", "operator=restart", "restarts=8", "duration=60s"}, Recovered, 8, 12},
	} {
		for _, workers := range []int{1, 4} {
			t.Run(fmt.Sprint(tt.set, workers), func(t *testing.T) {
				res := simulate(t, surgeAt(t, append([]string{fmt.Sprint("workers=", workers)}, tt.set...)...), Options{Seed: 1})
				if res.Verdict != tt.verdict || tt.verdict == Recovered && (*res.TTR < tt.min || *res.TTR > tt.max) {
					t.Errorf("%s, TTR %s; want %s, %v to %v s", res.Verdict, show.Dash(res.TTR, "%.2f s"), tt.verdict, tt.min, tt.max)
				}
			})
		}
	}
}

// With every discipline, controller and retry policy that there is, each attempt offered
// has one end. (A violation is an error of the run.)
func TestSimulateConserves(t *testing.T) {
	for i, q := range queue.Catalog.Names() {
		for k, a := range admit.Controllers.Names() {
			for l, r := range admit.Retries.Names() {
				if testing.Short() && (i+k+l)%16 != 0 {
					continue // each of them, not each combination
				}
				s := surgeAt(t, "queue="+q, "admit="+a, "retry="+r, "launch=0.1", "operator=restart", "operator_at=2s", "duration=4s", "leases=1000", "broken=150", "workers=2", "service_law=exponential")
				if CheckVirtual(&s) != nil {
					continue // a test's
				}
				_, err := Virtual{}.Run(t.Context(), s, Options{Seed: 5})
				if q == "slack" && errors.Is(err, catalog.ErrParam) {
					continue // waits that break its guard
				}
				if err != nil {
					t.Fatalf("%s, %s, %s: %v", q, a, r, err)
				}
			}
		}
	}
}

// What the leases' side can do about a surge, and what an operator rolls out after it.
func TestPolicies(t *testing.T) {
	for _, tt := range []struct {
		set     []string
		verdict Verdict
		min     float64 // TTR, s
		max     float64
	}{
		{[]string{"grace=30s"}, Healthy, 0, 0},              // nothing lapses; the checks are a quarter of the work
		{[]string{"expiry_spread=10s"}, Recovered, 9, 11},   // as fast as they are let come due
		{[]string{"expiry_spread=1s"}, Recovered, 2.3, 3.2}, // the border for a spread of 1.1 τ is 2.97
		{[]string{"expiry_spread=300ms"}, Collapsed, 0, 0},  // and 2.4 for .4
		{[]string{"check_jitter=0.2"}, Collapsed, 0, 0},     // it was never the checks
		{[]string{"renew_rate=0.05"}, Collapsed, 0, 0},      // β falls to 2.1, which the border follows
		{[]string{"surge_zones=1"}, Collapsed, 0, 0},        // one queue for all zones
		{[]string{"queue=lifo", "surge_zones=1"}, Recovered, 2.3, 2.9},
		{[]string{"operator=switch", "then_queue=lifo", "duration=60s"}, Recovered, 8, 14},
		{[]string{"operator=switch", "then_queue=deadline", "then_retry=backoff", "duration=60s"}, Recovered, 8, 20},
		{[]string{"operator=switch", "then_admit=token-bucket", "duration=40s"}, Collapsed, 0, 0}, // the dead work is in the queue already
	} {
		t.Run(fmt.Sprint(tt.set), func(t *testing.T) {
			res := simulate(t, surgeAt(t, tt.set...), Options{Seed: 1})
			if res.Verdict != tt.verdict || tt.verdict == Recovered && (*res.TTR < tt.min || *res.TTR > tt.max) {
				t.Errorf("%s, TTR %s; want %s, %v to %v s", res.Verdict, show.Dash(res.TTR, "%.2f s"), tt.verdict, tt.min, tt.max)
			}
		})
	}
	for _, bad := range [][]string{{"operator=switch"}, {"then_queue=lifo"}, {"operator=switch", "then_queue=lilo"}, {"surge_zones=4"}, {"surge_zones=1", "broken=9000"}, {"between=maybe"}} {
		s := surgeAt(t)
		if err := s.Set(bad...); !errors.Is(err, scenario.ErrScenario) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

// Every table keeps the same leases: the run is the same to the number.
func TestTablesAgree(t *testing.T) {
	var first *Result
	for _, table := range []string{"mutex", "sharded", "lockfree"} {
		res := simulate(t, surgeAt(t, "queue=deadline", "table="+table, "workers=2"), Options{Seed: 3})
		if first == nil {
			first = res
		} else if *res.TTR != *first.TTR || res.Shed != first.Shed || !reflect.DeepEqual(res.TimeToLease, first.TimeToLease) {
			t.Errorf("%s: TTR %v, shed %d; %s: %v, %d", table, *res.TTR, res.Shed, first.Table, *first.TTR, first.Shed)
		}
	}
}

func TestMaxQueue(t *testing.T) {
	res := simulate(t, surgeAt(t), Options{Seed: 1, MaxQueue: 3000})
	if res.Ended != "max-queue" || res.Verdict == Recovered || res.Verdict == Healthy {
		t.Errorf("ended by %s, %s", res.Ended, res.Verdict)
	}
}

func TestDistributions(t *testing.T) {
	for _, bad := range []string{"normal", "lognormal", "lognormal:cv=0", "lognormal:cv=x"} {
		s := surgeAt(t)
		if s.ServiceLaw = bad; s.Validate() == nil {
			t.Errorf("service_law %q is valid", bad)
		}
		if _, err := (Virtual{}).Run(t.Context(), s, Options{}); err == nil {
			t.Errorf("service %q was taken", bad)
		}
	}
	for _, service := range []string{"fixed", "exponential", "lognormal:cv=2"} {
		res := simulate(t, surgeAt(t, "queue=deadline:margin=5", "workers=4", "service_law="+service), Options{Seed: 1})
		if res.Verdict != Recovered {
			t.Errorf("%s: %s", service, res.Verdict)
		}
	}
}

// Events a second of the virtual engine on the surge: attempts offered, and services.
func BenchmarkVirtual(b *testing.B) {
	for _, q := range []string{"fifo", "deadline"} {
		b.Run(q, func(b *testing.B) {
			s, err := scenario.Load("surge")
			if err == nil {
				err = s.Set("queue=" + q)
			}
			if err != nil {
				b.Fatal(err)
			}
			events := uint64(0)
			for range b.N {
				b.StopTimer()
				x, err := newExperiment(s, 1, 1)
				if err != nil {
					b.Fatal(err)
				}
				p, _, err := x.plan(x.Want, 0)
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				v := &engine.Virtual{Workers: 1, Service: x.Want, Seed: 1}
				if _, err := v.Run(b.Context(), p); err != nil {
					b.Fatal(err)
				}
				t := p.Log.Total()
				events += t.Offered.Sum() + t.Done[queue.Good].Sum() + t.Done[queue.Late].Sum()
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds()/1e6, "Mevents/s")
		})
	}
}

// The day was a surge, but whatever leaves enough work undone tips a fifo over: a pause of all
// workers, a slow spell, a surge in one zone, or one under launches. Dropping the dead saves it.
func TestScenariosTipFifoOver(t *testing.T) {
	if testing.Short() {
		t.Skip("one goroutine: the long run has it")
	}
	for name, want := range map[string]Verdict{"zones": Recovered, "pause": Healthy, "slow-spell": Healthy, "launch-storm": Recovered} {
		for queue, want := range map[string]Verdict{"fifo": Collapsed, "deadline": want} {
			s, err := scenario.Load(name)
			if err == nil {
				err = s.Set(fmt.Sprintf("broken=%d", s.Broken/100), "leases=10000", "queue="+queue)
			}
			if err != nil {
				t.Fatal(err)
			}
			if res := simulate(t, s, Options{Seed: 1}); res.Verdict != want {
				t.Errorf("%s with %s: %s, want %s", name, queue, res.Verdict, want)
			}
		}
	}
}
