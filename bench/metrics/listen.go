package metrics

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
)

// Server serves HTTP.
type Server struct {
	port net.Listener
	http *http.Server
	done chan struct{} // closed when the port is closed
	once sync.Once
}

// grace is how long a scrape that has begun may go on when the server ends.
const grace = 200 * time.Millisecond

// Listen serves the registry at /metrics of an address, as [Serve] does.
func (r *Registry) Listen(ctx context.Context, addr string) (*Server, error) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", Handler(func() []*Registry { return []*Registry{r} }))
	s, err := Serve(ctx, addr, mux)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return s, nil
}

// Handler answers scrapes with the metrics of all these registries. all is called at each scrape.
// A scraper that asks for OpenMetrics gets that. Nothing is compressed, since that takes processors from what is measured.
func Handler(all func() []*Registry) http.Handler {
	gather := func() ([]*dto.MetricFamily, error) {
		var each prometheus.Gatherers
		for _, r := range all() {
			each = append(each, r.all)
		}
		return each.Gather()
	}
	return promhttp.HandlerFor(prometheus.GathererFunc(gather), promhttp.HandlerOpts{DisableCompression: true, EnableOpenMetrics: true})
}

// Serve serves HTTP at an address HOST:PORT, until ctx ends or Close is called. An address without
// a host means the loopback interface; only an address that names another interface is reached from
// outside. Port 0 is a free one, which Addr tells.
func Serve(ctx context.Context, addr string, handler http.Handler) (*Server, error) {
	addr, err := Loopback(addr)
	if err != nil {
		return nil, err
	}
	port, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, Taken(addr, err)
	}
	s := &Server{port: port, done: make(chan struct{})}
	s.http = &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(port) // ends with ErrServerClosed, as its port is ours alone
	}()
	context.AfterFunc(ctx, s.Close)
	return s, nil
}

// Addr is the address at which the server listens.
func (s *Server) Addr() string { return s.port.Addr().String() }

// Close ends the server. After it the port is closed and no connection is open. It may be called
// more than once.
func (s *Server) Close() {
	s.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), grace)
		defer cancel()
		if s.http.Shutdown(ctx) != nil {
			_ = s.http.Close()
		}
	})
	<-s.done
}

// Loopback checks an address HOST:PORT, and puts 127.0.0.1 where the host is missing. The other
// servers of this module take their addresses by it, too.
func Loopback(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil {
		return "", fmt.Errorf("address %q: want HOST:PORT, for example 127.0.0.1:0 for a free port", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}

// Taken says what to do about an address at which nobody can listen.
func Taken(addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("address %s is in use: end what listens there, or choose port 0 for a free one", addr)
	}
	return err
}
