package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/bulkhead"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/platinummonkey/go-concurrency-limits/core"
	"github.com/platinummonkey/go-concurrency-limits/limit"
	"github.com/platinummonkey/go-concurrency-limits/limiter"
	"github.com/platinummonkey/go-concurrency-limits/strategy"
	"golang.org/x/time/rate"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/shield"
)

// What a request costs that is let in: a call alone, and within an http.Handler that does nothing.
const (
	bare     = "let in"
	overHTTP = "let in, http.Handler"
)

// places is each gate's limit, which no contestant reaches here.
const places = 100

// gates let a request in. make returns what does it once, and whether the request was let in.
var gates = []struct {
	name, work string
	ours       bool
	make       func() (func() bool, error)
}{
	{"leasestorm shield.Gate", bare, true, func() (func() bool, error) { return ourGate(shield.Config{}) }},
	{"leasestorm shield.Gate, gradient2", bare, true, func() (func() bool, error) { return ourGate(shield.Config{Admit: "gradient2", Capacity: 1e6}) }},
	{"channel as a semaphore", bare, false, func() (func() bool, error) {
		c := make(chan struct{}, places)
		return func() bool { c <- struct{}{}; <-c; return true }, nil
	}},
	{"failsafe-go bulkhead", bare, false, func() (func() bool, error) {
		b, ctx := bulkhead.New[any](places), context.Background()
		return func() bool {
			if b.AcquirePermit(ctx) != nil {
				return false
			}
			b.ReleasePermit()
			return true
		}, nil
	}},
	{"failsafe-go adaptivelimiter", bare, false, func() (func() bool, error) {
		l, ctx := adaptivelimiter.NewBuilder[any]().WithLimits(places, 2*places, places).Build(), context.Background()
		return func() bool {
			p, err := l.AcquirePermit(ctx)
			if err != nil {
				return false
			}
			p.Record()
			return true
		}, nil
	}},
	{"x/time/rate", bare, false, func() (func() bool, error) { return unlimited().Allow, nil }},
	{"go-concurrency-limits, fixed", bare, false, func() (func() bool, error) {
		return netflix(limit.NewFixedLimit("", places, nil))
	}},
	{"go-concurrency-limits, gradient2", bare, false, func() (func() bool, error) { return netflix(gradient2()) }},

	{"net/http alone", overHTTP, false, func() (func() bool, error) { return served(nothing), nil }},
	{"net/http and a context's deadline", overHTTP, false, func() (func() bool, error) {
		timeout := shield.MillisHeader("X-Request-Timeout")
		return served(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), timeout(r))
			defer cancel()
			nothing(w, r.WithContext(ctx))
		})), nil
	}},
	{"leasestorm shield.Handler", overHTTP, true, func() (func() bool, error) {
		g, err := shield.New(shield.Config{Concurrency: places, Timeout: time.Second})
		return served(shield.Handler(nothing, g, shield.HTTP{})), err
	}},
	{"leasestorm shield.Handler and a deadline", overHTTP, true, func() (func() bool, error) {
		g, err := shield.New(shield.Config{Concurrency: places, Timeout: time.Second})
		return served(shield.Handler(nothing, g, shield.HTTP{Timeout: shield.MillisHeader("X-Request-Timeout")})), err
	}},
	{"failsafe-go bulkhead", overHTTP, false, func() (func() bool, error) {
		return served(failsafehttp.NewHandler(nothing, bulkhead.New[*http.Response](places))), nil
	}},
	{"failsafe-go adaptivelimiter", overHTTP, false, func() (func() bool, error) {
		return served(failsafehttp.NewHandler(nothing, adaptivelimiter.NewBuilder[*http.Response]().WithLimits(places, 2*places, places).Build())), nil
	}},
	{"x/time/rate", overHTTP, false, func() (func() bool, error) {
		l := unlimited()
		return served(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !l.Allow() {
				http.Error(w, "", http.StatusTooManyRequests)
				return
			}
			nothing(w, r)
		})), nil
	}},
}

func ourGate(cfg shield.Config) (func() bool, error) {
	cfg.Concurrency, cfg.Timeout = places, time.Second
	g, err := shield.New(cfg)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	return func() bool {
		t, err := g.Enter(ctx, shield.Request{Class: queue.Establish})
		if err != nil {
			return false
		}
		t.Done(queue.Good)
		return true
	}, nil
}

// unlimited does a limiter's arithmetic and never refuses; rate.Inf would skip the arithmetic.
func unlimited() *rate.Limiter { return rate.NewLimiter(1e12, 1e9) }

// gradient2 has Netflix's default numbers but for the limits.
func gradient2() core.Limit {
	l, err := limit.NewGradient2Limit("", places, 2*places, places, nil, 0.2, 600, nil, nil)
	if err != nil {
		panic(err) // its arguments are constants
	}
	return l
}

func netflix(of core.Limit) (func() bool, error) {
	l, err := limiter.NewDefaultLimiter(of, 1e9, 1e9, 1e5, 100, strategy.NewSimpleStrategy(places), limit.NoopLimitLogger{}, core.EmptyMetricRegistryInstance)
	ctx := context.Background()
	return func() bool {
		done, ok := l.Acquire(ctx)
		if ok {
			done.OnSuccess()
		}
		return ok
	}, err
}

// nothing is what the handlers lead to.
var nothing = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

// answer is the least http.ResponseWriter that knows a refusal.
type answer struct {
	header http.Header
	status int
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) Write(b []byte) (int, error) { return len(b), nil }
func (a *answer) WriteHeader(status int)      { a.status = status }

// served calls a handler without a connection. What it needs for that is made beforehand and shared by turns.
func served(h http.Handler) func() bool {
	type call struct {
		r *http.Request
		w answer
	}
	pool := sync.Pool{New: func() any {
		r := httptest.NewRequest(http.MethodPost, "/lease/17", nil)
		r.Header.Set("X-Request-Timeout", "1000")
		return &call{r, answer{header: http.Header{}}}
	}}
	return func() bool {
		c := pool.Get().(*call)
		c.w.status = 0
		h.ServeHTTP(&c.w, c.r)
		ok := c.w.status == http.StatusNoContent
		pool.Put(c)
		return ok
	}
}

var errRefused = errors.New("a request was refused")

// gate measures one gate: time with one and two goroutines, and allocations.
func (r *runner) gate(i int) error {
	c := gates[i]
	enter, err := c.make()
	if err != nil {
		return err
	}
	at := func(pattern string, goroutines int) key { return key{c.work, pattern, goroutines, c.name} }
	const calls = 2000
	var before, after runtime.MemStats
	for range calls { // pools and slabs fill
		if !enter() {
			return errRefused
		}
	}
	runtime.ReadMemStats(&before)
	for range calls {
		enter()
	}
	runtime.ReadMemStats(&after)
	r.add(at("allocations", 1), "per request", float64((after.Mallocs-before.Mallocs)*10/calls)/10) // other goroutines have some, too
	for _, g := range []int{1, 2} {
		refused := make([]int, g)
		ns := r.raceOf(g, func(w int) func() int {
			return func() int {
				for range 64 {
					if !enter() {
						refused[w]++
					}
				}
				return 64
			}
		})
		for _, n := range refused {
			if n > 0 {
				return fmt.Errorf("%w, %d times", errRefused, n)
			}
		}
		r.add(at("time", g), "ns", ns)
	}
	return nil
}
