package wire

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/atomic"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// Call is a call that goes on: the context of it. What travels as grpc-timeout need not be when this side
// gives up.
type Call struct {
	context.Context
	now      func() time.Duration
	travels  time.Time // zero: none
	sent     atomic.Duration
	answered atomic.Bool // the server has sent trailers

	Header, Trailer metadata.MD // for grpc.Header and grpc.Trailer
}

// Begin begins the call of an attempt, which this side gives up at the time given. The server is told the
// attempt's deadline where the client cancels, or where a header says so.
func (t *Target) Begin(end time.Time, now func() time.Duration, a *client.Attempt) (*Call, context.CancelFunc) {
	ctx, cancel := context.WithDeadline(context.Background(), end)
	deadline := time.Now().Add(a.Deadline() - now())
	c := &Call{Context: t.withHeaders(ctx, a, deadline), now: now}
	if t.Connections.Cancel {
		c.travels = end
	} else if t.heads[a.Class].told {
		c.travels = deadline
	}
	return c, cancel
}

// BeginStream begins a stream for many calls. The server is told no deadline. Whoever ends it at the
// deadline of a call gives context.DeadlineExceeded as the cause.
func (t *Target) BeginStream(now func() time.Duration, a *client.Attempt) (*Call, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &Call{Context: t.withHeaders(ctx, a, time.Time{}), now: now}, cancel
}

// withHeaders adds the metadata of an attempt.
func (t *Target) withHeaders(ctx context.Context, a *client.Attempt, deadline time.Time) context.Context {
	h := &t.heads[a.Class]
	md := h.fixed
	if len(h.names) > 0 {
		md = h.fixed.Copy()
		for i, name := range h.names {
			md.Append(name, string(h.texts[i].Append(nil, a, deadline)))
		}
	}
	if md == nil {
		return ctx
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// Deadline implements context.Context.
func (c *Call) Deadline() (time.Time, bool) { return c.travels, !c.travels.IsZero() }

// key is the key of a Call in its context.
type key struct{}

// Value implements context.Context.
func (c *Call) Value(k any) any {
	if k == (key{}) {
		return c
	}
	return c.Context.Value(k)
}

// watcher notes when a call's request goes out and whether the server has ended it: grpc-go makes a status
// of its own for everything that goes wrong.
type watcher struct{}

func (watcher) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (watcher) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (watcher) HandleConn(context.Context, stats.ConnStats)                       {}

func (watcher) HandleRPC(ctx context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.OutHeader:
		if c, ok := ctx.Value(key{}).(*Call); ok && c.sent.Load() == 0 {
			c.sent.Store(c.now())
		}
	case *stats.InTrailer:
		if c, ok := ctx.Value(key{}).(*Call); ok {
			c.answered.Store(true)
		}
	}
}

// End fills in the reply of a call that ended with err, and reports whether the connection can be used
// again.
func (c *Conn) End(call *Call, err error, r *client.Reply) (usable bool) {
	r.Sent = max(r.Sent, call.sent.Load())
	usable = c.Usable()
	code, whole := int(status.Code(err)), err == nil || call.answered.Load()
	text := status.Convert(err).Message()
	tooBig := code == int(codes.ResourceExhausted) && strings.Contains(text, "larger than max")
	if proxied := strings.HasPrefix(text, "unexpected HTTP status code received from server: "); !whole && proxied {
		whole = slices.Contains([]codes.Code{codes.Unavailable, codes.Unauthenticated, codes.PermissionDenied, codes.Unimplemented}, codes.Code(code))
	}
	if !whole || tooBig {
		r.Kind, r.Outcome = c.kind(call, codes.Code(code), text, tooBig), queue.Failed
		if r.Kind == client.TimedOut {
			r.Outcome = queue.Late
		}
		return usable
	}
	c.Answered(r, code, func(name string) string {
		for _, md := range []metadata.MD{call.Header, call.Trailer} {
			if v := md.Get(name); len(v) > 0 {
				return v[0]
			}
		}
		return ""
	})
	if r.Outcome != queue.Good {
		pushBack(r, call.Trailer, err)
	}
	return usable
}

// Answered fills in a reply from an answer with a code. header looks up an answer's metadata.
func (t *Target) Answered(r *client.Reply, code int, header func(string) string) {
	r.Kind, r.Status, r.Outcome = client.Answered, code, t.Rules.Code(code, header)
}

// kind is the kind of a call that the server has not ended. grpc-go has no types for its errors of the
// protocol.
func (c *Conn) kind(call *Call, code codes.Code, text string, tooBig bool) client.Kind {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	}
	broken, broke := c.net.broke()
	switch {
	case tooBig:
		return client.TooBig
	case code == codes.DeadlineExceeded, // also where the server resets the stream at the deadline that it was told
		code == codes.Canceled && errors.Is(context.Cause(call), context.DeadlineExceeded):
		return client.TimedOut
	case has("ENHANCE_YOUR_CALM"):
		return client.TooManyResets
	case has("REFUSED_STREAM", "draining", "goaway", "GOAWAY"):
		return client.GoAway
	case has("unexpected HTTP status", "malformed", "content-type", "PROTOCOL_ERROR", "FRAME_SIZE_ERROR", "frame too large", "COMPRESSION_ERROR", "FLOW_CONTROL_ERROR", "header list size", "HEADERS frame", "protocol error", "compressed flag", "cardinality"):
		return client.Nonsense
	case broke != nil:
		return broken
	case has(errLost.Error()): // grpc-go has given the connection up, and the peer has not closed it
		return client.GoAway
	case has("RST_STREAM"):
		return client.Reset
	}
	return client.OtherError
}

// pushBack reads what a refusal asks for: the trailer of gRPC's retries (gRFC A6), or else RetryInfo.
func pushBack(r *client.Reply, trailer metadata.MD, err error) {
	if values := trailer.Get("grpc-retry-pushback-ms"); len(values) > 0 {
		ms, err := strconv.ParseInt(values[0], 10, 32)
		r.BadAfter = err != nil || len(values) > 1
		if r.NoRetry = r.BadAfter || ms < 0; !r.NoRetry {
			r.After = time.Duration(ms) * time.Millisecond
		}
		return
	}
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay() != nil {
			delay := info.GetRetryDelay()
			r.BadAfter = !delay.IsValid() || delay.AsDuration() < 0
			if !r.BadAfter {
				r.After = delay.AsDuration()
			}
			return
		}
	}
}
