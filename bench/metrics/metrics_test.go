package metrics

import (
	"context"
	"errors"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"pgregory.net/rapid"
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
	r.Times("leasestorm_check_latency_seconds", "Latency of a check.", nil, time.Nanosecond, func() *hdrhistogram.Histogram { return h })
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

// scraped are the families of one scrape in the protobuf format, decoded.
func scraped(t *testing.T, addr string) map[string]*dto.MetricFamily {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", string(expfmt.NewFormat(expfmt.TypeProtoDelim)))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	r, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	format := expfmt.ResponseFormat(r.Header)
	if format.FormatType() != expfmt.TypeProtoDelim {
		t.Fatalf("the answer is %s", format)
	}
	all := map[string]*dto.MetricFamily{}
	for d := expfmt.NewDecoder(r.Body, format); ; {
		f := new(dto.MetricFamily)
		if err := d.Decode(f); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[f.GetName()] = f
	}
}

// nativeBuckets are the counts of a native histogram by index, out of its spans and deltas.
func nativeBuckets(h *dto.Histogram) map[int]int64 {
	all, index, n, next := map[int]int64{}, 0, int64(0), 0
	for _, span := range h.PositiveSpan {
		index += int(span.GetOffset())
		for range span.GetLength() {
			n += h.PositiveDelta[next]
			next++
			all[index] = n
			index++
		}
	}
	return all
}

// A scrape in the protobuf format has the native histogram beside the classic one: each value lies in
// the bucket whose bounds the specification gives, at the resolution of the HdrHistogram.
func TestNative(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		unit := rapid.SampledFrom([]time.Duration{time.Nanosecond, time.Microsecond}).Draw(rt, "unit")
		values := rapid.SliceOfN(rapid.Int64Range(0, int64(time.Hour)), 0, 50).Draw(rt, "ns")
		h := hdrhistogram.New(1, int64(time.Hour), 3)
		for _, v := range values {
			if err := h.RecordValue(v / int64(unit)); err != nil {
				rt.Fatal(err)
			}
		}
		r := New()
		r.Times("leasestorm_check_latency_seconds", "Latency of a check.", Labels{"run": "a"}, unit, func() *hdrhistogram.Histogram { return h })
		families, err := r.all.Gather()
		if err != nil {
			rt.Fatal(err)
		}
		got := families[0].Metric[0].Histogram
		buckets := nativeBuckets(got)
		in := int64(got.GetZeroCount())
		for _, n := range buckets {
			in += n
		}
		if in != int64(len(values)) || got.GetSampleCount() != uint64(len(values)) || got.GetSchema() != Schema {
			rt.Fatalf("%d values in the buckets and %d in all at schema %d, want %d", in, got.GetSampleCount(), got.GetSchema(), len(values))
		}
		slices.Sort(values)
		for index := range buckets {
			upper := math.Exp2(float64(index) / 8)
			upTo := int64(got.GetZeroCount())
			for i, n := range buckets {
				if i <= index {
					upTo += n
				}
			}
			// A value counts at the end of its bucket in the HdrHistogram, 0.1 % or a unit above it.
			least, _ := slices.BinarySearch(values, int64(upper*1e9/1.0011)-int64(unit))
			most, _ := slices.BinarySearch(values, int64(upper*1e9)+1)
			if upTo < int64(least) || upTo > int64(most) {
				rt.Fatalf("%d values up to %g s, want %d to %d", upTo, upper, least, most)
			}
		}
	})
}

// Over HTTP, too, both forms come by protobuf.
func TestScrapeProtobuf(t *testing.T) {
	r, h := New(), hdrhistogram.New(1, int64(time.Hour), 3)
	r.Times("leasestorm_check_latency_seconds", "Latency of a check.", nil, time.Microsecond, func() *hdrhistogram.Histogram { return h })
	s, err := r.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if empty := scraped(t, s.Addr())["leasestorm_check_latency_seconds"].GetMetric()[0].Histogram; empty.Schema == nil || empty.GetSampleCount() != 0 {
		t.Errorf("nothing is %v", empty)
	}
	for _, us := range []int64{1000, 3000, 3000} {
		if err := h.RecordValue(us); err != nil {
			t.Fatal(err)
		}
	}
	got := scraped(t, s.Addr())["leasestorm_check_latency_seconds"].GetMetric()[0].Histogram
	// 1 ms lies in (2^-10, 2^-9.875], 3 ms in (2^-8.5, 2^-8.375].
	if want := map[int]int64{-79: 1, -67: 2}; !maps.Equal(compact(nativeBuckets(got)), want) {
		t.Errorf("the native buckets are %v, want %v", nativeBuckets(got), want)
	}
	if len(got.Bucket) != len(Bounds) || got.GetSampleCount() != 3 || math.Abs(got.GetSampleSum()-0.007) > 1e-4 {
		t.Errorf("%d classic buckets, %d values, sum %g", len(got.Bucket), got.GetSampleCount(), got.GetSampleSum())
	}
}

// compact leaves out what is empty.
func compact(all map[int]int64) map[int]int64 {
	maps.DeleteFunc(all, func(_ int, n int64) bool { return n == 0 })
	return all
}

// The copy keeps the number of values, and their sum to the histogram's three digits.
func TestCopied(t *testing.T) {
	if c := copied(nil, 1); c.n != 0 || c.sum != 0 || len(c.classic) != len(Bounds) {
		t.Errorf("nothing is %+v", c)
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
	c := copied(h, 1)
	if c.n != 1000 || math.Abs(c.sum/want-1) > 0.001 {
		t.Errorf("%d values with sum %g, want 1000 with %g", c.n, c.sum, want)
	}
	last := uint64(0)
	for _, b := range Bounds {
		n := c.classic[seconds(b)]
		if n < last {
			t.Errorf("%d at or below %v, and %d below that", n, time.Duration(b), last)
		}
		last = n
	}
	if got := c.classic[1]; got != 100 {
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
		{"leasestorm_dns_latency_ms", func(n string) { r.Times(n, "", nil, 1, nil) }},
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
