package grpcshield

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/shield"
)

// Client says how calls are tried again.
type Client struct {
	// Retry is the policy, as admit.MakeRetry takes it, for example "retry-budget" or "backoff"; "":
	// "retry-after", which waits as long as the server asked for and a tenth of it at random, and by backoff
	// where it asked for nothing. A policy that gives up ends the tries.
	Retry string
	// Timeout is how long one try may take; more than 0.
	Timeout time.Duration
	// Tries is the most tries of one call; 0: 3.
	Tries int
	// MostAfter bounds what a server may ask for: a longer wait ends the tries; 0: a minute.
	MostAfter time.Duration
	// Idempotent reports whether a call of the method may be carried out twice; nil: of none. After an error
	// with which the server does not say when to come again, nobody knows whether the call was carried out.
	Idempotent func(method string) bool
	// Seed is that of the waits' randomness; 0: a random one.
	Seed uint64
}

// UnaryClientInterceptor tries unary calls again by a retry policy of this module's table. Calls through one
// interceptor share the policy's state, such as its budget. The error names the field that is wrong.
//
// It tries again after UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED with which the server says when to come
// again, in the trailer grpc-retry-pushback-ms or in a RetryInfo: the server has refused the call. It waits as the policy says,
// and never less than the server says; the policy's count of failures in a row then starts anew (gRFC A6). A
// push-back that is negative or no number ends the tries. Idempotent calls it tries again also after UNAVAILABLE
// or RESOURCE_EXHAUSTED without that, and when a try takes longer than Timeout. It never waits past the call's
// deadline. When the tries end, the caller gets the last error.
//
// gRPC's own retries would multiply with these: dial with grpc.WithDisableRetry(). A call's options, such as
// grpc.Header, are applied to each try.
func UnaryClientInterceptor(c Client) (grpc.UnaryClientInterceptor, error) {
	if c.Retry == "" {
		c.Retry = "retry-after"
	}
	if c.Tries == 0 {
		c.Tries = 3
	}
	if c.MostAfter == 0 {
		c.MostAfter = time.Minute
	}
	switch {
	case c.Tries < 1 || c.Tries > admit.MostTries:
		return nil, fmt.Errorf("grpcshield: Tries %d: want 1 to %d", c.Tries, admit.MostTries)
	case c.MostAfter < 0:
		return nil, fmt.Errorf("grpcshield: MostAfter %v: want at least 0", c.MostAfter)
	}
	wait, err := shield.NewRetrier(c.Retry, c.Timeout, c.Seed)
	if err != nil {
		return nil, fmt.Errorf("grpcshield: %w", err)
	}
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		request := wait.Begin()
		defer request.End()
		for try := 1; ; try++ {
			var trailer metadata.MD
			request.Try()
			err := c.try(ctx, method, req, reply, cc, call, append(opts[:len(opts):len(opts)], grpc.Trailer(&trailer)))
			if Outcome(err) != queue.Failed {
				if status.Code(err) != codes.Canceled {
					request.Good()
				}
				return err
			}
			again, after, said := c.again(err, method, trailer)
			if said {
				request.Anew()
			}
			pause, more := request.Failed(cause(err, said), after, again && try < c.Tries && after <= c.MostAfter && ctx.Err() == nil)
			if !more {
				return err
			}
			if at, ok := ctx.Deadline(); ok && time.Until(at) <= pause {
				return err // it would end in the wait
			}
			if said {
				request.Anew()
			}
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return status.FromContextError(ctx.Err()).Err()
			}
		}
	}, nil
}

// cause is how a failed try ended. said: the server asked the client to wait, or not to come again.
func cause(err error, said bool) admit.Cause {
	switch code := status.Code(err); {
	case said || code == codes.Unavailable || code == codes.ResourceExhausted:
		return admit.Refused
	case code == codes.DeadlineExceeded:
		return admit.TimedOut
	}
	return admit.Errored
}

// try makes one try.
func (c *Client) try(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, call grpc.UnaryInvoker, opts []grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	return call(ctx, method, req, reply, cc, opts...)
}

// again reports whether a failed try may be made again, and whether and for how long the server asked to wait.
func (c *Client) again(err error, method string, trailer metadata.MD) (again bool, after time.Duration, said bool) {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded:
	default:
		return false, 0, false
	}
	if values := trailer.Get(pushback); len(values) > 0 {
		ms, err := strconv.ParseInt(values[0], 10, 32)
		if err != nil || ms < 0 || len(values) > 1 {
			return false, 0, true
		}
		return true, time.Duration(ms) * time.Millisecond, true
	}
	if d, ok := retryInfo(err); ok {
		return true, d, true
	}
	return c.Idempotent != nil && c.Idempotent(method), 0, false
}

// retryInfo is the wait in an error's RetryInfo. One that is negative or no duration says nothing.
func retryInfo(err error) (time.Duration, bool) {
	s, ok := status.FromError(err)
	if !ok {
		return 0, false
	}
	for _, d := range s.Details() {
		if r, ok := d.(*errdetails.RetryInfo); ok && r.GetRetryDelay().IsValid() && r.GetRetryDelay().AsDuration() >= 0 {
			return r.GetRetryDelay().AsDuration(), true
		}
	}
	return 0, false
}
