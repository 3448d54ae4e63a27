package grpcshield

import (
	"context"
	"fmt"
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/shield"
)

// The functions see the call; a class that is none is the server's fault.
func TestFunctions(t *testing.T) {
	g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Second})
	var seen []string
	note := func(what string) func(context.Context, string, any) string {
		return func(_ context.Context, method string, req any) string {
			seen = append(seen, fmt.Sprint(what, method, req))
			return ""
		}
	}
	class := queue.Class(0)
	in := UnaryServerInterceptor(g, Server{
		Class: func(ctx context.Context, m string, r any) queue.Class { note("class")(ctx, m, r); return class },
		Zone:  func(ctx context.Context, m string, r any) uint8 { note("zone")(ctx, m, r); return 0 },
		Key:   note("key"),
	})
	call := func() error {
		_, err := in(t.Context(), 7, &grpc.UnaryServerInfo{FullMethod: "/m"}, func(context.Context, any) (any, error) { return nil, nil })
		return err
	}
	if err := call(); err != nil || fmt.Sprint(seen) != "[class/m7 zone/m7 key/m7]" {
		t.Errorf("%v, %v", seen, err)
	}
	class = queue.Classes
	if err := call(); status.Code(err) != codes.Internal {
		t.Error(err)
	}
}

// How a call ended reaches the controller: failures open a breaker, a client's faults do not.
func TestOutcomeReachesTheController(t *testing.T) {
	for _, tt := range []struct {
		err  error
		o    func(error) queue.Outcome
		open bool
	}{
		{nil, nil, false}, {status.Error(codes.NotFound, ""), nil, false}, {status.Error(codes.Internal, ""), nil, true}, {io.ErrUnexpectedEOF, nil, true},
		{io.ErrUnexpectedEOF, func(error) queue.Outcome { return queue.Good }, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Second, Admit: "breaker", Capacity: 1000})
			in := UnaryServerInterceptor(g, Server{Outcome: tt.o})
			for range 1000 {
				_, _ = in(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
					time.Sleep(10 * time.Millisecond)
					return nil, tt.err
				})
			}
			if refused := g.Stats().Refused[queue.Refused]; refused > 0 != tt.open {
				t.Errorf("%v: %d of 1,000 refused", tt.err, refused)
			}
		})
	}
}

func TestMillis(t *testing.T) {
	for d, want := range map[time.Duration]int64{1: 1, time.Millisecond: 1, time.Millisecond + 1: 2, time.Second: 1000, 1 << 62: math.MaxInt32} {
		if got := millis(d); got != want {
			t.Errorf("%v: %d ms, want %d", d, got, want)
		}
	}
}

// A call that is let in costs no allocation of ours.
func TestLetInAllocatesNothing(t *testing.T) {
	g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Second})
	ctx := t.Context()
	unary, stream := UnaryServerInterceptor(g, Server{}), StreamServerInterceptor(g, Server{})
	info, streams, s := &grpc.UnaryServerInfo{FullMethod: "/m"}, &grpc.StreamServerInfo{FullMethod: "/m"}, &fakeStream{ctx: ctx}
	var req any = t
	do := func(context.Context, any) (any, error) { return req, nil }
	doStream := func(any, grpc.ServerStream) error { return nil }
	if n := testing.AllocsPerRun(1000, func() {
		if _, err := unary(ctx, req, info, do); err != nil {
			t.Fatal(err)
		}
		if err := stream(nil, s, streams, doStream); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *fakeStream) Context() context.Context { return s.ctx }
