package grpcshield

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/shield"
)

// says is a status with a RetryInfo.
func says(code codes.Code, after time.Duration) error {
	s, err := status.New(code, "later").WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
	if err != nil {
		panic(err)
	}
	return s.Err()
}

// scripted is a server that gives an error and push-backs to each call, the last ones again, and the times at which
// it was asked.
func scripted(t *testing.T, c Client, errs []error, pushbacks ...[]string) (*grpc.ClientConn, *[]time.Duration) {
	t.Helper()
	in, err := UnaryClientInterceptor(c)
	if err != nil {
		t.Fatal(err)
	}
	began, asked := time.Now(), []time.Duration{}
	return serve(t, &leases{grant: func(ctx context.Context, id string) error {
		n := len(asked)
		asked = append(asked, time.Since(began))
		if len(pushbacks) > 0 {
			for _, v := range pushbacks[min(n, len(pushbacks)-1)] {
				if err := grpc.SetTrailer(ctx, metadata.Pairs(pushback, v)); err != nil {
					t.Error(err)
				}
			}
		}
		if id == "slow" {
			<-ctx.Done()
		}
		return errs[min(n, len(errs)-1)]
	}}, nil, grpc.WithUnaryInterceptor(in), grpc.WithDisableRetry()), &asked
}

// What a client does after what a server says: when it asks again, in virtual time, and the code that the caller gets.
func TestClient(t *testing.T) {
	busy, exhausted := status.Error(codes.Unavailable, ""), status.Error(codes.ResourceExhausted, "")
	ms := func(at ...int) (d []time.Duration) {
		for _, at := range at {
			d = append(d, time.Duration(at)*time.Millisecond)
		}
		return d
	}
	for _, tt := range []struct {
		name       string
		id         string
		errs       []error
		pushbacks  [][]string
		idempotent bool
		deadline   time.Duration
		want       []time.Duration
		code       codes.Code
	}{
		{name: "good", errs: []error{nil}, want: ms(0)},
		{name: "push-back", errs: []error{busy, exhausted, nil}, pushbacks: [][]string{{"70"}, {"30"}, nil}, want: ms(0, 70, 100)},
		{name: "push-back 0", errs: []error{busy, nil}, pushbacks: [][]string{{"0"}, nil}, want: ms(0, 0)},
		{name: "negative", errs: []error{busy}, pushbacks: [][]string{{"-1"}}, idempotent: true, want: ms(0), code: codes.Unavailable},
		{name: "no number", errs: []error{busy}, pushbacks: [][]string{{"1.5"}}, idempotent: true, want: ms(0), code: codes.Unavailable},
		{name: "too large", errs: []error{busy}, pushbacks: [][]string{{"2147483648"}}, idempotent: true, want: ms(0), code: codes.Unavailable},
		{name: "two", errs: []error{busy}, pushbacks: [][]string{{"1", "2"}}, idempotent: true, want: ms(0), code: codes.Unavailable},
		{name: "RetryInfo", errs: []error{says(codes.ResourceExhausted, 25*time.Millisecond), nil}, want: ms(0, 25)},
		{name: "push-back before RetryInfo", errs: []error{says(codes.Unavailable, time.Second), nil}, pushbacks: [][]string{{"10"}, nil}, want: ms(0, 10)},
		{name: "negative before RetryInfo", errs: []error{says(codes.Unavailable, time.Second)}, pushbacks: [][]string{{"-5"}}, want: ms(0), code: codes.Unavailable},
		{name: "expired in the queue", errs: []error{says(codes.DeadlineExceeded, time.Second), nil}, pushbacks: [][]string{{"40"}, nil}, want: ms(0, 40)},
		{name: "expired, RetryInfo", errs: []error{says(codes.DeadlineExceeded, 25*time.Millisecond), nil}, want: ms(0, 25)},
		{name: "expired, never", errs: []error{status.Error(codes.DeadlineExceeded, "")}, pushbacks: [][]string{{"-1"}}, idempotent: true, want: ms(0), code: codes.DeadlineExceeded},
		{name: "expired, and so is the call", errs: []error{status.Error(codes.DeadlineExceeded, "")}, pushbacks: [][]string{{"40"}}, deadline: 40 * time.Millisecond, want: ms(0), code: codes.DeadlineExceeded},
		{name: "RetryInfo of another code", errs: []error{says(codes.NotFound, time.Second)}, idempotent: true, want: ms(0), code: codes.NotFound},
		{name: "RetryInfo of before", errs: []error{says(codes.Unavailable, -time.Second)}, want: ms(0), code: codes.Unavailable},
		{name: "no word", errs: []error{busy}, want: ms(0), code: codes.Unavailable},
		{name: "no word, exhausted", errs: []error{exhausted}, want: ms(0), code: codes.ResourceExhausted},
		{name: "no word, idempotent", errs: []error{busy, exhausted, nil}, idempotent: true, want: ms(0, 0, 0)},
		{name: "a try's timeout", id: "slow", errs: []error{status.Error(codes.DeadlineExceeded, "")}, idempotent: true, want: ms(0, 1000, 2000), code: codes.DeadlineExceeded},
		{name: "a try's timeout, once", id: "slow", errs: []error{status.Error(codes.DeadlineExceeded, "")}, want: ms(0), code: codes.DeadlineExceeded},
		{name: "the call's deadline", id: "slow", errs: []error{status.Error(codes.DeadlineExceeded, "")}, idempotent: true, deadline: 1500 * time.Millisecond, want: ms(0, 1000), code: codes.DeadlineExceeded},
		{name: "it would end in the wait", errs: []error{busy}, pushbacks: [][]string{{"70"}}, deadline: 70 * time.Millisecond, want: ms(0), code: codes.Unavailable},
		{name: "just before the deadline", errs: []error{busy, nil}, pushbacks: [][]string{{"70"}, nil}, deadline: 71 * time.Millisecond, want: ms(0, 70)},
		{name: "longer than MostAfter", errs: []error{busy}, pushbacks: [][]string{{"60001"}}, want: ms(0), code: codes.Unavailable},
		{name: "all tries", errs: []error{busy}, pushbacks: [][]string{{"5"}}, want: ms(0, 5, 10), code: codes.Unavailable},
		{name: "a bug", errs: []error{status.Error(codes.Internal, "")}, idempotent: true, want: ms(0), code: codes.Internal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := Client{Retry: "immediate", Timeout: time.Second, Idempotent: func(method string) bool { return tt.idempotent && method == "/test.Leases/Grant" }}
				conn, asked := scripted(t, c, tt.errs, tt.pushbacks...)
				ctx, cancel := t.Context(), context.CancelFunc(func() {})
				if tt.deadline > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
				}
				defer cancel()
				err := grant(ctx, conn, tt.id)
				synctest.Wait() // a handler whose client has left
				if status.Code(err) != tt.code || fmt.Sprint(*asked) != fmt.Sprint(tt.want) {
					t.Errorf("%v, asked at %v; want %v at %v", err, *asked, tt.code, tt.want)
				}
			})
		})
	}
}

// No policy of the table waits less than the server says, nor past the call's deadline; a caller that leaves does
// not wait.
func TestEveryPolicy(t *testing.T) {
	for _, e := range admit.Retries.List() {
		t.Run(e.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := Client{Retry: e.Name, Timeout: 100 * time.Millisecond, Tries: 50, Seed: 1, Idempotent: func(string) bool { return true }}
				conn, asked := scripted(t, c, []error{status.Error(codes.Unavailable, "")}, []string{"20"})
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if err := grant(ctx, conn, ""); status.Code(err) != codes.Unavailable || time.Since(began) >= 2*time.Second {
					t.Errorf("%v after %v", err, time.Since(began))
				}
				for i := 1; i < len(*asked); i++ {
					if gap := (*asked)[i] - (*asked)[i-1]; gap < 20*time.Millisecond {
						t.Errorf("asked at %v", *asked)
					}
				}
				conn, _ = scripted(t, c, []error{status.Error(codes.Unavailable, "")}, []string{"20"}) // with a full budget
				ctx, leave := context.WithCancel(t.Context())
				time.AfterFunc(10*time.Millisecond, leave)
				began = time.Now()
				if err := grant(ctx, conn, ""); status.Code(err) != codes.Canceled || time.Since(began) != 10*time.Millisecond {
					t.Errorf("%v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// A gate gives a call up when the time that is left does not suffice, before the client's own clock ends the try. The
// call has not run, so that it is tried again whatever its method, and runs once.
func TestExpiredEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, err := UnaryClientInterceptor(Client{Retry: "immediate", Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Second, Service: 300 * time.Millisecond})
		ran := 0
		conn := serve(t, &leases{grant: func(context.Context, string) error {
			ran++
			time.Sleep(300 * time.Millisecond)
			return nil
		}}, both(g, Server{}), grpc.WithUnaryInterceptor(in), grpc.WithDisableRetry())
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				if err := grant(t.Context(), conn, ""); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if s := g.Stats(); ran != 2 || s.Refused[queue.Expired] != 1 || s.Entered != 3 {
			t.Errorf("%d ran; %+v", ran, s)
		}
	})
}

// A push-back starts the policy's count of failures anew: with the breaker of the table, which pauses from the second
// failure in a row on, only failures without one add up.
func TestPushbackStartsAnew(t *testing.T) {
	for want, pushbacks := range map[int][][]string{6: {{"1"}}, 2: {nil}, 4: {nil, {"1"}, nil}} {
		synctest.Test(t, func(t *testing.T) {
			c := Client{Retry: "client-breaker:failures=1,open=1000", Timeout: time.Second, Tries: 6, Idempotent: func(string) bool { return true }}
			conn, asked := scripted(t, c, []error{status.Error(codes.Unavailable, "")}, pushbacks...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := grant(ctx, conn, ""); status.Code(err) != codes.Unavailable || len(*asked) != want {
				t.Errorf("push-backs %v: %d tries, want %d; %v", pushbacks, len(*asked), want, err)
			}
		})
	}
}

// Every failure costs the budget, also that of a call that is not tried again, and good answers fill it.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		busy := status.Error(codes.Unavailable, "")
		c := Client{Retry: "retry-budget:tokens=4,ratio=2,pause=10", Timeout: time.Second, Tries: 2, Idempotent: func(string) bool { return true }}
		conn, asked := scripted(t, c, []error{busy, busy, busy, nil, nil, busy, nil}, []string{"-1"}, nil)
		call := func(tries int) {
			t.Helper()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			before := len(*asked)
			_ = grant(ctx, conn, "")
			if n := len(*asked) - before; n != tries {
				t.Errorf("%d tries, want %d", n, tries)
			}
		}
		call(1) // 4 → 3: it must not
		call(1) // 3 → 2, half: it pauses
		call(1) // 2 → 1
		call(1) // good: 1 → 3
		call(1) // good: 3 → 4, all
		call(2) // 4 → 3, at once; good
	})
}

// grpc-go's own retries, another implementation of gRFC A6, come again when the gate says; so do ours.
func TestOwnRetriesFollow(t *testing.T) {
	in, err := UnaryClientInterceptor(Client{Retry: "retry-after:jitter=0", Timeout: time.Minute, Tries: 2})
	if err != nil {
		t.Fatal(err)
	}
	policy := `{"methodConfig": [{"name": [{}], "retryPolicy": {"maxAttempts": 2, "initialBackoff": "3600s", "maxBackoff": "3600s", "backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	for name, client := range map[string][]grpc.DialOption{
		"grpc-go": {grpc.WithDefaultServiceConfig(policy)}, "ours": {grpc.WithDisableRetry(), grpc.WithUnaryInterceptor(in)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := gate(t, shield.Config{Concurrency: 1, Timeout: time.Hour, Admit: "limit:limit=1", Capacity: 10})
				conn := serve(t, &leases{grant: func(context.Context, string) error { time.Sleep(100 * time.Millisecond); return nil }}, both(g, Server{}), client...)
				if err := grant(t.Context(), conn, "the first says how long it takes"); err != nil {
					t.Fatal(err)
				}
				held, err := g.Enter(t.Context(), shield.Request{})
				if err != nil {
					t.Fatal(err)
				}
				time.AfterFunc(50*time.Millisecond, func() { held.Done(queue.Good) })
				began := time.Now() // one call runs: the appointment is two services later
				if err := grant(t.Context(), conn, ""); err != nil || time.Since(began) != 300*time.Millisecond {
					t.Errorf("%v after %v: want 200 ms of waiting and 100 of service", err, time.Since(began))
				}
			})
		})
	}
}

func TestClientRefused(t *testing.T) {
	for want, c := range map[string]Client{"Timeout": {}, "Tries": {Timeout: 1, Tries: -1}, "Retry": {Timeout: 1, Retry: "x"}, "MostAfter": {Timeout: 1, MostAfter: -1}} {
		if _, err := UnaryClientInterceptor(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A policy that tells a refusal from a try's timeout does so here, too, and counts its tries over push-backs.
func TestCauses(t *testing.T) {
	for _, tt := range []struct {
		id, retry string
		errs      []error
		pushbacks [][]string
		tries     int
		waits     bool
	}{
		{"", "mongodb:base=1s", []error{status.Error(codes.Unavailable, "")}, nil, 3, true},
		{"", "mongodb:base=1s", []error{status.Error(codes.ResourceExhausted, "")}, nil, 3, true},
		{"", "mongodb:base=1s", []error{status.Error(codes.Unavailable, "")}, [][]string{{"100"}}, 3, true},
		{"slow", "mongodb:base=1s", []error{status.Error(codes.DeadlineExceeded, "")}, nil, 2, false},
		{"", "mongodb:base=1s", []error{status.Error(codes.DeadlineExceeded, "")}, [][]string{{"100"}}, 3, true},
		{"", "aws-sdk:attempts=2", []error{status.Error(codes.Unavailable, "")}, [][]string{{"100"}}, 2, true},
		{"", "aws-sdk:tokens=4", []error{status.Error(codes.Unavailable, "")}, nil, 1, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := Client{Retry: tt.retry, Timeout: time.Second, Tries: 10, Seed: 1, Idempotent: func(string) bool { return true }}
			conn, asked := scripted(t, c, tt.errs, tt.pushbacks...)
			if err := grant(t.Context(), conn, tt.id); status.Code(err) != status.Code(tt.errs[0]) {
				t.Errorf("%s: %v", tt.retry, err)
			}
			synctest.Wait() // a handler whose client has left
			if len(*asked) != tt.tries {
				t.Fatalf("%s after %v: asked at %v, want %d tries", tt.retry, tt.errs[0], *asked, tt.tries)
			}
			for i := 1; i < len(*asked); i++ {
				least := time.Duration(0)
				if tt.id == "slow" {
					least = time.Second // the try's timeout
				}
				if waited := (*asked)[i]-(*asked)[i-1] > least; waited != tt.waits {
					t.Errorf("%s after %v: asked at %v, waited %v, want %v", tt.retry, tt.errs[0], *asked, waited, tt.waits)
				}
			}
		})
	}
}
