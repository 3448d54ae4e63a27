package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// http2 is a connection of HTTP/2, by net/http.
type http2 struct {
	h    *HTTP
	conn *http.ClientConn
}

// newHTTP2 speaks HTTP/2 on a connection.
func newHTTP2(ctx context.Context, h *HTTP, conn net.Conn) (Conn, error) {
	if secure, ok := conn.(*tls.Conn); ok && secure.ConnectionState().NegotiatedProtocol != "h2" {
		_ = conn.Close()
		return nil, &KindError{Nonsense, errors.New("the server speaks no HTTP/2: want connections.protocol http/1.1")}
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	// TLS is done: to the transport the connection is a plain one.
	first := &firstFrame{Conn: conn, read: make(chan struct{})}
	t := &http.Transport{
		Protocols: protocols, DisableCompression: true, MaxResponseHeaderBytes: mostHeaders,
		DialContext: func(context.Context, string, string) (net.Conn, error) { return first, nil },
	}
	c, err := t.NewClientConn(ctx, "http", h.url.Host)
	if err != nil {
		_ = conn.Close()
		return nil, &KindError{streamKind(err), err}
	}
	select {
	case <-first.read: // before it the transport does not know how many streams the server allows, and has some refused
	case <-ctx.Done():
		_ = c.Close()
		return nil, &KindError{DialTimeout, ctx.Err()}
	}
	if err := c.Err(); err != nil {
		_ = c.Close()
		return nil, first.broken(err)
	}
	return &http2{h, c}, nil
}

// firstFrame is a connection that tells when the transport has read and carried out the server's first frame, its
// settings: when it reads again after that. Only one goroutine reads.
type firstFrame struct {
	net.Conn
	size int   // bytes of the frame's length that have been read
	long int   // the frame's length, as far as it is known
	n    int   // bytes that have been read
	err  error // of a read
	done bool
	tell sync.Once
	read chan struct{} // closed when the settings have been carried out, or never will be
}

const (
	frameHead  = 9 // bytes, of which the first three are the length
	lengthSize = 3
)

func (f *firstFrame) Read(b []byte) (int, error) {
	if f.done {
		return f.Conn.Read(b)
	}
	if f.size == lengthSize && f.n >= frameHead+f.long {
		f.done = true
		f.over(nil)
		return f.Conn.Read(b)
	}
	n, err := f.Conn.Read(b)
	for _, c := range b[:min(n, lengthSize-f.size)] {
		f.long = f.long<<8 | int(c)
		f.size++
	}
	if f.n += n; err != nil {
		f.done = true
		f.over(err)
	}
	return n, err
}

// Close ends the wait, too: the transport closes what it does not understand.
func (f *firstFrame) Close() error {
	defer f.over(nil)
	return f.Conn.Close()
}

// broken is the error of a connection that the transport has given up before the first call.
func (f *firstFrame) broken(err error) error {
	if f.err != nil { // the peer broke it
		return &KindError{ioKind(f.err), f.err}
	}
	kind := streamKind(err)
	if kind == OtherError {
		kind = Nonsense
	}
	return &KindError{kind, fmt.Errorf("the server speaks no HTTP/2: %w", err)}
}

func (f *firstFrame) over(err error) {
	f.tell.Do(func() {
		f.err = err
		close(f.read)
	})
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
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	switch io := ioKind(err); {
	case has("ENHANCE_YOUR_CALM"):
		return TooManyResets
	case has("GOAWAY", "REFUSED_STREAM", "graceful shutdown"):
		return GoAway
	case io != OtherError:
		return io
	case has("received from peer"): // a reset of the stream
		return Reset
	case has("larger than advertised limit"):
		return TooBig
	case has("malformed", "PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "COMPRESSION_ERROR", "FLOW_CONTROL_ERROR", "frame too large", "unexpected"):
		return Nonsense
	}
	return OtherError
}
