package cli

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/client"
)

// leaseService is a service that grants every lease.
func leaseService(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
	t.Cleanup(s.Close)
	return s.URL + "/lease"
}

// tinyStorm makes a storm of a second.
const tinyStorm = "--leases 60 --broken 20 --duration 1s --call connections.most=2 --set timeout=200ms --set interval=4s --set ttl=12s --set steady=50ms --set outage=50ms --set spread=20ms"

// A storm prints a run's result. Its command makes it again.
func TestStorm(t *testing.T) {
	t.Chdir(t.TempDir())
	url := leaseService(t)
	status, stdout, stderr := call(t, append([]string{"storm", url, "surge", "--json", "--out", "x"}, strings.Fields(tinyStorm)...)...)
	var res struct {
		Engine string   `json:"engine"`
		Wasted *float64 `json:"wasted_work"`
		Target struct {
			URL string `json:"url"`
		} `json:"target"`
	}
	if err := json.Unmarshal([]byte(stdout), &res); err != nil || status != exitOK && status != exitInvalid || res.Engine != "target" || res.Wasted != nil || res.Target.URL != url {
		t.Fatalf("status %d, %v: %s%s", status, err, stdout, stderr)
	}
	for _, file := range []string{"manifest.json", bench.SettingsFile, "report.html", "series.csv"} {
		if _, err := os.Stat("x/" + file); err != nil {
			t.Error(err)
		}
	}
	page, err := os.ReadFile("x/report.html")
	if err != nil || !strings.Contains(string(page), url) {
		t.Errorf("the page does not name the service: %v", err)
	}
}

// The studies ask a service, too, and go on where they were.
func TestStudiesAskServices(t *testing.T) {
	t.Chdir(t.TempDir())
	url := leaseService(t)
	engine := []string{"--engine", "target", "--target", url, "--outage", "none"}
	small := append(strings.Fields(tinyStorm), engine...)
	for _, line := range [][]string{
		{"rank", "surge", "--contestants", "immediate,backoff", "--seeds", "1", "--out", "rank"},
		{"sweep", "surge", "--x", "wait=0:0.1:2", "--contestants", "immediate", "--seeds", "1", "--out", "sweep"},
	} {
		if status, _, stderr := call(t, append(line, small...)...); status != exitOK && status != exitInvalid {
			t.Errorf("%v: status %d, %s", line, status, stderr)
		}
	}
	if text, err := os.ReadFile("rank/compare.csv"); err != nil || !strings.Contains(string(text), "target,,immediate") || !strings.Contains(string(text), "target,,backoff") {
		t.Errorf("the ranking has not both policies: %v\n%s", err, text)
	}
	if status, _, stderr := call(t, "sweep", "--resume", "sweep"); status != exitOK && status != exitInvalid {
		t.Errorf("it does not go on: %d, %s", status, stderr)
	}
}

// What a service decides is refused by name, and so is what goes with a service only.
func TestStormFlags(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("bad.toml", []byte("answers.good = '700'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := leaseService(t)
	for _, tt := range [][2]string{
		{"storm", "URL"},
		{"storm " + url + " surge extra", "arguments"},
		{"storm http://192.0.2.1/ surge", "--i-may-load-this 192.0.2.1"},
		{"storm grpc://127.0.0.1:1 surge", "make storm"},
		{"storm " + url + " surge --queue lifo", "--queue"},
		{"storm " + url + " surge --set admit=limit", "admit"},
		{"storm " + url + " surge --set rho=0.5", "rho"},
		{"storm " + url + " surge --workers 3", "workers"},
		{"storm " + url + " surge --idle park", "--idle"},
		{"storm " + url + " surge --redo 1", "--redo"},
		{"storm " + url + " surge --engine real", "--engine"},
		{"storm " + url + " surge --target " + url, "--target"},
		{"storm " + url + " surge --outage down", "outage"},
		{"storm " + url + " surge --call nothing=1", "nothing"},
		{"storm " + url + " surge --call bad.toml", "700"},
		{"storm " + url + " surge --call none.toml", "none.toml"},
		{"storm " + url + " surge --call request.path=/{x}", "{x}"},
		{"run surge --engine target", "--target URL"},
		{"sim surge --call prime=false", "--call"},
		{"map surge --engine target --target " + url + " --x rho=0.1:0.2:2 --y broken=1:2:2", "rho"},
		{"map surge --engine target --target " + url + " --x beta=1:2:2 --y broken=1:2:2", "beta"},
		{"sweep surge --engine target --target " + url + " --x theta=0.1:0.2:2", "theta"},
		{"sweep surge --engine target --target " + url + " --x pause=0.1:0.2:2", "pause"},
		{"probe", "URL"},
		{"probe " + url + " --target x", "--target"},
		{"probe " + url + " surge --set queue=lifo", "queue"},
		{"probe " + url + " surge --set rho=0.5", "rho"},
		{"probe " + url + " surge --call prime=false", "prime"},
		{"storm " + url + " surge --call connections.ca=/nope", "connections.ca"},
	} {
		status, stdout, stderr := call(t, strings.Fields(tt[0])...)
		if status != exitUsage || !strings.Contains(stderr, tt[1]) || stdout != "" {
			t.Errorf("%s: status %d, %s%s; want %d and %s", tt[0], status, stdout, stderr, exitUsage, tt[1])
		}
	}
}

// A probe writes a scenario that the studies take.
func TestProbe(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for a few seconds")
	}
	t.Chdir(t.TempDir())
	status, stdout, stderr := call(t, "probe", leaseService(t), "surge", "--set", "leases=4000", "--set", "interval=1s", "--set", "ttl=3s", "--set", "broken=400", "--set", "spread=10ms", "--set", "timeout=100ms", "--call", "connections.most=1", "--write", "mine.toml", "--json")
	var p struct {
		Capacity float64 `json:"capacity_per_s"`
	}
	if err := json.Unmarshal([]byte(stdout), &p); err != nil || status != exitOK && status != exitUsage || !(p.Capacity > 0) {
		t.Fatalf("status %d, %v: %s%s", status, err, stdout, stderr)
	}
	if status == exitUsage { // a host so busy that it is no service for 4,000 leases
		t.Skip(stderr)
	}
	if status, _, stderr := call(t, "border", "mine.toml", "--seeds", "1", "--out", "none"); status != exitOK {
		t.Errorf("border: %d, %s", status, stderr)
	}
}

// docs/client.md documents every key, with its default.
func TestClientKeys(t *testing.T) {
	text, err := os.ReadFile("../../../docs/client.md")
	if err != nil {
		t.Fatal(err)
	}
	s := client.Default()
	for _, k := range client.Keys() {
		if row := k.Row(&s); !strings.Contains(string(text), row) {
			t.Errorf("docs/client.md lacks the row\n%s", row)
		}
	}
}
