package shield

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasestorm/leasestorm/queue/admit"
)

// scripted is a Client whose tries end as the words of the request's path say: a status, err for a broken connection,
// slow for no answer. The last word holds for all further tries. ask returns the waits between the tries.
func scripted(t *testing.T, cfg ClientConfig) (ask func(method, words string) (waits []time.Duration), c *Client) {
	t.Helper()
	var mu sync.Mutex
	tries := map[string][]time.Time{}
	cfg.Timeout, cfg.Seed = time.Second, 1
	cfg.Base = transport(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		n := len(tries[r.URL.Fragment])
		tries[r.URL.Fragment] = append(tries[r.URL.Fragment], time.Now())
		mu.Unlock()
		words := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		status := 0
		switch word := words[min(n, len(words)-1)]; word {
		case "err":
			return nil, io.ErrUnexpectedEOF
		case "slow":
			<-r.Context().Done()
			return nil, fmt.Errorf("a transport: %w", r.Context().Err())
		default:
			if _, err := fmt.Sscan(word, &status); err != nil {
				t.Error(err)
			}
			return answer(status), nil
		}
	})
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	return func(method, words string) (waits []time.Duration) {
		mu.Lock()
		asked++
		name := fmt.Sprint(asked)
		mu.Unlock()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x/"+words+"#"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if res, err := c.RoundTrip(r); err == nil {
			_ = res.Body.Close()
		}
		mu.Lock()
		defer mu.Unlock()
		at := tries[name]
		for i := 1; i < len(at); i++ {
			waits = append(waits, at[i].Sub(at[i-1]))
		}
		return waits
	}, c
}

// causes is a policy that keeps what it was told.
type causes struct{ told []admit.Cause }

func (c *causes) Wait(f admit.Failure, _ *rand.Rand) time.Duration {
	c.told = append(c.told, f.Why)
	return 0
}

// A policy hears how each try failed, that of the last one included.
func TestCauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ask, c := scripted(t, ClientConfig{Tries: 6})
		heard := &causes{}
		c.wait.policy = heard
		ask(http.MethodGet, "429/503/err/slow/err/503")
		ask(http.MethodPost, "slow") // may not be carried out twice
		ask(http.MethodGet, "500")   // is the caller's to judge
		ask(http.MethodGet, "200")
		want := []admit.Cause{admit.Refused, admit.Refused, admit.Errored, admit.TimedOut, admit.Errored, admit.Refused, admit.TimedOut}
		if !slices.Equal(heard.told, want) {
			t.Errorf("causes %v, want %v", heard.told, want)
		}
	})
}

// Policies that count the tries of each request do so for requests that run at a time. Where they give up, the
// caller gets the answer at once. Their budget is that of all requests.
func TestPoliciesThatGiveUp(t *testing.T) {
	for _, tt := range []struct {
		name, retry string
		asks        []string // method and words
		tries       []int
	}{
		{"mongodb, refused", "mongodb", []string{"GET 503"}, []int{3}},
		{"mongodb, broken", "mongodb", []string{"GET err"}, []int{2}},
		{"mongodb, broken and refused", "mongodb:retries=3", []string{"GET err/503"}, []int{4}},
		{"aws-sdk", "aws-sdk", []string{"GET err", "GET 503", "GET err/200"}, []int{3, 3, 2}},
		{"aws-sdk, one bucket", "aws-sdk:tokens=20", []string{"GET err", "GET 503", "GET 503"}, []int{2, 2, 1}},
		{"aws-sdk, what a retry cost comes back", "aws-sdk:tokens=14", []string{"GET err/200", "GET err/200", "GET err", "GET err"}, []int{2, 2, 2, 1}},
		{"aws-sdk, nothing is taken for what cannot be sent again", "aws-sdk:tokens=14", []string{"POST err", "POST slow", "GET err/200"}, []int{1, 1, 2}},
		{"aws-sdk, one token for a first try after a request that was lost", "aws-sdk:tokens=14", []string{"GET err", "GET 200", "GET err"}, []int{2, 1, 1}},
		{"finagle, a fifth of the balance", "finagle-budget:reserve=0,ratio=1", []string{"GET 200", "GET 200", "GET 200", "GET 200", "GET 200", "GET err"}, []int{1, 1, 1, 1, 1, 3}},
		{"finagle, a lost request deposits", "finagle-budget:reserve=0,ratio=0.5", []string{"POST err", "GET err"}, []int{1, 2}},
		{"finagle, nothing left", "finagle-budget:reserve=0,ratio=0.5", []string{"GET err"}, []int{1}},
		{"grpc, a failure that cannot be tried again drains the budget", "grpc-pushback:tokens=4", []string{"GET err/200", "POST err", "GET err/200"}, []int{2, 1, 1}},
		{"grpc, above half of it", "grpc-pushback:tokens=8", []string{"GET err/200", "POST err", "GET err/200"}, []int{2, 1, 2}},
		{"linkerd, nothing is taken for what cannot be sent again", "linkerd-budget:reserve=0,ratio=1", []string{"GET 200", "POST err", "GET err/200"}, []int{1, 1, 2}},
		{"linkerd", "linkerd-budget:reserve=0,ratio=1", []string{"GET err", "GET 200", "GET err", "GET err"}, []int{1, 1, 2, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ask, _ := scripted(t, ClientConfig{Retry: tt.retry, Tries: 10})
				for i, a := range tt.asks {
					method, words, _ := strings.Cut(a, " ")
					if n := 1 + len(ask(method, words)); n != tt.tries[i] {
						t.Errorf("request %d, %s: %d tries, want %d", i, a, n, tt.tries[i])
					}
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ask, c := scripted(t, ClientConfig{Retry: "mongodb", Tries: 10})
		if waits := ask(http.MethodGet, "err"); fmt.Sprint(waits) != "[0s]" {
			t.Errorf("a broken connection: waits %v, want one of 0", waits)
		}
		if waits := ask(http.MethodGet, "503"); len(waits) != 2 || waits[0] <= 0 || waits[1] <= 0 {
			t.Errorf("a refusal: waits %v, want two with jitter", waits)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if n := 1 + len(ask(http.MethodGet, "503")); n != 3 {
					t.Errorf("at a time: %d tries, want 3", n)
				}
			})
		}
		all.Wait()
		if r := c.wait; len(r.unused) != int(r.droplet) || r.droplet > 20 {
			t.Errorf("%d numbers were given to 20 calls at a time, and %d came back", r.droplet, len(r.unused))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/503#left", nil)
		if res, err := c.RoundTrip(req); err == nil {
			_ = res.Body.Close()
		}
		if n := 1 + len(ask(http.MethodGet, "503")); n != 3 {
			t.Errorf("after a caller that left: %d tries, want 3", n)
		}
	})
	for _, p := range []string{"aws-sdk", "envoy-budget", "finagle-budget", "grpc-pushback:attempts=2", "linkerd-budget"} {
		with := p + ":"
		if strings.Contains(p, ":") {
			with = p + ","
		}
		for clients, want := range map[string]string{"clients=3": "one client", "clients=0": "one client", "clients=1": "", "pause=1": ""} {
			if _, err := NewRetrier(with+clients, time.Second, 1); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%s%s: %v, want %q", with, clients, err, want)
			}
		}
	}
}

// An Envoy's budget is a share of the requests that are out, and a request that has ended has no place in it: after
// the most tries, a caller that left in the wait, and an answer that nobody learns from.
func TestEnvoyBudget(t *testing.T) {
	for _, tt := range []struct {
		retry         string
		out, fail, ok int
	}{
		{"envoy-budget", 3, 3, 3},
		{"envoy-budget", 10, 10, 3},
		{"envoy-budget", 100, 100, 16}, // the 17th finds 83 out, 16.6 and 16 retries
		{"envoy-budget:percent=100", 100, 100, 50},
		{"envoy-budget:percent=0", 100, 100, 3},
		{"envoy-budget:min=0", 4, 1, 0},
	} {
		r, err := NewRetrier(tt.retry, time.Second, 1)
		if err != nil {
			t.Fatal(err)
		}
		calls, got := make([]*Call, tt.out), 0
		for i := range calls {
			calls[i] = r.Begin()
			calls[i].Try()
		}
		for _, c := range calls[:tt.fail] {
			if _, ok := c.Failed(admit.Errored, 0, true); ok {
				got++
			}
		}
		if got != tt.ok {
			t.Errorf("%s: %d of %d retried with %d out, want %d", tt.retry, got, tt.fail, tt.out, tt.ok)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		ask, c := scripted(t, ClientConfig{Retry: "envoy-budget:percent=0,retries=5", Tries: 2})
		for i := range 8 {
			if n := 1 + len(ask(http.MethodGet, "err")); n != 2 {
				t.Errorf("request %d: %d tries, want 2", i, n)
			}
		}
		for range 8 {
			ctx, leave := context.WithCancel(t.Context())
			time.AfterFunc(1, leave)
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/503#left", nil)
			if res, err := c.RoundTrip(req); err == nil {
				_ = res.Body.Close()
				t.Errorf("%v, want the context's error in the wait", res.Status)
			}
		}
		if n := 1 + len(ask(http.MethodGet, "err/200")); n != 2 {
			t.Errorf("after callers that left: %d tries, want 2", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ask, c := scripted(t, ClientConfig{Retry: "envoy-budget:percent=100,min=0", Tries: 2})
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { ask(http.MethodPost, "slow") })
		}
		synctest.Wait()
		if n := 1 + len(ask(http.MethodGet, "err/200")); n != 2 {
			t.Errorf("three others are out: %d tries, want 2", n)
		}
		all.Wait()
		var calls []*Call
		for range 3 {
			calls = append(calls, c.wait.Begin())
			calls[len(calls)-1].Try()
		}
		for _, call := range calls {
			call.End()
		}
		if n := 1 + len(ask(http.MethodGet, "err")); n != 1 {
			t.Errorf("nothing else is out: %d tries, want 1", n)
		}
	})
}
