package shield

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/queue"
)

func gate(t testing.TB, cfg Config) *Gate {
	t.Helper()
	g, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// refusal is the refusal that an error is.
func refusal(t *testing.T, err error) *Refusal {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("%v is no refusal", err)
	}
	return r
}

// whole fails unless all slots of a gate are free.
func whole(t *testing.T, g *Gate) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fill(g.now()) // the discipline may still have what has left
	if len(g.unused) != len(g.slots) || g.running != 0 || g.live != 0 || len(g.keys) != 0 || g.queue.Len() != 0 {
		t.Errorf("%d of %d slots are free, %d run, %d keys, %d queued", len(g.unused), len(g.slots), g.running, len(g.keys), g.queue.Len())
	}
}

// Whatever the discipline and the controller: each request ends once, no more run than may, and nothing
// is lost, also while the gate is changed.
func TestEveryDiscipline(t *testing.T) {
	var configs []Config
	for _, e := range queue.Catalog.List() {
		if e.Name != "slack" { // it orders by leases, which a Gate does not know
			configs = append(configs, Config{Queue: e.Name})
		}
	}
	for _, q := range []string{"percore+fifo", "fair+deadline", "edf+deadline", "coalesce+fifo"} {
		configs = append(configs, Config{Queue: q})
	}
	for _, a := range []string{"limit", "concurrency", "token-bucket", "codel-admit", "breaker", "credits"} {
		configs = append(configs, Config{Admit: a, Capacity: 1000})
	}
	seed := testseed.Draw(t)
	for _, cfg := range configs {
		t.Run(cfg.Queue+cfg.Admit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg.Concurrency, cfg.Timeout = 3, 100*time.Millisecond
				g := gate(t, cfg)
				var running, ran, refused atomic.Int64
				var all sync.WaitGroup
				for i := range 300 {
					rng := rand.New(rand.NewPCG(seed, uint64(i)))
					all.Go(func() {
						time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rng.IntN(200))*time.Millisecond)
						defer cancel()
						if rng.IntN(10) == 0 {
							go func() { time.Sleep(5 * time.Millisecond); cancel() }()
						}
						key := ""
						if rng.IntN(3) == 0 {
							key = fmt.Sprint(rng.IntN(5))
						}
						ticket, err := g.Enter(ctx, Request{Class: queue.Class(rng.IntN(3)), Zone: uint8(rng.IntN(3)), Key: key})
						if err != nil {
							refused.Inc()
							return
						}
						if n := running.Inc(); n > 3 {
							t.Errorf("%d run at a time", n)
						}
						time.Sleep(time.Duration(rng.IntN(30)) * time.Millisecond)
						running.Dec()
						ran.Inc()
						ticket.Done(queue.Good)
						ticket.Done(queue.Good) // of no effect
					})
				}
				for _, q := range []string{"lifo", "deadline", "fifo"} {
					time.Sleep(200 * time.Millisecond)
					changed := cfg
					changed.Queue = q
					if err := g.Set(changed); err != nil {
						t.Error(err)
					}
				}
				all.Wait()
				if ran.Load()+refused.Load() != 300 || ran.Load() == 0 {
					t.Errorf("%d ran, %d were refused, of 300", ran.Load(), refused.Load())
				}
				whole(t, g)
				if s := g.Stats(); s.Entered != 300 || s.Ran < uint64(ran.Load()) || s.Waiting+s.Running != 0 {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

// A request that cannot run before its client leaves is never started, and its client is told at its
// deadline.
func TestDeadWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, q := range []string{"fifo", "deadline", "lifo"} {
			g := gate(t, Config{Concurrency: 1, Timeout: time.Second, Queue: q})
			first, err := g.Enter(t.Context(), Request{})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, err = g.Enter(t.Context(), Request{})
			if r := refusal(t, err); r.Reason != queue.Expired || r.After <= 0 || time.Since(began) != time.Second {
				t.Errorf("%s: %v after %v", q, err, time.Since(began))
			}
			if _, err = g.Enter(t.Context(), Request{Deadline: time.Now()}); refusal(t, err).Reason != queue.Expired {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Millisecond, cancel)
			if _, err = g.Enter(ctx, Request{}); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: %v", q, err)
			}
			first.Done(queue.Good)
			whole(t, g)
		}
	})
}

// Of the requests that wait with one key the newest stays.
func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 1, Timeout: time.Minute})
		first, err := g.Enter(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		ends := make([]error, 3)
		var all sync.WaitGroup
		for i := range ends {
			all.Go(func() {
				ticket, err := g.Enter(t.Context(), Request{Key: "17"})
				ends[i] = err
				ticket.Done(queue.Good)
			})
			synctest.Wait()
		}
		first.Done(queue.Good)
		all.Wait()
		if refusal(t, ends[0]).Reason != queue.Displaced || refusal(t, ends[1]).Reason != queue.Displaced || ends[2] != nil {
			t.Errorf("%v", ends)
		}
		whole(t, g)
	})
}

// Refused clients get appointments of their own, as far apart as the service's completions.
func TestAppointments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 1, Timeout: time.Hour, Admit: "limit:limit=2", Capacity: 10, Queue: "fifo"})
		var all sync.WaitGroup
		for range 2 { // one runs and one waits, so that completions count
			for range 20 {
				all.Go(func() {
					if ticket, err := g.Enter(t.Context(), Request{}); err == nil {
						time.Sleep(100 * time.Millisecond)
						ticket.Done(queue.Good)
					}
				})
			}
			synctest.Wait()
		}
		all.Wait()
		hold, err := g.Enter(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			ticket, _ := g.Enter(t.Context(), Request{})
			ticket.Done(queue.Good)
		})
		synctest.Wait()
		var after []time.Duration
		for range 5 {
			_, err := g.Enter(t.Context(), Request{})
			after = append(after, refusal(t, err).After)
		}
		for i := 1; i < len(after); i++ {
			if gap := after[i] - after[i-1]; gap < 90*time.Millisecond || gap > 110*time.Millisecond {
				t.Errorf("appointments %v: want them 100 ms apart", after)
			}
		}
		hold.Done(queue.Good)
		all.Wait()
	})
}

func TestConfigRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		"Concurrency": {Timeout: 1}, "Timeout": {Concurrency: 1}, "Queue": {Concurrency: 1, Timeout: 1, Queue: "nothing"}, "Capacity": {Concurrency: 1, Timeout: 1, Admit: "limit"},
		"Admit": {Concurrency: 1, Timeout: 1, Admit: "nothing", Capacity: 1}, "MostAfter": {Concurrency: 1, Timeout: 1, MostAfter: -1}, "slack": {Concurrency: 1, Timeout: time.Second, Queue: "slack:guard=0"},
	} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// A refused request is answered with a computed Retry-After, before its body is read. A panic gives the
// place back; the handler sees the client's deadline.
func TestHandler(t *testing.T) {
	g := gate(t, Config{Concurrency: 1, Timeout: time.Minute, Admit: "limit:limit=2", Capacity: 10})
	inside, leave := make(chan time.Duration), make(chan struct{})
	s := httptest.NewServer(Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic(http.ErrAbortHandler)
		}
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		left := time.Duration(0)
		if at, ok := r.Context().Deadline(); ok {
			left = time.Until(at)
		}
		inside <- left
		<-leave
	}), g, HTTP{Timeout: MillisHeader("X-Request-Timeout"), Class: func(*http.Request) queue.Class { return queue.Establish }}))
	defer s.Close()
	if res, err := http.Get(s.URL + "/panic"); err == nil {
		_ = res.Body.Close()
		t.Error("it did not panic")
	}
	ask := func() *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader("x"))
		req.Header.Set("X-Request-Timeout", "60000")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return &http.Response{Header: http.Header{}}
		}
		_ = res.Body.Close()
		return res
	}
	var all sync.WaitGroup
	all.Go(func() { ask() })
	if left := <-inside; left <= 0 || left > time.Minute {
		t.Errorf("the handler has %v", left)
	}
	all.Go(func() { ask() })
	for g.Stats().Waiting == 0 {
		time.Sleep(time.Millisecond)
	}
	if res := ask(); res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Retry-After") == "" || strings.Contains(res.Header.Get("Retry-After"), ".") {
		t.Errorf("a refusal: %d, Retry-After %q", res.StatusCode, res.Header.Get("Retry-After"))
	}
	close(leave)
	<-inside
	all.Wait()
	var text strings.Builder
	if err := g.WriteMetrics(&text, "x"); err != nil || !strings.Contains(text.String(), `x_refused_total{reason="refused"} 1`) || !strings.Contains(text.String(), "x_ran_total 3") {
		t.Errorf("%v\n%s", err, text.String())
	}
}

func TestTimeouts(t *testing.T) {
	for text, want := range map[string]time.Duration{"1H": time.Hour, "20m": 20 * time.Millisecond, "5u": 5 * time.Microsecond, "7n": 7, "99999999S": 99999999 * time.Second, "": 0, "1": 0, "1x": 0, "123456789S": 0, "-1S": 0, "0m": -1} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Grpc-Timeout", text)
		if got := GRPCTimeout(r); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
	for text, want := range map[string]time.Duration{"1500": 1500 * time.Millisecond, "": 0, "-1": -1, "0": -1, "1.5": 0, "9223372036854775807": 0} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X", text)
		if got := MillisHeader("X")(r); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// A request that finds a place costs no allocation.
func TestEnterAllocatesNothing(t *testing.T) {
	for _, cfg := range []Config{{}, {Admit: "limit", Capacity: 10}, {Queue: "edf"}} {
		cfg.Concurrency, cfg.Timeout = 2, time.Second
		g := gate(t, cfg)
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() {
			ticket, err := g.Enter(ctx, Request{})
			if err != nil {
				t.Fatal(err)
			}
			ticket.Done(queue.Good)
		}); n != 0 {
			t.Errorf("%+v: %v allocations", cfg, n)
		}
	}
}

func BenchmarkEnter(b *testing.B) {
	g := gate(b, Config{Concurrency: 4, Timeout: time.Second})
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		ticket, _ := g.Enter(ctx, Request{})
		ticket.Done(queue.Good)
	}
}

// What has left takes nobody's place: neither in a queue of a length, nor in its key, nor in the appointments.
// A class that is none is refused, and costs nobody else anything. A controller that is exchanged hears of
// those whom it let in.
func TestGhosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 1, Timeout: time.Minute, Queue: "bounded:limit=1"})
		hold, err := g.Enter(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := g.Enter(ctx, Request{Key: "a"}); refusal(t, err).Reason != queue.Expired {
				t.Errorf("%v: it did not wait", err)
			}
			cancel()
		}
		var all sync.WaitGroup
		ends := make([]error, 2)
		for i := range ends {
			all.Go(func() {
				ticket, err := g.Enter(t.Context(), Request{Key: "17"})
				ends[i] = err
				ticket.Done(queue.Good)
			})
			synctest.Wait()
		}
		if _, err := g.Enter(t.Context(), Request{Class: 9}); err == nil {
			t.Error("a class that is none")
		}
		hold.Done(queue.Good)
		all.Wait()
		if refusal(t, ends[0]).Reason != queue.Displaced || ends[1] != nil {
			t.Errorf("of one key: %v", ends)
		}
		whole(t, g)

		g = gate(t, Config{Concurrency: 100, Timeout: time.Minute})
		var tickets []Ticket
		for range 40 {
			ticket, err := g.Enter(t.Context(), Request{Class: queue.Establish})
			if err != nil {
				t.Fatal(err)
			}
			tickets = append(tickets, ticket)
		}
		if err := g.Set(Config{Concurrency: 100, Timeout: time.Minute, Admit: "limit:limit=10", Capacity: 100}); err != nil {
			t.Fatal(err)
		}
		for _, ticket := range tickets {
			ticket.Done(queue.Good)
		}
		in := 0
		for range 50 {
			if _, err := g.Enter(t.Context(), Request{Class: queue.Establish}); err == nil {
				in++
			}
		}
		if in != 10 {
			t.Errorf("%d were let in, want the limit of 10", in)
		}
	})
}

// A gate that was idle does not take the pause for its service time, and refused clients are spread also where
// no rate is known or the wait is cut off.
func TestAppointmentsAtTheirEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 1, Timeout: time.Hour})
		after := map[time.Duration]bool{}
		for range 100 {
			_, err := g.Enter(t.Context(), Request{Deadline: time.Now().Add(-1)})
			after[refusal(t, err).After] = true
		}
		if len(after) < 90 {
			t.Errorf("%d different appointments of 100 before the first completion", len(after))
		}
		serve := func() {
			ticket, err := g.Enter(t.Context(), Request{})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
			ticket.Done(queue.Good)
		}
		serve()
		hold, _ := g.Enter(t.Context(), Request{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		_, _ = g.Enter(ctx, Request{})
		cancel()
		time.Sleep(4 * time.Millisecond)
		hold.Done(queue.Good)
		time.Sleep(3 * time.Second)
		serve()
		_, err := g.Enter(t.Context(), Request{Deadline: time.Now().Add(-1)})
		if r := refusal(t, err); r.After > 100*time.Millisecond {
			t.Errorf("after a pause: come again in %v", r.After)
		}
	})
}

// Where an estimator is named, all refused clients hear what it says, and no appointment of the gate; it may say
// nothing. No wait is longer than MostAfter.
func TestEstimators(t *testing.T) {
	for _, tt := range []struct {
		admit string
		most  time.Duration
		want  time.Duration // at the door, in the queue, and late; -1: an appointment
	}{
		{"limit:limit=2+constant:wait=7s", 0, 7 * time.Second},
		{"limit:limit=2+constant:wait=7s", 2 * time.Second, 2 * time.Second},
		{"limit:limit=2+constant:wait=100s", 0, time.Minute},
		{"limit:limit=2+silent", 0, 0},
		{"limit:limit=2+drops", 0, time.Second},
		{"limit:limit=2+drain", 0, 0}, // it has measured nothing
		{"limit:limit=2", 0, -1},
		{"limit:limit=2", time.Millisecond, -1},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := gate(t, Config{Concurrency: 1, Timeout: 10 * time.Second, Admit: tt.admit, Capacity: 1, MostAfter: tt.most})
			check := func(what string, reason queue.Reason, err error) {
				t.Helper()
				r := refusal(t, err)
				if r.Reason != reason || tt.want >= 0 && r.After != tt.want || tt.want < 0 && (r.After <= 0 || r.After > g.Config().MostAfter) {
					t.Errorf("%s, %s: %v after %v, want %v after %v", tt.admit, what, r.Reason, r.After, reason, tt.want)
				}
			}
			establish := Request{Class: queue.Establish}
			hold, err := g.Enter(t.Context(), establish)
			if err != nil {
				t.Fatal(err)
			}
			var all sync.WaitGroup
			all.Go(func() {
				_, err := g.Enter(t.Context(), establish)
				check("late", queue.Expired, err)
			})
			synctest.Wait()
			_, err = g.Enter(t.Context(), establish)
			check("at the door", queue.Refused, err)
			all.Wait()
			hold.Done(queue.Good)
		})
	}
}

// Drain says how long the queue takes at the measured rate: the gate counts its ends for it.
func TestDrain(t *testing.T) {
	const ms, waiting = time.Millisecond, 5
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 1, Timeout: time.Hour, Admit: fmt.Sprintf("limit:limit=%d+drain", waiting+1), Capacity: 10})
		serve := func() {
			ticket, err := g.Enter(t.Context(), Request{Class: queue.Establish})
			if err != nil {
				t.Error(err)
			}
			time.Sleep(100 * ms)
			ticket.Done(queue.Good)
		}
		for range 40 {
			serve()
		}
		var all sync.WaitGroup
		for range waiting + 1 { // one runs
			all.Go(serve)
		}
		synctest.Wait()
		_, err := g.Enter(t.Context(), Request{Class: queue.Establish})
		if r := refusal(t, err); r.After < 450*ms || r.After > 550*ms {
			t.Errorf("%d wait, each takes 100 ms: come again in %v, want 450 to 550 ms", waiting, r.After)
		}
		all.Wait()
	})
}

// After a peak an idle gate gives the slots back, and a ticket of the peak that ends a second time ends nothing. A
// gate that is never idle does not.
func TestPeak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 2, Timeout: time.Hour, Queue: "fifo"})
		var mu sync.Mutex
		var tickets []Ticket
		peak := func() {
			var all sync.WaitGroup
			for range 300 {
				all.Go(func() {
					ticket, err := g.Enter(t.Context(), Request{})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					tickets = append(tickets, ticket)
					mu.Unlock()
					time.Sleep(time.Millisecond)
					ticket.Done(queue.Good)
				})
			}
			synctest.Wait()
			if len(g.slots) < 300 {
				t.Errorf("%d slots for 300 requests", len(g.slots))
			}
			all.Wait()
		}
		for range 2 {
			peak()
			whole(t, g)
			if len(g.slots) != 2+spare || len(g.unused) != 2+spare {
				t.Errorf("%d slots after the peak, %d of them free, want %d", len(g.slots), len(g.unused), 2+spare)
			}
		}
		hold, err := g.Enter(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		for _, ticket := range tickets {
			ticket.Done(queue.Good)
		}
		if s := g.Stats(); s.Running != 1 || s.Ran != 601 {
			t.Errorf("after the second ends of 600 tickets: %+v", s)
		}
		peak()
		if len(g.slots) < 300 {
			t.Errorf("%d slots while one still runs", len(g.slots))
		}
		hold.Done(queue.Good)
		whole(t, g)
	})
}

// A discipline of which most have left is made anew, which looks at none but those it has: not at the slots of a peak.
func TestLeavers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := gate(t, Config{Concurrency: 1, Timeout: time.Hour, Queue: "fifo"})
		hold, err := g.Enter(t.Context(), Request{})
		if err != nil {
			t.Fatal(err)
		}
		has := func() (n int) {
			for s := g.first; s != nil; s = s.behind {
				n++
			}
			return n
		}
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 300 {
			all.Go(func() { _, _ = g.Enter(ctx, Request{}) })
		}
		synctest.Wait()
		if has() != 300 {
			t.Errorf("the discipline has %d, want all 300", has())
		}
		leave()
		all.Wait()
		first := g.queue
		for i := range 3 {
			ctx, leave := context.WithTimeout(t.Context(), time.Second)
			_, _ = g.Enter(ctx, Request{})
			leave()
			if g.queue == first || g.queue.Len() != 1 || has() != 1 {
				t.Errorf("leaver %d: %d are in the queue, and %d in the list, want one that left", i, g.queue.Len(), has())
			}
		}
		if len(g.slots) < 300 {
			t.Errorf("%d slots while one runs", len(g.slots))
		}
		hold.Done(queue.Good)
		whole(t, g)
		if len(g.slots) != 1+spare || has() != 0 {
			t.Errorf("idle: %d slots, %d in the list", len(g.slots), has())
		}
	})
}
