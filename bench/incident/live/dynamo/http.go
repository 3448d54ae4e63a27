package dynamo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/metrics"
)

// operations are the calls that the store answers, by their names after "DynamoDB_20120810.".
var operations = map[string]func(*Store, *request) (any, error){
	"CreateTable": (*Store).createTable, "DescribeTable": (*Store).describeTable, "GetItem": (*Store).getItem,
	"PutItem": (*Store).putItem, "Query": (*Store).query, "UpdateItem": (*Store).updateItem,
}

// mostBody is the largest body of a request: an item and its expressions.
const mostBody = 1 << 20

// call answers one request.
func (s *Store) call(r *http.Request) (any, error) {
	s.counts.calls.Inc()
	name, ours := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "DynamoDB_20120810.")
	do := operations[name]
	switch {
	case r.Method != http.MethodPost || !ours || do == nil:
		return nil, fault("UnknownOperationException", "%s", "")
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 "):
		return nil, fault("MissingAuthenticationTokenException", "Request must contain either a valid (registered) AWS access key ID or X.509 certificate.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody+1))
	switch {
	case err != nil:
		return nil, serialization(err)
	case len(body) > mostBody:
		return nil, fault("SerializationException", "the body has more than %d bytes", mostBody)
	}
	req, err := read(body)
	if err != nil {
		return nil, err
	}
	req.common()
	return do(s, req)
}

// ServeHTTP implements http.Handler.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, err := s.call(r)
	status := http.StatusOK
	if err != nil {
		f, ok := errors.AsType[*Fault](err)
		if !ok {
			f = &Fault{Code: "InternalServerError", Message: err.Error(), Status: http.StatusInternalServerError}
		}
		if f.Code == errCondition.Code {
			s.counts.conditions.Inc()
		} else {
			s.counts.faults.Inc()
		}
		body := map[string]any{"__type": f.family() + f.Code, "message": f.Message}
		if f.Item != nil {
			body["Item"] = f.Item
		}
		answer, status = body, f.Status
	}
	data, err := json.Marshal(answer)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.0")
	h.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(data)), 10))
	h.Set("X-Amzn-Requestid", "local")
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that has gone gets no answer
}

// Metrics adds the store's metrics to a registry.
func (s *Store) Metrics(r *metrics.Registry) {
	for _, c := range []struct {
		name, help string
		n          *atomic.Int64
	}{
		{"calls", "Calls of the store.", &s.counts.calls},
		{"conditions_failed", "Calls whose condition did not hold.", &s.counts.conditions},
		{"faults", "Calls that ended in another error.", &s.counts.faults},
	} {
		r.Counter("leasestorm_dynamodb_"+c.name+"_total", c.help, nil, func() float64 { return float64(c.n.Load()) })
	}
}

// Server serves a store.
type Server struct {
	http  *http.Server
	ports []net.Listener
	ended sync.WaitGroup
	once  sync.Once
}

// Listen serves a store at one port of several addresses, which stand for load balancers. It ends
// when ctx ends, or by Close. Port 0 is a free one, which Port tells.
func Listen(ctx context.Context, s *Store, port int, hosts ...string) (*Server, error) {
	server := &Server{http: &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}}
	for _, host := range hosts {
		addr := net.JoinHostPort(host, strconv.Itoa(port))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			for _, l := range server.ports {
				_ = l.Close()
			}
			return nil, fmt.Errorf("dynamodb: %w", metrics.Taken(addr, err))
		}
		server.ports = append(server.ports, l)
		port = l.Addr().(*net.TCPAddr).Port
	}
	for _, l := range server.ports {
		server.ended.Add(1)
		go func() {
			defer server.ended.Done()
			_ = server.http.Serve(l) // ends with ErrServerClosed, as its port is ours alone
		}()
	}
	context.AfterFunc(ctx, server.Close)
	return server, nil
}

// Port is the port at which the server listens.
func (s *Server) Port() int { return s.ports[0].Addr().(*net.TCPAddr).Port }

// Close ends the server. After it its ports and its connections are closed.
func (s *Server) Close() {
	s.once.Do(func() { _ = s.http.Close() })
	s.ended.Wait()
}
