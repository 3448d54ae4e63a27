package live

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/internal/need"
)

// ran makes a small run in virtual time that hub watches, with its files in dir.
func ran(t *testing.T, hub *Hub, dir string, seed uint64) *bench.Result {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set("leases=2000", "broken=500", "timeout=100ms", "duration=3s", "queue=deadline")
	}
	if err != nil {
		t.Fatal(err)
	}
	res, err := bench.Virtual{}.Run(t.Context(), s, bench.Options{Seed: seed, Folder: dir, Live: hub.Live})
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// serving is a hub that is served.
func serving(t *testing.T) (*Hub, *Server) {
	t.Helper()
	hub := NewHub()
	s, err := hub.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return hub, s
}

// get is the answer to a request. The caller closes its body.
func get(t *testing.T, s *Server, path string, head map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range head {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// text is the whole answer.
func text(t *testing.T, s *Server, path string, head map[string]string) (status int, body string) {
	t.Helper()
	r := get(t, s, path, head)
	defer func() { _ = r.Body.Close() }()
	all, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(all)
}

// sent is a server-sent event as a reader gets it.
type sent struct {
	id   int
	kind string
	data map[string]any
}

// events are those of a stream that has ended.
func events(t *testing.T, body string) (all []sent) {
	t.Helper()
	e := sent{id: -1}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "id":
			e.id, _ = strconv.Atoi(value)
		case "event":
			e.kind = value
		case "data":
			if err := json.Unmarshal([]byte(value), &e.data); err != nil {
				t.Fatalf("%q: %v", value, err)
			}
		case "":
			if e.data != nil {
				all = append(all, e)
			}
			e = sent{id: -1}
		}
	}
	return all
}

// The steps of the stream are the rows of series.csv, under the names of its columns.
func TestEvents(t *testing.T) {
	hub, s := serving(t)
	dir := filepath.Join(t.TempDir(), "run")
	res := ran(t, hub, dir, 1)
	hub.Close()
	status, body := text(t, s, "/events", nil)
	all := events(t, body)
	if status != http.StatusOK || len(all) < 10 {
		t.Fatalf("status %d and %d events: %.300s", status, len(all), body)
	}
	name := "surge deadline/none/immediate seed 1"
	first, end, over := all[0], all[len(all)-2], all[len(all)-1]
	if first.kind != "begin" || first.data["run"] != name || first.data["leases"] != 2000.0 || first.data["virtual"] != true || len(first.data["phases"].([]any)) != 3 {
		t.Errorf("the first event is %+v", first)
	}
	if end.kind != "end" || end.data["verdict"] != string(res.Verdict) || end.data["over"] != res.Brief() || over.kind != "over" {
		t.Errorf("the last events are %+v and %+v", end, over)
	}
	file, err := os.Open(filepath.Join(dir, "series.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	table, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows := map[float64]map[string]any{} // a step may come twice: the last counts
	for _, e := range all {
		if e.kind == "" {
			if e.data["run"] != name || e.data["verdict"] == "" {
				t.Errorf("a step of %v with verdict %v", e.data["run"], e.data["verdict"])
			}
			rows[e.data["t_s"].(float64)] = e.data
		}
	}
	if len(rows) != len(table)-1 {
		t.Errorf("%d steps, and %d rows in series.csv", len(rows), len(table)-1)
	}
	for _, line := range table[1:] {
		at, _ := strconv.ParseFloat(line[0], 64)
		for j, column := range table[0] {
			got := rows[at][column]
			if want, err := strconv.ParseFloat(line[j], 64); err == nil && got != want || err != nil && column == "phase" && got != line[j] || line[j] == "" && got != nil {
				t.Errorf("at %s s: %s is %v, want %q", line[0], column, got, line[j])
			}
		}
	}
	// A reader that comes back gets what it has not.
	_, body = text(t, s, "/events", map[string]string{"Last-Event-ID": strconv.Itoa(end.id - 1)})
	if again := events(t, body); len(again) != 2 || again[0].id != end.id || again[1].kind != "over" {
		t.Errorf("after event %d come %+v", end.id-1, again)
	}
}

// The history forgets the oldest events, and says so by their numbers.
func TestHistory(t *testing.T) {
	var h history
	for i := range 5 * keptEvents {
		h.add(event{data: []byte(strconv.Itoa(i))})
	}
	for _, n := range []int{-1, 0, 4 * keptEvents, 5*keptEvents - 1, 5 * keptEvents, 9 * keptEvents} {
		all, first := h.since(n)
		if len(all) > 2*keptEvents || first+len(all) != 5*keptEvents || n <= 4*keptEvents && len(all) < keptEvents {
			t.Errorf("since %d: %d events from %d on", n, len(all), first)
		}
		for i, e := range all {
			if string(e.data) != strconv.Itoa(first+i) {
				t.Fatalf("event %d is %s", first+i, e.data)
			}
		}
	}
}

// scrape is what Prometheus gets by protobuf, decoded.
func scrape(t *testing.T, s *Server) map[string]*dto.MetricFamily {
	t.Helper()
	r := get(t, s, "/metrics", map[string]string{"Accept": string(expfmt.NewFormat(expfmt.TypeProtoDelim))})
	defer func() { _ = r.Body.Close() }()
	all := map[string]*dto.MetricFamily{}
	for d := expfmt.NewDecoder(r.Body, expfmt.ResponseFormat(r.Header)); ; {
		f := new(dto.MetricFamily)
		if err := d.Decode(f); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			return all
		}
		all[f.GetName()] = f
	}
}

// series are a family's values by run and the other labels, such as "name good establish".
func series(f *dto.MetricFamily) map[string]float64 {
	all := map[string]float64{}
	for _, m := range f.GetMetric() {
		var labels []string
		for _, l := range m.GetLabel() {
			if l.GetName() != "run" {
				labels = append(labels, l.GetValue())
			}
		}
		all[strings.Join(labels, " ")] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return all
}

// A scrape at the end shows the numbers of the result.
func TestMetrics(t *testing.T) {
	hub, s := serving(t)
	if len(scrape(t, s)) > 0 {
		t.Error("there are metrics before a run has begun")
	}
	dir := filepath.Join(t.TempDir(), "run")
	res := ran(t, hub, dir, 1)
	all := scrape(t, s)
	sum := func(name string) (n float64) {
		for _, x := range series(all["leasestorm_run_"+name]) {
			n += x
		}
		return n
	}
	attempts := series(all["leasestorm_run_attempts_total"])
	shed, served := 0.0, 0.0
	for key, n := range attempts {
		if strings.HasSuffix(key, "shed") {
			shed += n
		} else {
			served += n
		}
	}
	if shed != float64(res.Shed) || sum("shed_attempts_total") != shed || shed == 0 || served == 0 {
		t.Errorf("%g attempts shed, %g by reason; want %d", shed, sum("shed_attempts_total"), res.Shed)
	}
	if left := sum("offered_attempts_total") - shed - served; left != sum("queued_attempts") {
		t.Errorf("%g of %g attempts have not ended, and %g wait", left, sum("offered_attempts_total"), sum("queued_attempts"))
	}
	if leases := series(all["leasestorm_run_leases"]); leases["active"] != float64(res.ActiveEnd) || leases["active"]+leases["lost"] != 2000 {
		t.Errorf("leases are %v, want %d active of 2000", leases, res.ActiveEnd)
	}
	if v := series(all["leasestorm_run_verdict"]); v[string(res.Verdict)] != 1 || sum("verdict") != 1 {
		t.Errorf("the verdict is %v, want %s", v, res.Verdict)
	}
	if wasted, busy := sum("wasted_seconds_total"), sum("busy_seconds_total"); busy <= 0 || fmt.Sprintf("%.9f", wasted/busy) != fmt.Sprintf("%.9f", *res.WastedWork) {
		t.Errorf("%g s of %g s wasted, want a share of %g", wasted, busy, *res.WastedWork)
	}
	for name, want := range map[string]float64{"sojourn": served, "slip": sum("offered_attempts_total")} {
		h := all["leasestorm_run_"+name+"_seconds"].GetMetric()[0].GetHistogram()
		inside, n := int64(h.GetZeroCount()), int64(0)
		for _, d := range h.GetPositiveDelta() {
			n += d
			inside += n
		}
		if float64(h.GetSampleCount()) != want || float64(inside) != want || h.GetSchema() != 3 {
			t.Errorf("%s: %d values, %d of them in the native buckets; want %g", name, h.GetSampleCount(), inside, want)
		}
		if last := h.GetBucket()[len(h.GetBucket())-1]; float64(last.GetCumulativeCount()) != want {
			t.Errorf("%s: %d values in the classic buckets, want %g", name, last.GetCumulativeCount(), want)
		}
	}
}

// Several runs stand side by side; one that is made again takes the place of the former; of those that
// have ended, the latest stay.
func TestRuns(t *testing.T) {
	hub, s := serving(t)
	names := func() []string {
		all := map[string]bool{}
		for _, m := range scrape(t, s)["leasestorm_run_time_seconds"].GetMetric() {
			all[m.GetLabel()[0].GetValue()] = true
		}
		return slices.Sorted(maps.Keys(all))
	}
	see := func(name string) func(bench.Look) { return hub.Live(bench.About{Name: name}) }
	a, b := see("a"), see("a")
	if got := fmt.Sprint(names()); got != "[a a (2)]" {
		t.Errorf("two runs of one name at a time are %s", got)
	}
	a(bench.Look{Over: "recovered"})
	b(bench.Look{Over: "recovered"})
	a = see("a")
	if got := fmt.Sprint(names()); got != "[a a (2)]" {
		t.Errorf("a run that is made again: %s", got)
	}
	a(bench.Look{Over: "recovered"})
	for i := range 20 {
		see(fmt.Sprintf("run %02d", i))(bench.Look{Over: "recovered"})
	}
	if got := names(); len(got) > keptRuns+1 || !slices.Contains(got, "run 19") {
		t.Errorf("after 22 runs the scrape shows %v", got)
	}
	var none *Hub
	if none.Live(bench.About{}) != nil {
		t.Error("no hub watches")
	}
}

// promtool accepts the names, the help and the units.
func TestPromtool(t *testing.T) {
	promtool := need.Tool(t, "promtool", "Debian's prometheus")
	hub, s := serving(t)
	ran(t, hub, "", 1)
	_, body := text(t, s, "/metrics", nil)
	cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	if !strings.Contains(body, "leasestorm_run_sojourn_seconds_bucket{") {
		t.Errorf("the scrape has no sojourn: %.300s", body)
	}
}

// The page loads from its own address alone, and answers to names of this host only.
func TestPage(t *testing.T) {
	_, s := serving(t)
	r := get(t, s, "/", nil)
	defer func() { _ = r.Body.Close() }()
	page, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatal(r.Status, err)
	}
	if p := r.Header.Get("Content-Security-Policy"); !strings.Contains(p, "default-src 'none'") || strings.Contains(p, "unsafe") {
		t.Errorf("the policy is %q", p)
	}
	for _, part := range strings.Split(string(page), `"`) {
		if strings.HasPrefix(part, "/") {
			if status, body := text(t, s, part, nil); status != http.StatusOK || body == "" {
				t.Errorf("%s of the page: status %d, %d bytes", part, status, len(body))
			}
		}
	}
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"localhost:" + port: 200, "127.0.0.1:" + port: 200, "[::1]:" + port: 200, "localhost": 200, "evil.example:" + port: 403, "127.0.0.1.evil.example": 403, "192.168.1.7:" + port: 403,
	} {
		if status, _ := text(t, s, "/metrics", map[string]string{"Host": host}); status != want {
			t.Errorf("as %s: status %d, want %d", host, status, want)
		}
	}
	for path, want := range map[string]int{"/nosuch": 404, "/web/": 404, "/live.html": 404, "/../go.mod": 404} {
		if status, _ := text(t, s, path, nil); status != want {
			t.Errorf("%s: status %d, want %d", path, status, want)
		}
	}
}

// Streams are limited, and end with the server; so the port is free at once.
func TestStreamsEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	hub := NewHub()
	s, err := hub.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open []*http.Response
	for range mostStreams {
		open = append(open, get(t, s, "/events", nil)) // the head of the answer has come: it is counted
	}
	if status, body := text(t, s, "/events", nil); status != http.StatusServiceUnavailable || !strings.Contains(body, "close one") {
		t.Errorf("one stream too many: status %d, %s", status, body)
	}
	cancel()
	s.Close()
	for _, r := range open {
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(body), "event: over") {
			t.Errorf("a stream ends with %q, %v", body, err)
		}
		_ = r.Body.Close()
	}
	again, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	_ = again.Close()
}
