package grpc

import (
	"context"
	"io"
	"math"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/atomic"
	"golang.org/x/net/http2"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// method is the method that the tests call.
const method = "/lease.v1.Leases/Establish?descriptors=" + protoFile

// reply is what is expected of one.
type reply struct {
	outcome queue.Outcome
	kind    client.Kind
	status  int
	after   time.Duration
	noRetry bool
	wrong   bool
}

func replyOf(r *client.Reply) reply {
	return reply{r.Outcome, r.Kind, r.Status, r.After, r.NoRetry, r.BadAfter}
}

// What a server may say, and what becomes of it.
func TestAnswers(t *testing.T) {
	all := types(t)
	says := func(code codes.Code, details *durationpb.Duration, trailer ...string) service {
		return func(_ context.Context, _ *dynamicpb.Message, stream grpc.ServerStream) error {
			stream.SetTrailer(metadata.Pairs(trailer...))
			st := status.New(code, "no")
			if details != nil {
				st, _ = st.WithDetails(&errdetails.ErrorInfo{Reason: "x"}, &errdetails.RetryInfo{RetryDelay: details})
			}
			return st.Err()
		}
	}
	good := func(size int) service {
		return func(_ context.Context, _ *dynamicpb.Message, stream grpc.ServerStream) error {
			stream.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", "100")) // of a good answer it means nothing
			return stream.SendMsg(grant(t, all, size))
		}
	}
	const pushBack = "grpc-retry-pushback-ms"
	for name, tt := range map[string]struct {
		answer service
		want   reply
	}{
		"good":                 {good(0), reply{queue.Good, client.Answered, 0, 0, false, false}},
		"large":                {good(1 << 19), reply{queue.Good, client.Answered, 0, 0, false, false}},
		"too large":            {good(1 << 21), reply{queue.Failed, client.TooBig, -1, 0, false, false}},
		"shed":                 {says(codes.ResourceExhausted, nil), reply{queue.Shed, client.Answered, 8, 0, false, false}},
		"unavailable":          {says(codes.Unavailable, nil), reply{queue.Shed, client.Answered, 14, 0, false, false}},
		"failure":              {says(codes.Internal, nil), reply{queue.Failed, client.Answered, 13, 0, false, false}},
		"late":                 {says(codes.DeadlineExceeded, nil), reply{queue.Late, client.Answered, 4, 0, false, false}},
		"late and push-back":   {says(codes.DeadlineExceeded, nil, pushBack, "7"), reply{queue.Late, client.Answered, 4, 7 * time.Millisecond, false, false}},
		"unknown code":         {says(99, nil), reply{queue.Failed, client.Answered, 99, 0, false, false}},
		"shed by a header":     {says(codes.Internal, nil, "x-shed", "yes"), reply{queue.Shed, client.Answered, 13, 0, false, false}},
		"push-back 0":          {says(codes.ResourceExhausted, nil, pushBack, "0"), reply{queue.Shed, client.Answered, 8, 0, false, false}},
		"push-back 100":        {says(codes.ResourceExhausted, nil, pushBack, "100"), reply{queue.Shed, client.Answered, 8, 100 * time.Millisecond, false, false}},
		"push-back −1":         {says(codes.ResourceExhausted, nil, pushBack, "-1"), reply{queue.Shed, client.Answered, 8, 0, true, false}},
		"push-back x":          {says(codes.ResourceExhausted, nil, pushBack, "x"), reply{queue.Shed, client.Answered, 8, 0, true, true}},
		"push-back 2^31":       {says(codes.ResourceExhausted, nil, pushBack, "2147483648"), reply{queue.Shed, client.Answered, 8, 0, true, true}},
		"two push-backs":       {says(codes.ResourceExhausted, nil, pushBack, "1", pushBack, "2"), reply{queue.Shed, client.Answered, 8, 0, true, true}},
		"failed and push-back": {says(codes.Aborted, nil, pushBack, "7"), reply{queue.Failed, client.Answered, 10, 7 * time.Millisecond, false, false}},
		"retry info":           {says(codes.Unavailable, durationpb.New(1500*time.Millisecond)), reply{queue.Shed, client.Answered, 14, 1500 * time.Millisecond, false, false}},
		"negative retry info":  {says(codes.Unavailable, durationpb.New(-1)), reply{queue.Shed, client.Answered, 14, 0, false, true}},
		"both":                 {says(codes.Unavailable, durationpb.New(time.Hour), pushBack, "3"), reply{queue.Shed, client.Answered, 14, 3 * time.Millisecond, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			url, _ := serve(t, tt.answer, -1)
			replies, stats := ask(t, settingsOf(t, url+method, "answers.shed_header=x-shed=yes"), 1, 20*time.Second)
			if got := replyOf(&replies[0]); got != tt.want || replies[0].Sent == 0 || stats.Requests != 1 {
				t.Errorf("%+v, sent at %v, %d requests; want %+v", got, replies[0].Sent, stats.Requests, tt.want)
			}
		})
	}
}

// What a peer that is no good gRPC server may do. Nothing hangs, and each end has its kind.
func TestHostile(t *testing.T) {
	const html, grpcType = "text/html", "application/grpc"
	for name, tt := range map[string]struct {
		url  string
		want reply
	}{
		"goaway": {frames(t, func(f *http2.Framer, _ uint32) { _ = f.WriteGoAway(0, http2.ErrCodeNo, nil) }),
			reply{outcome: queue.Failed, kind: client.GoAway, status: -1}},
		"refused stream": {frames(t, func(f *http2.Framer, id uint32) { _ = f.WriteRSTStream(id, http2.ErrCodeRefusedStream) }),
			reply{outcome: queue.Failed, kind: client.GoAway, status: -1}},
		"calm": {frames(t, func(f *http2.Framer, id uint32) { _ = f.WriteRSTStream(id, http2.ErrCodeEnhanceYourCalm) }),
			reply{outcome: queue.Failed, kind: client.TooManyResets, status: -1}},
		"stream reset": {frames(t, func(f *http2.Framer, id uint32) { _ = f.WriteRSTStream(id, http2.ErrCodeInternal) }),
			reply{outcome: queue.Failed, kind: client.Reset, status: -1}},
		"a proxy without a server": {frames(t, func(f *http2.Framer, id uint32) {
			writeHeaders(f, id, true, ":status", "503", "content-type", html)
		}), reply{outcome: queue.Shed, kind: client.Answered, status: 14}},
		"a page": {frames(t, func(f *http2.Framer, id uint32) {
			writeHeaders(f, id, true, ":status", "200", "content-type", html)
		}), reply{outcome: queue.Failed, kind: client.Nonsense, status: -1}},
		"no number": {frames(t, func(f *http2.Framer, id uint32) {
			writeHeaders(f, id, true, ":status", "200", "content-type", grpcType, "grpc-status", "good")
		}), reply{outcome: queue.Failed, kind: client.Nonsense, status: -1}},
		"long trailers": {frames(t, func(f *http2.Framer, id uint32) {
			writeHeaders(f, id, true, ":status", "200", "content-type", grpcType, "grpc-status", "0", "x", strings.Repeat("y", 70_000))
		}), reply{outcome: queue.Failed, kind: client.Nonsense, status: -1}},
		"a large frame": {frames(t, func(f *http2.Framer, id uint32) { _ = f.WriteRawFrame(http2.FrameData, 0, id, make([]byte, 1<<20)) }),
			reply{outcome: queue.Failed, kind: client.Nonsense, status: -1}},
		"another protocol": {hostile(t, func(c net.Conn) {
			_, _ = c.Write([]byte("220 mail.example.org ESMTP\r\n"))
			_, _ = io.Copy(io.Discard, c)
		}),
			reply{outcome: queue.Failed, kind: client.Nonsense, status: -1}},
		"closes": {hostile(t, func(c net.Conn) { _ = c.(*net.TCPConn).CloseWrite(); _, _ = io.Copy(io.Discard, c) }), reply{outcome: queue.Failed, kind: client.Closed, status: -1}},
		"resets": {hostile(t, func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); _ = c.(*net.TCPConn).SetLinger(0) }),
			reply{outcome: queue.Failed, kind: client.Reset, status: -1}},
		"nobody": {"grpc://127.0.0.1:1", reply{outcome: queue.Failed, kind: client.Refused, status: -1}},
	} {
		t.Run(name, func(t *testing.T) {
			replies, _ := ask(t, settingsOf(t, tt.url+method), 1, 20*time.Second)
			if got := replyOf(&replies[0]); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
		})
	}
	silent := settingsOf(t, hostile(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })+method)
	if replies, _ := ask(t, silent, 1, 50*time.Millisecond); replies[0].Kind != client.DialTimeout || replies[0].Outcome != queue.Late {
		t.Errorf("silent: %+v", replyOf(&replies[0]))
	}
	mute := settingsOf(t, frames(t, func(*http2.Framer, uint32) {})+method)
	if r := once(t, mute, 50*time.Millisecond, 50*time.Millisecond); r.Kind != client.TimedOut || r.Outcome != queue.Late {
		t.Errorf("mute: %+v", replyOf(&r))
	}
}

// once makes one call on a connection that is open. It goes on for patience at most.
func once(t *testing.T, s client.Settings, timeout, patience time.Duration) client.Reply {
	t.Helper()
	p, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	c, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	began := time.Now()
	r := client.Reply{Status: -1, Attempt: client.Attempt{Class: queue.Establish, Timeout: queue.ToMicros(timeout)}}
	c.Call(began.Add(patience), func() time.Duration { return time.Since(began) }, &r)
	return r
}

// The server sees the deadline and the cancellation, or it does not.
func TestDeadline(t *testing.T) {
	all := types(t)
	for name, tt := range map[string]struct {
		set     []string
		travels bool
		seen    bool
		want    []reply
	}{
		"cancels":  {nil, true, true, []reply{{queue.Late, client.TimedOut, -1, 0, false, false}}},
		"does not": {[]string{"connections.cancel=false"}, false, false, []reply{{queue.Good, client.Answered, 0, 0, false, false}}},
		// The server itself gives the call up: it answers so, or resets the stream.
		"does not, tells": {[]string{"connections.cancel=false", "request.headers.grpc-timeout={left_ms}m"}, true, true, []reply{{queue.Late, client.TimedOut, -1, 0, false, false}, {queue.Late, client.Answered, 4, 0, false, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			const timeout = 300 * time.Millisecond
			travels, seen := make(chan bool, 1), make(chan bool, 1)
			url, _ := serve(t, func(ctx context.Context, _ *dynamicpb.Message, stream grpc.ServerStream) error {
				deadline, has := ctx.Deadline()
				travels <- has && time.Until(deadline) <= timeout
				patience := time.NewTimer(2 * timeout)
				if tt.seen {
					patience = time.NewTimer(20 * time.Second)
				}
				defer patience.Stop()
				select {
				case <-ctx.Done():
					seen <- true
					return status.FromContextError(ctx.Err()).Err()
				case <-patience.C:
					seen <- false
					return stream.SendMsg(grant(t, all, 0))
				}
			}, -1)
			patience := 20 * time.Second
			if tt.set == nil {
				patience = timeout // as the pool has it
			}
			if r := once(t, settingsOf(t, url+method, tt.set...), timeout, patience); !slices.Contains(tt.want, replyOf(&r)) {
				t.Errorf("%+v, want %+v", replyOf(&r), tt.want)
			}
			for what, c := range map[string]chan bool{"the deadline travels": travels, "the server sees the end": seen} {
				select {
				case got := <-c:
					if want := map[chan bool]bool{travels: tt.travels, seen: tt.seen}[c]; got != want {
						t.Errorf("%s: %v", what, got)
					}
				case <-time.After(20 * time.Second):
					t.Errorf("%s: the server got no call", what)
				}
			}
		})
	}
}

// A server that answers a byte at a time ends at the deadline, and one whose message is a gigabyte long at its length.
func TestEndless(t *testing.T) {
	begin := func(f *http2.Framer, id uint32) {
		writeHeaders(f, id, false, ":status", "200", "content-type", "application/grpc")
	}
	slow := settingsOf(t, frames(t, func(f *http2.Framer, id uint32) {
		begin(f, id)
		_ = f.WriteData(id, false, []byte{0, 0, 0, 0xff, 0xff}) // the length
		for f.WriteData(id, false, []byte{0}) == nil {
			time.Sleep(10 * time.Millisecond)
		}
	})+method)
	if r := once(t, slow, 100*time.Millisecond, 100*time.Millisecond); r.Kind != client.TimedOut || r.Outcome != queue.Late {
		t.Errorf("slow for ever: %+v", replyOf(&r))
	}
	gigabyte := settingsOf(t, frames(t, func(f *http2.Framer, id uint32) {
		begin(f, id)
		_ = f.WriteData(id, false, []byte{0, 0x40, 0, 0, 0}) // the length
	})+method)
	if r := once(t, gigabyte, 20*time.Second, 20*time.Second); r.Kind != client.TooBig || r.Outcome != queue.Failed {
		t.Errorf("a gigabyte: %+v", replyOf(&r))
	}
}

// A server that allows three streams gets no more at a time on a connection, and answers all calls. An attempt for which
// somebody waits for ever is a call like others.
func TestStreamLimit(t *testing.T) {
	all := types(t)
	var running, most atomic.Int64
	url, _ := serve(t, func(_ context.Context, _ *dynamicpb.Message, stream grpc.ServerStream) error {
		n := running.Inc()
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond)
		running.Dec()
		return stream.SendMsg(grant(t, all, 0))
	}, -1, grpc.MaxConcurrentStreams(3))
	for timeout, n := range map[time.Duration]int{20 * time.Second: 60, math.MaxInt64: 1} {
		replies, stats := ask(t, settingsOf(t, url+method, "connections.most=1"), n, timeout)
		for i := range replies {
			if r := replyOf(&replies[i]); r.outcome != queue.Good || r.kind != client.Answered {
				t.Errorf("timeout %v: %+v", timeout, r)
			}
		}
		if most.Load() > 3 || stats.Dials != 1 {
			t.Errorf("%d streams at a time on %d connections, want at most 3 on one", most.Load(), stats.Dials)
		}
	}
}
