package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// compiled is a request's template for one class.
type compiled struct {
	method  string
	path    template // behind the URL's
	names   []string // of headers
	headers []template
	body    template
	hasBody bool
}

// HTTP is the Protocol of http and https. Requests are made from the settings' templates.
type HTTP struct {
	s        Settings
	url      *url.URL
	base     string // the URL's path
	rules    *Rules
	requests [queue.Classes]compiled
	dialer   *Dialer
}

// OpenHTTP opens the protocol of http and https. Errors wrap ErrSettings.
func OpenHTTP(s Settings) (*HTTP, error) {
	if err := s.Validate(); err != nil {
		return nil, err
	}
	h := &HTTP{s: s}
	h.url, _ = s.url()     // valid
	h.rules, _ = s.Rules() // valid
	h.base = strings.TrimSuffix(h.url.EscapedPath(), "/")
	for class := range queue.Classes {
		r := s.Of(class)
		c := compiled{method: r.Method, hasBody: r.Body != ""}
		c.path, _ = parseTemplate(r.Path) // valid
		c.body, _ = parseTemplate(r.Body) // valid
		for name, text := range r.Headers {
			c.names = append(c.names, name)
			t, _ := parseTemplate(text) // valid
			c.headers = append(c.headers, t)
		}
		h.requests[class] = c
	}
	var err error
	h.dialer, err = NewDialer(&s, h.url.Scheme == "https", map[string]string{"http/1.1": "http/1.1", "h2": "h2"}[s.Connections.Protocol])
	return h, err
}

// Streams implements Protocol.
func (h *HTTP) Streams() int {
	if h.s.Connections.Protocol == "http/1.1" {
		return 1
	}
	return h.s.Connections.Streams
}

// Connect implements Protocol.
func (h *HTTP) Connect(ctx context.Context) (Conn, error) {
	conn, err := h.dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	if h.s.Connections.Protocol == "http/1.1" {
		return newHTTP1(h, conn), nil
	}
	return newHTTP2(ctx, h, conn)
}

// Dialer opens the TCP and TLS connections of a protocol.
type Dialer struct {
	addresses []string // host:port, resolved once
	from      []net.Addr
	turn      atomic.Uint64
	good      atomic.Int64 // the address that answered last
	abort     bool
	tls       *tls.Config // nil: none
}

// NewDialer resolves the service's host, once. alpn is the protocol that TLS is to negotiate; "": none.
func NewDialer(s *Settings, secure bool, alpn string) (*Dialer, error) {
	u, err := s.url()
	if err != nil {
		return nil, err
	}
	d := &Dialer{abort: s.Connections.Abort}
	switch {
	case s.Via != "":
		d.addresses = []string{s.Via}
	default:
		ips, err := net.LookupHost(u.Hostname())
		if err != nil {
			return nil, bad("url", "%v", err)
		}
		if err := allowed(u.Hostname(), ips, s.MayLoad); err != nil { // these very addresses
			return nil, err
		}
		for _, ip := range ips {
			d.addresses = append(d.addresses, net.JoinHostPort(ip, portOf(u)))
		}
	}
	for text := range strings.SplitSeq(s.Connections.From, ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		ip := net.ParseIP(text)
		if ip == nil {
			return nil, bad("connections.from", "%q is no IP address", text)
		}
		d.from = append(d.from, &net.TCPAddr{IP: ip})
	}
	if !secure {
		return d, nil
	}
	d.tls = &tls.Config{ServerName: u.Hostname(), InsecureSkipVerify: s.Connections.Insecure, MinVersion: tls.VersionTLS12} //nolint:gosec // the user asks for it
	if alpn != "" {
		d.tls.NextProtos = []string{alpn}
	}
	if s.Connections.CA != "" {
		pem, err := os.ReadFile(s.Connections.CA)
		if err != nil {
			return nil, bad("connections.ca", "%v", err)
		}
		d.tls.RootCAs = x509.NewCertPool()
		if !d.tls.RootCAs.AppendCertsFromPEM(pem) {
			return nil, bad("connections.ca", "%s has no certificate in PEM", s.Connections.CA)
		}
	}
	return d, nil
}

// Dial opens a connection. Its error is a KindError.
func (d *Dialer) Dial(ctx context.Context) (net.Conn, error) {
	turn := d.turn.Inc()
	var dialer net.Dialer
	if n := uint64(len(d.from)); n > 0 {
		dialer.LocalAddr = d.from[turn%n]
	}
	var conn net.Conn
	var err error
	for range d.addresses { // of a name with several, a service may listen on one
		at := d.good.Load()
		if conn, err = dialer.DialContext(ctx, "tcp", d.addresses[at]); err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		d.good.CompareAndSwap(at, (at+1)%int64(len(d.addresses)))
	}
	if err != nil {
		return nil, &KindError{dialKind(err), err}
	}
	if tcp, ok := conn.(*net.TCPConn); ok && d.abort {
		_ = tcp.SetLinger(0)
	}
	if d.tls == nil {
		return conn, nil
	}
	secure := tls.Client(conn, d.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		if kind := dialKind(err); kind == DialTimeout {
			return nil, &KindError{kind, err}
		}
		return nil, &KindError{TLS, err}
	}
	return secure, nil
}

// dialKind is the kind of an error of opening a connection.
func dialKind(err error) Kind {
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return NoPorts
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return NoFiles
	case errors.Is(err, syscall.ECONNREFUSED):
		return Refused
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.ETIMEDOUT):
		return DialTimeout
	case errors.Is(err, syscall.ECONNRESET):
		return Reset
	}
	return OtherError
}

// BrokenKind is the kind of an error of reading from or writing to a connection.
func BrokenKind(err error) Kind { return ioKind(err) }

// ioKind is the kind of an error of reading or writing.
func ioKind(err error) Kind {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return Closed
	}
	return OtherError
}

// failed fills in a reply whose call ended by an error.
func (r *Reply) failed(kind Kind) {
	if r.Kind = kind; kind == TimedOut {
		r.Outcome = queue.Late
		return
	}
	r.Outcome = queue.Failed
}

// redirects are the statuses that send the client elsewhere.
var redirects = []int{301, 302, 303, 307, 308}

// answered fills in a reply from an answer.
func (h *HTTP) answered(r *Reply, status int, header func(name string) string) {
	r.Kind, r.Status, r.Outcome = Answered, status, h.rules.HTTP(status, header)
	switch {
	case r.Outcome == queue.Failed && slices.Contains(redirects, status):
		r.Kind = Redirect
	case r.Outcome != queue.Good:
		if text := header("Retry-After"); text != "" {
			r.After, r.BadAfter = retryAfter(text, header("Date"))
		}
	}
}

// retryAfter reads a Retry-After (RFC 9110, section 10.2.3): whole seconds or a date, which counts from the
// answer's own date. What is neither counts as none.
func retryAfter(text, date string) (after time.Duration, wrong bool) {
	if len(text) <= 10 && strings.Trim(text, "0123456789") == "" {
		s, err := strconv.ParseInt(text, 10, 64)
		return time.Duration(min(s, 1<<32)) * time.Second, err != nil
	}
	at, err := parseHTTPTime(text)
	if err != nil {
		return 0, true
	}
	from, err := parseHTTPTime(date)
	if err != nil {
		from = time.Now()
	}
	return max(0, at.Sub(from)), false
}
