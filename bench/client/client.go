// Package client carries a fleet's attempts to a service that is not ours, and brings back what it
// answers: the wire between the droplets and the user's own lease manager.
//
// The Client of [NewPool] keeps the connections and makes the calls. A [Protocol] opens connections and
// speaks on them: [HTTP] in this package, another module's after [Register]. [Settings] say what a request
// looks like, what an answer means, and how connections are used. Times named now, and all times in
// attempts and replies, are run time.
package client

import (
	"context"
	"errors"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Attempt is one attempt of a droplet, to be sent to the service. Its deadline is item's.
type Attempt = queue.Item

// Kind says how a call ended, in more detail than its outcome.
type Kind uint8

// The kinds.
const (
	Answered      Kind = iota // with a status, which the rules judged
	TimedOut                  // no whole answer before the deadline
	LateAnswer                // an answer after the deadline, on a call that was not cancelled
	NotSent                   // the deadline passed while the attempt waited for a connection
	Refused                   // the connection was refused
	DialTimeout               // no connection before the deadline
	Reset                     // the peer reset the connection
	Closed                    // the peer closed the connection before a whole answer
	GoAway                    // HTTP/2: the server sent GOAWAY, or refused the stream
	TooManyResets             // HTTP/2: ENHANCE_YOUR_CALM: the server had too many cancelled calls
	TLS                       // the handshake or the certificate failed
	NoPorts                   // this host has no local port left
	NoFiles                   // this process has no file descriptor left
	TooBig                    // the answer is larger than the bound
	Nonsense                  // the answer is not in the protocol
	Redirect                  // a redirect, which is not followed
	OtherError                // any other error
	Kinds                     // number of kinds
)

// String returns the kind in lower case, as results name it.
func (k Kind) String() string {
	if k < Kinds {
		return [Kinds]string{"answered", "timed out", "late answer", "not sent", "connection refused", "dial timed out", "reset", "closed",
			"goaway", "too many resets", "tls", "no local ports", "no file descriptors", "answer too big", "nonsense", "redirect", "other error"}[k]
	}
	return "kind?"
}

// Ours reports whether the generator's host failed, not the service: such a run measures the host.
func (k Kind) Ours() bool { return k == NoPorts || k == NoFiles }

// Reply is how an attempt ended. Every attempt gets one reply. That of an attempt which is not cancelled
// at its timeout comes with the answer, of kind LateAnswer, or when the patience has passed.
type Reply struct {
	Attempt
	// Picked is when a call for it began, or it was given up. Waited: it had to wait for another call to
	// end, since there were as many as there may be.
	Picked time.Duration
	Waited bool
	// Sent is when the first byte of the request went out; 0: none did.
	Sent time.Duration
	// Done is when the whole answer was there, or the call had failed.
	Done time.Duration
	// Outcome is what the rules make of it. Late: nobody waits for the answer any more.
	Outcome queue.Outcome
	Kind    Kind
	// Status is the protocol's: of HTTP, or a gRPC code; -1: none came.
	Status int
	// After is the wait that the service asked for (Retry-After, gRPC push-back, RetryInfo), from
	// Done; 0: none. NoRetry: it asked not to be asked again.
	After   time.Duration
	NoRetry bool
	// BadAfter: the service named a wait that does not parse. It counts as none.
	BadAfter bool
}

// Protocol opens connections to one service. Its methods may be called concurrently.
type Protocol interface {
	// Connect opens a connection before the deadline of ctx. The error's kind is that of [KindOf].
	Connect(ctx context.Context) (Conn, error)
	// Streams is the number of calls that one connection carries at a time; 1 for HTTP/1.1.
	Streams() int
}

// Conn is one connection. It carries up to Protocol.Streams calls at a time.
type Conn interface {
	// Call sends the attempt r.Attempt and waits for its answer, until deadline (wall time) at most. It
	// fills in r.Sent, by now(), when the first byte goes out, and Outcome, Kind, Status, After, NoRetry
	// and BadAfter; the caller fills in Done, and judges what came after the attempt's deadline. Call
	// returns false if the connection must not be used again.
	Call(deadline time.Time, now func() time.Duration, r *Reply) (usable bool)
	// Close closes the connection. Calls on it end.
	Close()
}

// Client carries attempts. One goroutine, the generator, calls Send, Replies and Out.
type Client interface {
	// Send begins an attempt. It does not block.
	Send(a *Attempt)
	// Replies moves replies that have come to dst and returns their number.
	Replies(dst []Reply) int
	// Out is the number of attempts without a reply.
	Out() int
	// Stats returns what has been counted so far.
	Stats() Stats
	// Close ends all calls and closes all connections. Attempts that are out get no reply.
	Close()
}

// Stats are counts since the client was made.
type Stats struct {
	Requests    uint64        `json:"requests"`     // calls whose first byte went out
	Dials       uint64        `json:"dials"`        // connections opened
	DialTime    time.Duration `json:"dial_time_ns"` // sum, TLS included
	Connections int           `json:"connections"`  // open now
	Most        int           `json:"connections_most"`
	Waits       uint64        `json:"waits"`        // attempts that waited for a connection
	WaitTime    time.Duration `json:"wait_time_ns"` // sum of these waits
	BadAfter    uint64        `json:"bad_retry_after"`
}

// Add adds the counts of another client. Its Most becomes an upper bound: the clients may have been busiest
// at different times.
func (s *Stats) Add(o *Stats) {
	s.Requests += o.Requests
	s.Dials += o.Dials
	s.DialTime += o.DialTime
	s.Connections += o.Connections
	s.Most += o.Most
	s.Waits += o.Waits
	s.WaitTime += o.WaitTime
	s.BadAfter += o.BadAfter
}

// ErrSettings is wrapped by every error about settings, which the user can mend.
var ErrSettings = errors.New("client")

// KindError is an error of a connection with its kind.
type KindError struct {
	Kind Kind
	Err  error
}

func (e *KindError) Error() string { return e.Kind.String() + ": " + e.Err.Error() }
func (e *KindError) Unwrap() error { return e.Err }

// KindOf returns the kind of an error of a connection: that of a KindError, or OtherError.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*KindError](err); ok {
		return e.Kind
	}
	return OtherError
}
