// Package grpcshield puts package shield around gRPC: a gate around a server's calls, and a retry policy around
// a client's. It is a module of its own.
//
//	gate, err := shield.New(shield.Config{Concurrency: 8, Timeout: 2 * time.Second})
//	server := grpc.NewServer(
//		grpc.UnaryInterceptor(grpcshield.UnaryServerInterceptor(gate, grpcshield.Server{})),
//		grpc.StreamInterceptor(grpcshield.StreamServerInterceptor(gate, grpcshield.Server{})))
//
// A refused call says when to come again: in the trailer grpc-retry-pushback-ms (gRFC A6), which grpc-go's own
// retries follow, and in a google.rpc.RetryInfo, which proxies and other libraries know.
package grpcshield

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/shield"
)

// Server says what the server's interceptors take from a call. The zero value is ready to use. method is the
// call's full name, such as "/lease.v1.Leases/Grant". request is the decoded message, or nil for a stream.
type Server struct {
	// Class and Zone say what the call is and of which group its client is; nil: all are establishes, of one
	// group. Some controllers let every Check in.
	Class func(ctx context.Context, method string, request any) queue.Class
	Zone  func(ctx context.Context, method string, request any) uint8
	// Key, if set, coalesces the calls that wait with one key; "": the call has none.
	Key func(ctx context.Context, method string, request any) string
	// Free reports whether a call needs no place; nil: health checks and reflection (see [Infrastructure]).
	Free func(method string) bool
	// TooOften makes a refusal RESOURCE_EXHAUSTED, "you ask too often". Otherwise it is UNAVAILABLE, "we
	// cannot".
	TooOften bool
	// Outcome says how a call ended, from its handler's error, for controllers that count failures; nil: [Outcome].
	Outcome func(error) queue.Outcome
}

// UnaryServerInterceptor lets unary calls in through a gate. A call waits until its deadline, which gRPC has
// put into its context. A refused call never reaches the handler, although its message has been decoded. A
// panic of the handler gives the place back.
func UnaryServerInterceptor(g *shield.Gate, o Server) grpc.UnaryServerInterceptor {
	o = o.withDefaults()
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		t, err := o.enter(ctx, g, info.FullMethod, req)
		if err != nil {
			return nil, o.refusal(ctx, err, func(md metadata.MD) { _ = grpc.SetTrailer(ctx, md) }) // it fails where there is no server
		}
		out := queue.Failed // if it panics
		defer func() { t.Done(out) }()
		res, err := next(ctx, req)
		out = o.ended(ctx, err)
		return res, err
	}
}

// StreamServerInterceptor lets streams in through a gate. A stream holds its place until its handler returns,
// however little it does meanwhile: give streams that stay open a gate of their own, or let Free pass them.
func StreamServerInterceptor(g *shield.Gate, o Server) grpc.StreamServerInterceptor {
	o = o.withDefaults()
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		t, err := o.enter(stream.Context(), g, info.FullMethod, nil)
		if err != nil {
			return o.refusal(stream.Context(), err, stream.SetTrailer)
		}
		out := queue.Failed // if it panics
		defer func() { t.Done(out) }()
		err = next(srv, stream)
		out = o.ended(stream.Context(), err)
		return err
	}
}

func (o Server) withDefaults() Server {
	if o.Free == nil {
		o.Free = Infrastructure
	}
	if o.Outcome == nil {
		o.Outcome = Outcome
	}
	return o
}

// enter lets one call in. The ticket of one that is free is the zero Ticket.
func (o *Server) enter(ctx context.Context, g *shield.Gate, method string, req any) (shield.Ticket, error) {
	if o.Free(method) {
		return shield.Ticket{}, nil
	}
	ask := shield.Request{Class: queue.Establish}
	if o.Class != nil {
		ask.Class = o.Class(ctx, method, req)
	}
	if o.Zone != nil {
		ask.Zone = o.Zone(ctx, method, req)
	}
	if o.Key != nil {
		ask.Key = o.Key(ctx, method, req)
	}
	return g.Enter(ctx, ask)
}

// ended is how a call ended.
func (o *Server) ended(ctx context.Context, err error) queue.Outcome {
	if ctx.Err() != nil {
		return queue.Late
	}
	return o.Outcome(err)
}

// pushback is the trailer in which a server says when to come again, in ms (gRFC A6).
const pushback = "grpc-retry-pushback-ms"

// refusal makes the status of a call that was not let in.
func (o *Server) refusal(ctx context.Context, err error, trailer func(metadata.MD)) error {
	r, ok := errors.AsType[*shield.Refusal](err)
	switch {
	case !ok && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
		return status.FromContextError(err).Err()
	case !ok:
		return status.Error(codes.Internal, err.Error()) // a class that is none
	}
	code := codes.Unavailable
	_, bounded := ctx.Deadline()
	switch {
	case r.Reason == queue.Expired && bounded:
		// A discipline such as deadline gives the call up as soon as there is too little time left to serve it, which
		// is before the client's own clock ends the call. So its client hears the wait below, too.
		code = codes.DeadlineExceeded
	case o.TooOften:
		code = codes.ResourceExhausted
	}
	s := status.New(code, r.Error())
	if r.After < 0 {
		trailer(metadata.Pairs(pushback, "-1"))
	}
	if r.After <= 0 {
		return s.Err()
	}
	ms := millis(r.After)
	trailer(metadata.Pairs(pushback, strconv.FormatInt(ms, 10)))
	detailed, err := s.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(ms) * time.Millisecond)})
	if err != nil {
		return s.Err()
	}
	return detailed.Err()
}

// millis rounds up: a client that comes too early is refused again. The trailer is an int32.
func millis(d time.Duration) int64 {
	ms := int64(d / time.Millisecond)
	if d%time.Millisecond > 0 {
		ms++
	}
	return min(ms, math.MaxInt32)
}

// Infrastructure reports whether a method is a health check or reflection. A server that is full must still
// answer its health checks: else what starts servers anew takes it for dead. A health check's Watch stays open
// for good.
func Infrastructure(method string) bool {
	return strings.HasPrefix(method, "/grpc.health.v1.Health/") || strings.HasPrefix(method, "/grpc.reflection.")
}

// Outcome tells a service's failures from answers that are the client's fault: UNKNOWN, which is any error that
// is no status, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE and DATA_LOSS are failures.
func Outcome(err error) queue.Outcome {
	switch status.Code(err) {
	case codes.Unknown, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Internal, codes.Unavailable, codes.DataLoss:
		return queue.Failed
	}
	return queue.Good
}
