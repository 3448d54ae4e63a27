package shield

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/leasestorm/leasestorm/queue/admit"
)

// Client is an http.RoundTripper with a retry policy of this module's table. It tries again after a
// refusal (429, 503), if the request can be sent again: it has no body, or a GetBody. After an error or a
// try's timeout it tries again only what may be carried out twice: an idempotent method, or a request with
// the header Idempotency-Key. It waits as the policy says, and as Retry-After says. When the tries end, the caller gets
// the last answer, or the last error. A Client is safe for concurrent use.
type Client struct {
	cfg  ClientConfig
	wait *Retrier
}

// ClientConfig says what a [Client] does.
type ClientConfig struct {
	// Base makes the tries; nil: http.DefaultTransport.
	Base http.RoundTripper
	// Retry is the policy, as admit.MakeRetry takes it, for example "retry-budget" or "backoff"; "":
	// "backoff". A policy that gives up ends the tries.
	Retry string
	// Timeout is how long one try may take; more than 0.
	Timeout time.Duration
	// Tries is the most tries of one request; 0: 3.
	Tries int
	// MostAfter bounds what Retry-After may ask for: a longer wait ends the tries; 0: a minute.
	MostAfter time.Duration
	// Seed is that of the waits' randomness; 0: a random one.
	Seed uint64
}

// NewClient makes a Client. The error names the field that is wrong.
func NewClient(cfg ClientConfig) (*Client, error) {
	if cfg.Base == nil {
		cfg.Base = http.DefaultTransport
	}
	if cfg.Tries == 0 {
		cfg.Tries = 3
	}
	if cfg.MostAfter == 0 {
		cfg.MostAfter = time.Minute
	}
	switch {
	case cfg.Tries < 1 || cfg.Tries > admit.MostTries:
		return nil, fmt.Errorf("shield: Tries %d: want 1 to %d", cfg.Tries, admit.MostTries)
	case cfg.MostAfter < 0:
		return nil, fmt.Errorf("shield: MostAfter %v: want at least 0", cfg.MostAfter)
	}
	wait, err := NewRetrier(cfg.Retry, cfg.Timeout, cfg.Seed)
	if err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, wait: wait}, nil
}

// CloseIdleConnections closes those of the transport below.
func (c *Client) CloseIdleConnections() {
	if b, ok := c.cfg.Base.(interface{ CloseIdleConnections() }); ok {
		b.CloseIdleConnections()
	}
}

// mostDrained is how much of a refused answer's body is read, so that its connection can be used again.
const mostDrained = 64 << 10

// RoundTrip implements http.RoundTripper.
func (c *Client) RoundTrip(r *http.Request) (*http.Response, error) {
	again := r.Body == nil || r.Body == http.NoBody || r.GetBody != nil
	harmless := idempotent(r)
	call := c.wait.Begin()
	defer call.End()
	for try := 1; ; try++ {
		call.Try()
		res, err := c.try(r, try)
		refused := err == nil && (res.StatusCode == http.StatusTooManyRequests || res.StatusCode == http.StatusServiceUnavailable)
		if err == nil && !refused {
			if res.StatusCode < http.StatusInternalServerError {
				call.Good()
			}
			return res, nil
		}
		why, after := cause(err), time.Duration(0)
		if refused {
			why, after = admit.Refused, retryAfter(res.Header)
		}
		can := again && (refused || harmless) && try < c.cfg.Tries && r.Context().Err() == nil && after <= c.cfg.MostAfter
		wait, more := call.Failed(why, after, can)
		if !more {
			return res, err
		}
		if at, ok := r.Context().Deadline(); ok && time.Until(at) <= wait {
			return res, err // it would end in the wait
		}
		if refused {
			_, _ = io.CopyN(io.Discard, res.Body, mostDrained)
			_ = res.Body.Close()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-r.Context().Done():
			timer.Stop()
			return nil, r.Context().Err()
		}
	}
}

// cause is how a try without an answer failed.
func cause(err error) admit.Cause {
	if slow, ok := errors.AsType[net.Error](err); ok && slow.Timeout() { // as the try's own context says it
		return admit.TimedOut
	}
	return admit.Errored
}

// try makes one try. The caller's request is not changed.
func (c *Client) try(r *http.Request, n int) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(r.Context(), c.cfg.Timeout)
	again := r.Clone(ctx)
	if n > 1 && r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			cancel()
			return nil, err
		}
		again.Body = body
	}
	res, err := c.cfg.Base.RoundTrip(again)
	if err != nil {
		cancel()
		return nil, err
	}
	if res.StatusCode == http.StatusSwitchingProtocols { // its body is the connection
		context.AfterFunc(r.Context(), cancel)
		return res, nil
	}
	res.Body = &tryBody{res.Body, cancel}
	return res, nil
}

// idempotent reports whether a request may be carried out twice: after an error nobody knows whether it was
// carried out. As in net/http, a header Idempotency-Key says so, too.
func idempotent(r *http.Request) bool {
	switch r.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.Header.Get("Idempotency-Key") != ""
}

// tryBody ends a try's timeout with its body.
type tryBody struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (b *tryBody) Close() error {
	defer b.cancel()
	return b.ReadCloser.Close()
}

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): whole seconds, or a date, which counts from the
// answer's own; 0: there is none that can be read.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if s, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(s) * time.Second
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0
	}
	from, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		from = time.Now()
	}
	return max(0, at.Sub(from))
}

var errClosed = errors.New("shield: the queue is closed")
