package grpcshield

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/atomic"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/shield"
)

// leases is a service of two methods: Grant is unary, and Watch streams.
type leases struct {
	grant func(ctx context.Context, id string) error
	watch func(grpc.ServerStream) error
}

var desc = grpc.ServiceDesc{
	ServiceName: "test.Leases",
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{MethodName: "Grant", Handler: func(srv any, ctx context.Context, dec func(any) error, in grpc.UnaryServerInterceptor) (any, error) {
		req := new(wrapperspb.StringValue)
		if err := dec(req); err != nil {
			return nil, err
		}
		do := func(ctx context.Context, req any) (any, error) {
			return req, srv.(*leases).grant(ctx, req.(*wrapperspb.StringValue).GetValue())
		}
		if in == nil {
			return do(ctx, req)
		}
		return in(ctx, req, &grpc.UnaryServerInfo{Server: srv, FullMethod: "/test.Leases/Grant"}, do)
	}}},
	Streams: []grpc.StreamDesc{{StreamName: "Watch", ServerStreams: true, ClientStreams: true, Handler: func(srv any, s grpc.ServerStream) error { return srv.(*leases).watch(s) }}},
}

// serve starts a server in memory and dials it. Both end with the test.
func serve(t *testing.T, s *leases, server []grpc.ServerOption, client ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	pipe := bufconn.Listen(1 << 16)
	srv := grpc.NewServer(server...)
	srv.RegisterService(&desc, s)
	var all sync.WaitGroup
	all.Go(func() { _ = srv.Serve(pipe) })
	conn, err := grpc.NewClient("passthrough:///memory", append(client, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return pipe.DialContext(ctx) }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		srv.Stop()
		all.Wait()
	})
	return conn
}

func grant(ctx context.Context, conn *grpc.ClientConn, id string, opts ...grpc.CallOption) error {
	return conn.Invoke(ctx, "/test.Leases/Grant", wrapperspb.String(id), new(wrapperspb.StringValue), opts...)
}

// watch opens a stream and reads its first message.
func watch(ctx context.Context, conn *grpc.ClientConn) (grpc.ClientStream, error) {
	s, err := conn.NewStream(ctx, &desc.Streams[0], "/test.Leases/Watch")
	if err != nil {
		return nil, err
	}
	return s, s.RecvMsg(new(wrapperspb.StringValue))
}

func gate(t *testing.T, cfg shield.Config) *shield.Gate {
	t.Helper()
	g, err := shield.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// both puts a gate around all calls.
func both(g *shield.Gate, o Server) []grpc.ServerOption {
	return []grpc.ServerOption{grpc.UnaryInterceptor(UnaryServerInterceptor(g, o)), grpc.StreamInterceptor(StreamServerInterceptor(g, o))}
}

// A refused call says when to come again, the same in the trailer and in its details, and never reaches the
// handler. A stream holds its place until it ends.
func TestRefusal(t *testing.T) {
	for _, tt := range []struct {
		o    Server
		code codes.Code
	}{{Server{}, codes.Unavailable}, {Server{TooOften: true}, codes.ResourceExhausted}} {
		t.Run(tt.code.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Hour, Admit: "limit:limit=1", Capacity: 10})
				called := 0
				conn := serve(t, &leases{
					grant: func(context.Context, string) error { called++; return nil },
					watch: func(s grpc.ServerStream) error {
						if err := s.SendMsg(wrapperspb.String("open")); err != nil {
							return err
						}
						return s.RecvMsg(new(wrapperspb.StringValue))
					},
				}, both(g, tt.o))
				ctx, leave := context.WithCancel(t.Context())
				if _, err := watch(ctx, conn); err != nil {
					t.Fatal(err)
				}
				check := func(err error, trailer metadata.MD) {
					t.Helper()
					ms, _ := strconv.ParseInt(trailer.Get(pushback)[0], 10, 32)
					var info *errdetails.RetryInfo
					for _, d := range status.Convert(err).Details() {
						info = d.(*errdetails.RetryInfo)
					}
					if status.Code(err) != tt.code || ms < 1 || info.GetRetryDelay().AsDuration() != time.Duration(ms)*time.Millisecond {
						t.Errorf("%v: %v ms, %v", err, ms, info)
					}
				}
				var trailer metadata.MD
				check(grant(t.Context(), conn, "1", grpc.Trailer(&trailer)), trailer)
				s, err := watch(t.Context(), conn)
				check(err, s.Trailer())
				if called != 0 || g.Stats().Running != 1 {
					t.Errorf("%d calls of a refused handler; %+v", called, g.Stats())
				}
				leave()
				synctest.Wait()
				if err := grant(t.Context(), conn, "2"); err != nil || called != 1 {
					t.Errorf("after the stream's end: %v", err)
				}
				if s := g.Stats(); s.Running+s.Waiting != 0 || s.Ran != 2 || s.Refused[queue.Refused] != 2 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A call waits until its own deadline and is never started after it; the handler sees that deadline. A client that
// hangs up gives the place back. Of the calls that wait with one key the newest stays.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Hour})
		leave := make(chan struct{})
		var started []string
		conn := serve(t, &leases{grant: func(ctx context.Context, id string) error {
			started = append(started, id)
			if at, ok := ctx.Deadline(); id == "first" && (!ok || time.Until(at) != time.Minute) {
				t.Errorf("the handler has until %v", at)
			}
			<-leave
			return nil
		}}, both(g, Server{Key: func(_ context.Context, _ string, req any) string { return req.(*wrapperspb.StringValue).GetValue() }}))
		var all sync.WaitGroup
		ends := map[string]error{}
		var mu sync.Mutex
		ask := func(name, id string, timeout time.Duration) context.CancelFunc {
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			all.Go(func() {
				err := grant(ctx, conn, id)
				mu.Lock()
				defer mu.Unlock()
				ends[name] = err
			})
			synctest.Wait()
			return cancel
		}
		defer ask("first", "first", time.Minute)()
		defer ask("expired", "expired", time.Second)()
		hangUp := ask("cancelled", "cancelled", time.Minute)
		defer ask("displaced", "17", time.Minute)()
		defer ask("newest", "17", time.Minute)()
		hangUp()
		time.Sleep(2 * time.Second)
		close(leave)
		all.Wait()
		synctest.Wait() // the last handler's end
		want := map[string]codes.Code{"first": codes.OK, "expired": codes.DeadlineExceeded, "cancelled": codes.Canceled, "displaced": codes.Unavailable, "newest": codes.OK}
		for name, code := range want {
			if status.Code(ends[name]) != code {
				t.Errorf("%s: %v, want %v", name, ends[name], code)
			}
		}
		if len(started) != 2 || started[0] != "first" || started[1] != "17" {
			t.Errorf("started %v", started)
		}
		s := g.Stats()
		if s.Waiting+s.Running != 0 || s.Refused[queue.Expired] != 1 || s.Refused[queue.Displaced] != 1 || s.Canceled != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// Whatever clients do, each call ends, no more run than may, and all places are given back.
func TestEveryCallEnds(t *testing.T) {
	seed := testseed.Draw(t)
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, shield.Config{Concurrency: 3, Timeout: 100 * time.Millisecond})
		var running, ran, failed atomic.Int64
		work := func(took time.Duration) error {
			defer running.Dec()
			if n := running.Inc(); n > 3 {
				t.Errorf("%d run at a time", n)
			}
			if took == 0 {
				panic("a handler's")
			}
			time.Sleep(took)
			return nil
		}
		recovered := func(err *error) {
			if recover() != nil {
				*err = status.Error(codes.Internal, "panic")
			}
		}
		u, s := UnaryServerInterceptor(g, Server{}), StreamServerInterceptor(g, Server{})
		conn := serve(t, &leases{
			grant: func(_ context.Context, id string) error { took, _ := time.ParseDuration(id); return work(took) },
			watch: func(s grpc.ServerStream) error {
				if err := s.SendMsg(wrapperspb.String("open")); err != nil {
					return err
				}
				return work(time.Millisecond)
			},
		}, []grpc.ServerOption{
			grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (_ any, err error) {
				defer recovered(&err)
				return next(ctx, req)
			}, u), grpc.StreamInterceptor(s),
		})
		var all sync.WaitGroup
		for i := range 300 {
			rng := rand.New(rand.NewPCG(seed, uint64(i)))
			all.Go(func() {
				time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(200))*time.Millisecond)
				defer cancel()
				if rng.IntN(10) == 0 {
					time.AfterFunc(5*time.Millisecond, cancel)
				}
				var err error
				if rng.IntN(3) == 0 {
					var s grpc.ClientStream
					if s, err = watch(ctx, conn); err == nil {
						err = s.RecvMsg(new(wrapperspb.StringValue))
						if errors.Is(err, io.EOF) {
							err = nil
						}
					}
				} else {
					err = grant(ctx, conn, time.Duration(rng.IntN(30)*int(time.Millisecond)).String())
				}
				if err == nil {
					ran.Inc()
					return
				}
				failed.Inc()
			})
		}
		all.Wait()
		time.Sleep(time.Second) // handlers whose clients have left
		if s := g.Stats(); ran.Load() == 0 || ran.Load()+failed.Load() != 300 || s.Running+s.Waiting != 0 {
			t.Errorf("%d ran, %d failed; %+v", ran.Load(), failed.Load(), s)
		}
	})
}

// A gate that is full lets health checks and reflection pass, or what Free names.
func TestFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Second})
		held, err := g.Enter(t.Context(), shield.Request{})
		if err != nil {
			t.Fatal(err)
		}
		defer held.Done(queue.Good)
		for _, tt := range []struct {
			free   func(string) bool
			method string
			want   codes.Code
		}{
			{nil, "/grpc.health.v1.Health/Check", codes.OK}, {nil, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", codes.OK},
			{nil, "/grpc.health.v1.Healthy/Check", codes.Unavailable}, {func(string) bool { return true }, "/test.Leases/Grant", codes.OK},
			{func(string) bool { return false }, "/grpc.health.v1.Health/Check", codes.Unavailable},
		} {
			_, err := UnaryServerInterceptor(g, Server{Free: tt.free})(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: tt.method},
				func(context.Context, any) (any, error) { return nil, nil })
			if status.Code(err) != tt.want {
				t.Errorf("%s: %v, want %v", tt.method, err, tt.want)
			}
		}
	})
}
