package shield

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// transport answers by a script.
type transport func(r *http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func answer(status int, headers ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("body"))}
}

// A Client waits as long as it was asked to, sends the body again, and gives back the last answer.
func TestClientRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bodies []string
		n := 0
		c, err := NewClient(ClientConfig{Timeout: time.Second, Retry: "immediate", Seed: 1, Base: transport(func(r *http.Request) (*http.Response, error) {
			text, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(text))
			if n++; n == 1 {
				return answer(503, "Retry-After", "7"), nil
			}
			return answer(429, "Retry-After", "Mon, 20 Oct 2025 09:25:30 GMT", "Date", "Mon, 20 Oct 2025 09:25:20 GMT"), nil
		})})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodPost, "http://x/", strings.NewReader("hello"))
		began := time.Now()
		res, err := c.RoundTrip(req)
		if err != nil || res.StatusCode != http.StatusTooManyRequests || time.Since(began) != 17*time.Second || strings.Join(bodies, " ") != "hello hello hello" {
			t.Fatalf("%v, %v after %v, bodies %v", res, err, time.Since(began), bodies)
		}
		if text, err := io.ReadAll(res.Body); string(text) != "body" || err != nil {
			t.Errorf("the last answer's body: %q, %v", text, err)
		}
		_ = res.Body.Close()
	})
}

// It does not try again what cannot be sent again, what ends in the wait, and what was asked to wait for
// longer than it may.
func TestClientEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			after string
			body  io.Reader
			limit time.Duration
			tries int
		}{
			"body once": {"1", io.MultiReader(strings.NewReader("x")), 0, 1}, "deadline": {"30", nil, 10 * time.Second, 1}, "too long": {"61", nil, 0, 1}, "all": {"1", nil, 0, 3},
		} {
			n := 0
			c, err := NewClient(ClientConfig{Timeout: time.Second, Base: transport(func(*http.Request) (*http.Response, error) {
				n++
				return answer(503, "Retry-After", tt.after), nil
			})})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := t.Context(), func() {}
			if tt.limit > 0 {
				ctx, cancel = context.WithTimeout(ctx, tt.limit)
			}
			req, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/", tt.body)
			res, err := c.RoundTrip(req)
			if err != nil || n != tt.tries {
				t.Errorf("%s: %d tries, %v; want %d", name, n, err, tt.tries)
			} else {
				_ = res.Body.Close()
			}
			cancel()
		}
		failing, err := NewClient(ClientConfig{Timeout: time.Second, Tries: 2, Base: transport(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })})
		if err != nil {
			t.Fatal(err)
		}
		req, _ := http.NewRequest(http.MethodGet, "http://x/", nil)
		if _, err := failing.RoundTrip(req); !errors.Is(err, io.ErrUnexpectedEOF) { //nolint:bodyclose // there is none
			t.Error(err)
		}
	})
	for want, cfg := range map[string]ClientConfig{"Timeout": {}, "Tries": {Timeout: 1, Tries: -1}, "Retry": {Timeout: 1, Retry: "x"}, "MostAfter": {Timeout: 1, MostAfter: -1}} {
		if _, err := NewClient(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// Work is done once or dropped once, in the discipline's order, and dead work is not done.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ends := map[int]string{}
		q, err := NewQueue("deadline", time.Second, 10*time.Millisecond, 2, func(i int, why queue.Reason) {
			mu.Lock()
			defer mu.Unlock()
			if ends[i] != "" {
				t.Errorf("%d ends twice", i)
			}
			ends[i] = why.String()
		})
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for {
					i, deadline, err := q.Pop(t.Context())
					if err != nil {
						return
					}
					if !time.Now().Before(deadline) {
						t.Errorf("%d is dead", i)
					}
					mu.Lock()
					ends[i] += "done"
					mu.Unlock()
					time.Sleep(10 * time.Millisecond)
				}
			})
		}
		for i := range 500 {
			if err := q.Push(i, queue.Establish, time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		if err := q.Push(500, queue.Check, time.Now().Add(-time.Second)); err != nil {
			t.Error(err)
		}
		q.Close()
		all.Wait()
		done := 0
		for i := range 501 {
			if ends[i] != "done" && ends[i] != "expired" {
				t.Errorf("%d: %q", i, ends[i])
			}
			if ends[i] == "done" {
				done++
			}
		}
		if done < 150 || done > 205 || ends[500] != "expired" || q.Len() != 0 {
			t.Errorf("%d done: two workers do 200 in a second; the dead one: %q", done, ends[500])
		}
		if err := q.Push(1, 0, time.Time{}); err == nil {
			t.Error("a closed queue takes work")
		}
		if _, err := NewQueue[int]("deadline", 0, 0, 1, nil); err == nil {
			t.Error("no timeout")
		}
		if _, err := NewQueue[int]("nothing", 1, 0, 1, nil); err == nil {
			t.Error("no discipline")
		}
	})
}
