package metrics

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// get is one scrape.
func get(t *testing.T, addr string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %v", r.StatusCode, err)
	}
	return string(text)
}

// A scrape shows what the run's numbers are at that time.
func TestListen(t *testing.T) {
	r := New()
	queries, h := 3.0, hdrhistogram.New(1, int64(time.Hour), 3)
	r.Counter("leasestorm_dns_queries_total", "Queries.", Labels{"server": "a"}, func() float64 { return queries })
	r.Gauge("leasestorm_dns_records", "Records.", nil, func() float64 { return 7 })
	r.Times("leasestorm_check_latency_seconds", "Latency of a check.", nil, func() *hdrhistogram.Histogram { return h })
	s, err := r.Listen(t.Context(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.Addr(), "127.0.0.1:") {
		t.Errorf("an address without a host listens at %s", s.Addr())
	}
	queries = 5
	for _, d := range []time.Duration{time.Millisecond, 3 * time.Millisecond, 3 * time.Millisecond, time.Hour} {
		if err := h.RecordValue(int64(d)); err != nil {
			t.Fatal(err)
		}
	}
	text := get(t, s.Addr())
	for _, want := range []string{
		"# TYPE leasestorm_dns_queries_total counter", `leasestorm_dns_queries_total{server="a"} 5`, "leasestorm_dns_records 7",
		"# TYPE leasestorm_check_latency_seconds histogram", `leasestorm_check_latency_seconds_bucket{le="0.0005"} 0`,
		`leasestorm_check_latency_seconds_bucket{le="0.002"} 1`, `leasestorm_check_latency_seconds_bucket{le="0.005"} 3`,
		`leasestorm_check_latency_seconds_bucket{le="+Inf"} 4`, "leasestorm_check_latency_seconds_count 4",
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the scrape lacks %q:\n%s", want, text)
		}
	}
}

// The copy keeps the number of values, and their sum to the histogram's three digits.
func TestCopied(t *testing.T) {
	if count, sum, buckets := copied(nil); count != 0 || sum != 0 || len(buckets) != len(Bounds) {
		t.Errorf("nothing is %d values with sum %g in %d buckets", count, sum, len(buckets))
	}
	h := hdrhistogram.New(1, int64(time.Hour), 3)
	want := 0.0
	for i := range 1000 {
		d := time.Duration(i*i*i) * time.Microsecond
		want += d.Seconds()
		if err := h.RecordValue(int64(d)); err != nil {
			t.Fatal(err)
		}
	}
	count, sum, buckets := copied(h)
	if count != 1000 || math.Abs(sum/want-1) > 0.001 {
		t.Errorf("%d values with sum %g, want 1000 with %g", count, sum, want)
	}
	last := uint64(0)
	for _, b := range Bounds {
		n := buckets[seconds(b)]
		if n < last {
			t.Errorf("%d at or below %v, and %d below that", n, time.Duration(b), last)
		}
		last = n
	}
	if got := buckets[1]; got != 100 {
		t.Errorf("%d of the values are at or below 1 s, want 100", got)
	}
}

// The port is closed after Close, and when the context ends.
func TestClosed(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := New().Listen(ctx, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	get(t, s.Addr())
	_, err = New().Listen(ctx, s.Addr())
	if err == nil || !strings.Contains(err.Error(), s.Addr()+" is in use") || !strings.Contains(err.Error(), "port 0") {
		t.Errorf("a taken port: %v", err)
	}
	cancel()
	s.Close()
	s.Close()
	again, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatalf("the port is not free after Close: %v", err)
	}
	_ = again.Close()
}

// A name outside the convention, and the same metric twice, are refused.
func TestNames(t *testing.T) {
	r, zero := New(), func() float64 { return 0 }
	r.Gauge("leasestorm_dns_records", "Records.", nil, zero)
	for _, c := range []struct {
		name string
		add  func(name string)
	}{
		{"leasestorm_dns_queries", func(n string) { r.Counter(n, "", nil, zero) }},
		{"dns_queries_total", func(n string) { r.Counter(n, "", nil, zero) }},
		{"leasestorm_dns_Queries_total", func(n string) { r.Counter(n, "", nil, zero) }},
		{"leasestorm_dns_records_total", func(n string) { r.Gauge(n, "", nil, zero) }},
		{"leasestorm_records", func(n string) { r.Gauge(n, "", nil, zero) }},
		{"leasestorm_dns_latency_ms", func(n string) { r.Times(n, "", nil, nil) }},
		{"leasestorm_dns_records", func(n string) { r.Gauge(n, "", nil, zero) }},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s is taken", c.name)
				}
			}()
			c.add(c.name)
		}()
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]string{":9100": "127.0.0.1:9100", "0.0.0.0:0": "0.0.0.0:0", "[::1]:5": "[::1]:5", "localhost:1": "localhost:1"} {
		if got, err := Loopback(addr); err != nil || got != want {
			t.Errorf("%s is %s, want %s: %v", addr, got, want, err)
		}
	}
	for _, addr := range []string{"", "9100", "127.0.0.1", "127.0.0.1:"} {
		if got, err := Loopback(addr); err == nil || !strings.Contains(err.Error(), "127.0.0.1:0") {
			t.Errorf("%q is %q: %v", addr, got, err)
		}
	}
}
