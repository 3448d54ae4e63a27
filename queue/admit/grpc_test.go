package admit

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// gRFC A6, with U(0.8, 1.2) = 1.2. A wait of −1 ns is a push-back that says never.
func TestGRPCPushback(t *testing.T) {
	for _, tt := range []struct{ name, params, ends, waits string }{
		{"four attempts", "", "late refused error late", "120 240 480 up"},
		{"capped, then the jitter", "initial=500ms,attempts=5", "late late late late late", "600 1200 1200 1200 up"},
		{"its wait, without jitter", "", "refused:3s", "3000"},
		{"the backoff starts over", "", "late late refused:7ms late", "120 240 7 up"},
		{"the backoff starts over, five", "attempts=5", "late late refused:7ms late late", "120 240 7 120 up"},
		{"never", "", "refused:-1ns", "up"},
		{"never, later", "", "late refused:-1ns late", "120 up 120"},
		{"good ends a request", "", "late late good late", "120 240 120"},
		{"one attempt", "attempts=1", "refused:1ms", "up"},
		// 9.1 tokens after one turn, 5.5 after five, and then 4.5.
		{"throttled", "", "late good late good late good late good late good late", "120 120 120 120 120 up"},
		{"never takes a token", "", "refused:-1ns refused:-1ns refused:-1ns refused:-1ns late", "up up up up up"},
		{"a shared throttle", "clients=5", "late 5/late 10/late 15/late 20/late 1/late", "120 120 120 120 up 120"},
		{"no throttle", "tokens=0", "late good late good late good late good late good late", "120 120 120 120 120 120"},
		{"droplets apart", "", "late 1/late late 1/late", "120 120 240 240"},
	} {
		r := retry(t, strings.TrimSuffix("grpc-pushback:pause=1000,"+tt.params, ","), time.Second)
		if got := play(t, r, tt.ends); got != tt.waits {
			t.Errorf("%s: waits %s\nwant %s", tt.name, got, tt.waits)
		}
	}
}

// A6's vector: five failures of ten tokens stop the retries, and one good answer lets them go on.
func TestGRPCThrottle(t *testing.T) {
	r := retry(t, "grpc-pushback", time.Second).(*grpcPushback)
	for range 5 {
		r.Wait(Failure{Tries: 1, Timeout: time.Second}, atMost)
	}
	if got := *r.tokens.of(0); got != 5*token || got > r.most/2 {
		t.Errorf("%d tokens after five failures, want 5e9", got)
	}
	r.Good(0, 0)
	if got := *r.tokens.of(0); got != 5*token+token/10 || got <= r.most/2 {
		t.Errorf("%d tokens after a good answer, want 5.1e9", got)
	}
}

// Without a word of the manager the wait is U(0.8, 1.2) of 100 ms.
func TestGRPCJitter(t *testing.T) {
	r := retry(t, "grpc-pushback:tokens=0", time.Second)
	rng := rand.New(rand.NewPCG(1, 2))
	least, most := time.Hour, time.Duration(0)
	for i := range uint32(10_000) {
		wait := r.Wait(Failure{Tries: 1, Timeout: time.Second, Droplet: i}, rng)
		least, most = min(least, wait), max(most, wait)
	}
	const ms = time.Millisecond
	if least < 80*ms || least > 81*ms || most > 120*ms || most < 119*ms {
		t.Errorf("from %v to %v, want 80 to 120 ms", least, most)
	}
}

// A manager that says never to a share of the refused says a wait to the others.
func TestConstantNever(t *testing.T) {
	for _, tt := range []struct {
		ref         string
		least, most int
	}{{"limit:limit=1+constant", 0, 0}, {"limit:limit=1+constant:never=0.25", 2350, 2650}, {"limit:limit=1+constant:never=1", 9999, 9999}} {
		_, items := door(make1(t, tt.ref, testConfig), time.Second, queue.Establish, 0, 10_000, 1)
		never := 0
		for i := range items[1:] {
			switch items[1+i].RetryAfter() {
			case -1:
				never++
			case time.Second:
			default:
				t.Fatalf("%s: told %v", tt.ref, items[1+i].RetryAfter())
			}
		}
		if never < tt.least || never > tt.most {
			t.Errorf("%s: %d were told never, want %d to %d", tt.ref, never, tt.least, tt.most)
		}
	}
}
