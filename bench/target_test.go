package bench

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

func init() { primeLeast, probeLeast = 20*time.Millisecond, 20*time.Millisecond }

// leaseService is a service that grants every lease.
func leaseService(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(s.Close)
	return s.URL + "/lease"
}

func serviceAt(t *testing.T, url, outage string, set ...string) *Service {
	t.Helper()
	s := &Service{Client: client.Default(), Outage: outage}
	s.Client.URL = url
	if err := s.Client.Set(append([]string{"connections.most=4"}, set...)...); err != nil {
		t.Fatal(err)
	}
	return s
}

// stormy is a scenario that a service survives, in a second.
func stormy(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=60", "broken=20", "timeout=200ms", "interval=4s", "ttl=12s", "steady=100ms", "outage=100ms", "spread=50ms", "duration=2s"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A storm makes a run's result and files, and says null of what a service hides.
func TestStorm(t *testing.T) {
	for _, outage := range []string{"refuse", "hang", "none"} {
		dir := filepath.Join(t.TempDir(), "run")
		url := leaseService(t)
		res, err := Target{}.Run(t.Context(), stormy(t), Options{Seed: 7, Target: serviceAt(t, url, outage), Folder: dir})
		if err != nil {
			t.Fatal(err)
		}
		s := res.Storm
		if res.Engine != "target" || res.WastedWork != nil || res.Drain != nil || res.IdleShare != nil || res.Service != nil || s == nil {
			t.Fatalf("%s: %+v", outage, res)
		}
		if s.URL != url || !(res.Capacity > 0 && s.Rho > 0 && s.Sigma > 0) || len(s.Establishes) == 0 || len(s.Checks) == 0 || s.Statuses["200"] == 0 || s.Requests == 0 || s.Dials == 0 {
			t.Errorf("%s: %+v", outage, s)
		}
		if proxied := s.Outage.Cost != nil; proxied != (outage != "none") {
			t.Errorf("%s: the outage was %+v", outage, s.Outage)
		}
		m, err := ReadManifest(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		want := "leasestorm storm " + url + " surge "
		if !strings.HasPrefix(m.Command, want) || !strings.Contains(m.Command, "--call client.toml --outage "+outage) || strings.Contains(m.Command, "workers") || m.Target == nil || m.Host == nil {
			t.Errorf("%s: command %q, target %+v", outage, m.Command, m.Target)
		}
		text, err := os.ReadFile(filepath.Join(dir, SettingsFile))
		if again, bad := client.Parse(SettingsFile, text); err != nil || bad != nil || again.Request.Path != "/{droplet}" {
			t.Errorf("%s: %v, %v, %s", outage, err, bad, text)
		}
		if shown, err := json.Marshal(res); err != nil || !strings.Contains(string(shown), `"wasted_work":null`) || !strings.Contains(string(shown), `"drain_s":null`) {
			t.Errorf("%s: %s, %v", outage, shown, err)
		}
		if text := res.Text(); !strings.Contains(text, url) || !strings.Contains(text, "wasted work –") || !strings.Contains(text, "ends of calls") {
			t.Error(text)
		}
	}
}

// A storm without priming takes the scenario's capacity.
func TestStormUnprimed(t *testing.T) {
	res, err := Target{}.Run(t.Context(), stormy(t, "rho=0.1", "sigma=2"), Options{Seed: 7, Target: serviceAt(t, leaseService(t), "none", "prime=false")})
	if err != nil || res.Storm.CapacityFrom != "the scenario" || res.Storm.Rho != 0.1 || res.Storm.Sigma != 2 || len(res.Storm.Establishes) > 0 {
		t.Errorf("%+v, %v", res, err)
	}
}

// A limit ends a storm, which is then invalid; its steps are commands.
func TestStormLimitsAndSteps(t *testing.T) {
	res, err := Target{}.Run(t.Context(), stormy(t), Options{Seed: 7, Target: serviceAt(t, leaseService(t), "none", "limits.requests=5", "prime=false")})
	if err != nil || res.Valid || res.Ended != "limit" || !strings.Contains(res.Because, "limits.requests") {
		t.Errorf("%+v, %v", res, err)
	}
	file := filepath.Join(t.TempDir(), "out")
	book, err := scenario.ParseRunbook("x", []byte("[[step]]\nat = \"10ms\"\ndo = \"exec\"\nto = \"echo restarted >"+file+"\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err = (Target{}).Run(t.Context(), stormy(t), Options{Seed: 7, Runbook: &book, Target: serviceAt(t, leaseService(t), "none")}); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); string(text) != "restarted\n" {
		t.Errorf("the step wrote %q, %v", text, err)
	}
	for _, r := range []Runner{Virtual{}, Real{}} {
		if _, err := r.Run(t.Context(), stormy(t), Options{Runbook: &book}); !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), "--engine target") {
			t.Errorf("%s: %v", r.Name(), err)
		}
	}
}

// A storm whose outage fails is invalid, and kept.
func TestStormOutageFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	res, err := Target{}.Run(t.Context(), stormy(t), Options{Seed: 7, Target: serviceAt(t, leaseService(t), "exec:echo no such switch; exit 1"), Folder: dir})
	if err != nil || res.Valid || !strings.Contains(res.Because, "no such switch") {
		t.Fatalf("%+v, %v", res, err)
	}
	if _, err := ReadManifest(t.Context(), dir); err != nil {
		t.Error(err)
	}
}

// What a service decides, and what is no service, is refused by name.
func TestStormRefuses(t *testing.T) {
	url := leaseService(t)
	gone := httptest.NewServer(nil)
	gone.Close()
	never := httptest.NewServer(http.NotFoundHandler())
	defer never.Close()
	for _, tt := range []struct {
		set     []string
		service *Service
		want    string
	}{
		{nil, nil, "storm URL"},
		{[]string{"queue=lifo"}, serviceAt(t, url, "none"), "queue"},
		{[]string{"admit=limit"}, serviceAt(t, url, "none"), "admit"},
		{[]string{"operator=restart", "operator_at=1s"}, serviceAt(t, url, "none"), "operator"},
		{[]string{"kappa=0.001"}, serviceAt(t, url, "none"), "kappa"},
		{nil, serviceAt(t, url, "down"), "outage"},
		{nil, serviceAt(t, url, "http://192.0.2.1/"), "--i-may-load-this"},
		{nil, serviceAt(t, "http://192.0.2.1/", "none"), "--i-may-load-this"},
		{nil, serviceAt(t, gone.URL, "none"), "no good answer"},
		{nil, serviceAt(t, never.URL, "none"), "status 404"},
		{nil, serviceAt(t, url, "none", "limits.requests=5"), "limits.requests"},
		{nil, serviceAt(t, url, "refuse", "connections.from=127.0.0.2"), "connections.from"},
	} {
		if _, err := (Target{}).Run(t.Context(), stormy(t, tt.set...), Options{Seed: 7, Target: tt.service}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %s", tt.set, err, tt.want)
		}
	}
}

// A storm that is interrupted ends, whatever the service does.
func TestStormInterrupted(t *testing.T) {
	var once sync.Once
	ctx, cancel := context.WithCancel(t.Context())
	hang := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		once.Do(cancel)
		<-hang
	}))
	defer s.Close()
	defer close(hang)
	if _, err := (Target{}).Run(ctx, stormy(t, "timeout=1h", "interval=20h", "ttl=60h", "duration=1h", "spread=10ms", "steady=10ms", "outage=10ms"), Options{Target: serviceAt(t, s.URL, "none", "prime=false")}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// A probe's scenario has what was found.
func TestProbe(t *testing.T) {
	p, err := ProbeService(t.Context(), serviceAt(t, leaseService(t), "refuse"), stormy(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Parse("probed.toml", []byte(p.Scenario))
	if err != nil || s.Workers != p.Workers || s.Leases != 60 || !(p.Capacity > 0 && p.Sigma > 0) || len(p.Establishes) == 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if text := p.Text(); !strings.Contains(text, "capacity") || !strings.Contains(text, "clients") {
		t.Error(text)
	}
}

// A check without a lease may be quick, and is no check: only droplets that hold a lease are asked for.
func TestProbeChecksLeases(t *testing.T) {
	var held sync.Map
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			held.Store(r.URL.Path, true)
		} else if _, ok := held.Load(r.URL.Path); !ok {
			http.Error(w, "no lease", http.StatusNotFound)
		}
	}))
	t.Cleanup(service.Close)
	p, err := ProbeService(t.Context(), serviceAt(t, service.URL, "none", "class.check.method=PUT"), stormy(t, "leases=100000", "broken=1000", "interval=1h", "ttl=3h"), 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.Checks {
		if r.Bad > 0 || r.Good == 0 {
			t.Errorf("%d clients: %d good, %d bad: %s", r.Clients, r.Good, r.Bad, r.Why)
		}
	}
}

// A client that is told before its timeout that it is late asks again after its wait, and not after the timeout.
func TestStormToldLate(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGatewayTimeout) }))
	t.Cleanup(service.Close)
	s := stormy(t, "leases=60", "broken=1", "timeout=1s", "interval=20s", "ttl=60s", "duration=3s", "sigma=2", "wait=10ms")
	res, err := Target{}.Run(t.Context(), s, Options{Seed: 7, Target: serviceAt(t, service.URL, "none", "prime=false", "limits.requests=100")})
	if err != nil {
		t.Fatal(err)
	}
	if res.Storm.Requests < 100 { // once per timeout would be 4, and a check or two of each other droplet
		t.Errorf("%d requests", res.Storm.Requests)
	}
}

// 10^5 droplets are laid out and run within a gibibyte: a run allocates less than 1 KiB for each from its start to its
// end, garbage and the service's own part included. (A call that is out takes more: bench/client's TestMemory.)
func TestStormMemory(t *testing.T) {
	const leases = 100_000
	s := stormy(t, "leases=100000", "broken=100", "interval=1000s", "ttl=3000s")
	service := serviceAt(t, leaseService(t), "none", "prime=false")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res, err := Target{}.Run(t.Context(), s, Options{Seed: 1, Target: service})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	each := (after.TotalAlloc - before.TotalAlloc) / leases
	t.Logf("%d bytes a droplet, of a run with %d requests", each, res.Storm.Requests)
	if each > 1<<10 || res.Leases != leases {
		t.Errorf("%d bytes for each of %d droplets: want at most 1 KiB", each, res.Leases)
	}
}

// A service that is still at work for clients that have left is waited for, before a storm and a probe.
func TestStormWaitsForALateService(t *testing.T) {
	var calls atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if calls.Inc() <= 2 {
			<-r.Context().Done() // the client has given up
		}
	}))
	defer s.Close()
	if _, err := (Target{}).Run(t.Context(), stormy(t), Options{Seed: 7, Target: serviceAt(t, s.URL, "none")}); err != nil {
		t.Error(err)
	}
	calls.Store(0)
	if _, err := ProbeService(t.Context(), serviceAt(t, s.URL, "none"), stormy(t), 7); err != nil {
		t.Error(err)
	}
}
