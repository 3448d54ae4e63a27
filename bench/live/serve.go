package live

import (
	"context"
	"embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/metrics"
	"github.com/leasestorm/leasestorm/bench/report"
)

//go:embed web
var web embed.FS

// policy is the content-security policy of the page: it loads from its own address only, and runs no
// script that stands in it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// mostStreams is the largest number of open streams. Each costs the host of the run some work.
const mostStreams = 16

// Listen serves the hub at an address HOST:PORT until ctx ends or Close is called: the page at /, the
// events at /events, metrics for Prometheus at /metrics. An address without a host means the
// loopback interface. Port 0 is a free one.
func (h *Hub) Listen(ctx context.Context, addr string) (*Server, error) {
	s, err := metrics.Serve(ctx, addr, h.handler())
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, h.Close)
	return &Server{s, h}, nil
}

// Server serves a hub.
type Server struct {
	*metrics.Server
	hub *Hub
}

// Close ends the streams and closes the port.
func (s *Server) Close() {
	s.hub.Close()
	s.Server.Close()
}

func (h *Hub) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics.Handler(h.registries))
	mux.HandleFunc("GET /events", h.stream)
	own := func(name string) func() string {
		text, err := web.ReadFile("web/" + name)
		if err != nil {
			panic(err)
		}
		return func() string { return string(text) }
	}
	for path, file := range map[string]struct {
		kind string
		text func() string
	}{
		"/{$}":         {"text/html", own("live.html")},
		"/live.js":     {"text/javascript", own("live.js")},
		"/live.css":    {"text/css", own("live.css")},
		"/charts.js":   {"text/javascript", func() string { return report.Asset("charts.js") }},
		"/style.css":   {"text/css", func() string { return report.Asset("style.css") }},
		"/uPlot.js":    {"text/javascript", func() string { return report.Asset("uPlot.iife.min.js") }},
		"/uPlot.css":   {"text/css", func() string { return report.Asset("uPlot.min.css") }},
		"/favicon.ico": {"image/x-icon", func() string { return "" }},
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", file.kind+"; charset=utf-8")
			_, _ = io.WriteString(w, file.text())
		})
	}
	return guarded(mux)
}

// guarded sets the headers of every answer, and turns away requests that name another host than the
// one they reach on the loopback interface: a page of the web whose name was pointed at this host.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cache-Control", "no-store")
		if at, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && at.IP.IsLoopback() && !loopback(r.Host) {
			http.Error(w, fmt.Sprintf("this server answers on the loopback interface, and not as %q: use http://%s/", r.Host, at), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether a Host header names this host itself.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// quiet is how long a stream without events waits before it says that it is still there.
const quiet = 10 * time.Second

// stream sends the events as they come, beginning with those that are kept. A reader that comes
// back names the last event that it has.
func (h *Hub) stream(w http.ResponseWriter, r *http.Request) {
	if !h.enter() {
		w.Header().Set("Retry-After", "10")
		http.Error(w, fmt.Sprintf("%d streams are open, which is the limit: close one", mostStreams), http.StatusServiceUnavailable)
		return
	}
	defer h.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	next := 0
	if last, err := strconv.Atoi(r.Header.Get("Last-Event-ID")); err == nil {
		next = last + 1
	}
	out := http.NewResponseController(w)
	tick := time.NewTicker(period)
	defer tick.Stop()
	text := "retry: 1000\n\n"
	for said := time.Now(); ; {
		over := h.isOver()
		events, first, all := h.since(next)
		text += frames(events, first)
		switch {
		case over && all:
			text += "event: over\ndata: {}\n\n"
		case text == "" && time.Since(said) > quiet:
			text = ": still here\n\n"
		}
		if text != "" {
			_ = out.SetWriteDeadline(time.Now().Add(quiet)) // a reader that does not read is let go
			if _, err := io.WriteString(w, text); err != nil || out.Flush() != nil {
				return
			}
			text, said = "", time.Now()
		}
		next = first + len(events)
		if !all {
			continue
		}
		if over {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.over:
		case <-tick.C:
		}
	}
}

// mostAtOnce is the largest number of events of one write.
const mostAtOnce = 2000

// since returns events from number n on, and whether these are all.
func (h *Hub) since(n int) (events []event, first int, all bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	events, first = h.history.since(n)
	return events[:min(len(events), mostAtOnce)], first, len(events) <= mostAtOnce
}

// frames are events in the format of the stream. The data have no line break: they are JSON.
func frames(events []event, first int) string {
	var b strings.Builder
	for i, e := range events {
		fmt.Fprintf(&b, "id: %d\n", first+i)
		if e.kind != "" {
			fmt.Fprintf(&b, "event: %s\n", e.kind)
		}
		fmt.Fprintf(&b, "data: %s\n\n", e.data)
	}
	return b.String()
}

func (h *Hub) isOver() bool {
	select {
	case <-h.over:
		return true
	default:
		return false
	}
}

func (h *Hub) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams == mostStreams {
		return false
	}
	h.streams++
	return true
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.streams--
}
