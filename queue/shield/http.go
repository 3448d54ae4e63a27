package shield

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// HTTP says what a [Handler] takes from a request. The zero value is ready to use.
type HTTP struct {
	// Timeout returns how long the client waits, from now; 0: it does not say; less: it waits no more. nil:
	// nobody says. See [MillisHeader] and [GRPCTimeout].
	Timeout func(*http.Request) time.Duration
	// Class and Zone say what the request is and of which group its client is; nil: all are establishes, of
	// one group. Some controllers let every Check in.
	Class func(*http.Request) queue.Class
	Zone  func(*http.Request) uint8
	// Key, if set, coalesces the requests that wait with one key; "": the request has none.
	Key func(*http.Request) string
	// Status is that of a refusal; 0: 503, which says "we cannot". 429 says "you ask too often".
	Status int
}

// Handler lets requests into a handler through a gate. A refused request is answered before its body is
// read, with Retry-After in whole seconds, rounded up. The handler's context ends at the client's deadline,
// if Timeout tells it. A panic of the handler gives its place back.
func Handler(next http.Handler, g *Gate, o HTTP) http.Handler {
	if o.Status == 0 {
		o.Status = http.StatusServiceUnavailable
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ask := Request{Class: queue.Establish}
		if o.Timeout != nil {
			if d := o.Timeout(r); d != 0 {
				ask.Deadline = time.Now().Add(d)
			}
		}
		if o.Class != nil {
			ask.Class = o.Class(r)
		}
		if o.Zone != nil {
			ask.Zone = o.Zone(r)
		}
		if o.Key != nil {
			ask.Key = o.Key(r)
		}
		t, err := g.Enter(r.Context(), ask)
		if err != nil {
			refuse(w, o.Status, err)
			return
		}
		out := queue.Failed // if it panics
		defer func() { t.Done(out) }()
		if !ask.Deadline.IsZero() {
			ctx, cancel := context.WithDeadline(r.Context(), ask.Deadline)
			defer cancel()
			r = r.WithContext(ctx)
		}
		next.ServeHTTP(w, r)
		if out = queue.Good; r.Context().Err() != nil {
			out = queue.Late
		}
	})
}

// refuse answers a request that was not let in. Who has left hears it as little as anything else.
func refuse(w http.ResponseWriter, status int, err error) {
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		http.Error(w, "not let in", status)
		return
	}
	if r.After > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(r.After.Seconds())), 10))
	}
	http.Error(w, r.Reason.String(), status)
}

// MillisHeader returns a Timeout that reads a header of whole milliseconds, such as X-Request-Timeout, or
// Envoy's x-envoy-expected-rq-timeout-ms.
func MillisHeader(name string) func(*http.Request) time.Duration {
	return func(r *http.Request) time.Duration {
		ms, err := strconv.ParseInt(r.Header.Get(name), 10, 64)
		if err == nil && ms <= 0 {
			return -1
		}
		if err != nil || ms > math.MaxInt64/int64(time.Millisecond) {
			return 0
		}
		return time.Duration(ms) * time.Millisecond
	}
}

// GRPCTimeout reads the header grpc-timeout: up to eight digits and a unit, H, M, S, m, u or n (gRPC over
// HTTP/2, section Requests).
func GRPCTimeout(r *http.Request) time.Duration {
	text := r.Header.Get("Grpc-Timeout")
	if len(text) < 2 || len(text) > 9 {
		return 0
	}
	unit := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': 1}[text[len(text)-1]]
	n, err := strconv.ParseUint(text[:len(text)-1], 10, 32)
	if err != nil || unit == 0 || time.Duration(n) > math.MaxInt64/unit {
		return 0
	}
	if n == 0 {
		return -1
	}
	return time.Duration(n) * unit
}

// WriteMetrics writes the counts in Prometheus' text format. prefix begins each name.
func (g *Gate) WriteMetrics(w io.Writer, prefix string) error {
	s := g.Stats()
	var b strings.Builder
	metric := func(name, kind, help string, value any) {
		fmt.Fprintf(&b, "# HELP %[1]s_%[2]s %[4]s\n# TYPE %[1]s_%[2]s %[3]s\n%[1]s_%[2]s %[5]v\n", prefix, name, kind, help, value)
	}
	metric("requests_total", "counter", "Requests that came.", s.Entered)
	metric("ran_total", "counter", "Requests that were let in.", s.Ran)
	metric("waiting", "gauge", "Requests that wait.", s.Waiting)
	metric("running", "gauge", "Requests that run.", s.Running)
	metric("completions_per_second", "gauge", "Completions per second while something waited.", s.PerS)
	metric("run_seconds", "gauge", "Mean time that a request runs, in seconds.", s.MeanS)
	fmt.Fprintf(&b, "# HELP %[1]s_refused_total Requests that were not let in, by reason.\n# TYPE %[1]s_refused_total counter\n", prefix)
	for why, n := range s.Refused {
		if queue.Reason(why) != queue.NotShed {
			fmt.Fprintf(&b, "%s_refused_total{reason=%q} %d\n", prefix, queue.Reason(why), n)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
