package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// http2 is a connection of HTTP/2, by net/http.
type http2 struct {
	h    *HTTP
	conn *http.ClientConn
}

// newHTTP2 speaks HTTP/2 on a connection.
func newHTTP2(ctx context.Context, h *HTTP, conn net.Conn) (*http2, error) {
	if secure, ok := conn.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, &KindError{Nonsense, errors.New("the server speaks no HTTP/2: want connections.protocol http/1.1")}
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	// TLS is done: to the transport the connection is a plain one.
	t := &http.Transport{
		Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: mostHeaders,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}
	c, err := t.NewClientConn(ctx, "http", h.url.Host)
	if err != nil {
		_ = conn.Close()
		return nil, &KindError{streamKind(err), err}
	}
	return &http2{h, c}, nil
}

// Close implements Conn.
func (c *http2) Close() { _ = c.conn.Close() }

// Call implements Conn. At the deadline the stream is reset.
func (c *http2) Call(deadline time.Time, now func() time.Duration, r *Reply) bool {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	r.Sent = now()
	res, err := c.conn.RoundTrip(c.request(ctx, &r.Attempt, wallDeadline(&r.Attempt, now)))
	if err != nil {
		return c.lost(r, err)
	}
	defer func() { _ = res.Body.Close() }()
	n, err := io.Copy(io.Discard, io.LimitReader(res.Body, c.h.s.Answers.Most+1))
	switch {
	case err != nil:
		return c.lost(r, err)
	case n > c.h.s.Answers.Most:
		r.failed(TooBig)
	default:
		c.h.answered(r, res.StatusCode, res.Header.Get)
	}
	return c.conn.Err() == nil
}

// lost fills in a reply whose call ended by an error.
func (c *http2) lost(r *Reply, err error) bool {
	r.failed(streamKind(err))
	return c.conn.Err() == nil
}

// request makes the request of an attempt. A body cannot be sent again, so that the transport makes no
// second attempt of its own.
func (c *http2) request(ctx context.Context, a *Attempt, deadline time.Time) *http.Request {
	t := &c.h.requests[a.Class]
	u := *c.h.url
	if u.Scheme == "https" {
		u.Scheme = "http" // see newHTTP2
	}
	if u.Opaque = string(t.path.append([]byte(c.h.base), a, deadline)); u.Opaque == "" { // as it is, escapes and query included
		u.Opaque = "/"
	}
	req := &http.Request{Method: t.method, URL: &u, Host: c.h.url.Host, Header: http.Header{}, Proto: "HTTP/2.0", ProtoMajor: 2}
	for i, name := range t.names {
		req.Header.Set(name, string(t.headers[i].append(nil, a, deadline)))
	}
	if t.hasBody {
		body := t.body.append(nil, a, deadline)
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return req.WithContext(ctx)
}

// streamKind is the kind of an error of HTTP/2. net/http has no types for its errors of the protocol.
func streamKind(err error) Kind {
	text := err.Error()
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	case strings.Contains(text, "ENHANCE_YOUR_CALM"):
		return TooManyResets
	case strings.Contains(text, "GOAWAY"), strings.Contains(text, "REFUSED_STREAM"), strings.Contains(text, "graceful shutdown"):
		return GoAway
	case strings.Contains(text, "malformed"), strings.Contains(text, "PROTOCOL_ERROR"), strings.Contains(text, "FRAME_SIZE_ERROR"), strings.Contains(text, "unexpected"):
		return Nonsense
	}
	return ioKind(err)
}
