package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// A ledger counts the leases as a set of deadlines does.
func TestLedger(t *testing.T) {
	rng := rand.New(rand.NewPCG(testseed.Draw(t), 0))
	const droplets = 50
	l := newLedger(droplets, time.Second)
	until := make([]time.Duration, droplets)
	for i := range until {
		until[i] = time.Duration(rng.IntN(3000)) * time.Millisecond
		l.seed(uint32(i), until[i])
	}
	now := time.Duration(0)
	for range 20_000 {
		now += time.Duration(rng.IntN(5)) * time.Millisecond
		if rng.IntN(4) == 0 {
			d := rng.IntN(droplets)
			until[d] = now + time.Duration(rng.IntN(200))*ledgerBucket
			l.extend(uint32(d), until[d])
		}
		l.expire(now)
		want := 0
		for _, u := range until {
			if u/ledgerBucket+1 > now/ledgerBucket {
				want++
			}
		}
		if l.live != want {
			t.Fatalf("%d live at %v, want %d", l.live, now, want)
		}
	}
}

// scripted is a client whose service answers at once, as a function says.
type scripted struct {
	answer  func(a *client.Attempt) client.Reply
	replies []client.Reply
	sent    int
}

func (c *scripted) Send(a *client.Attempt) {
	c.sent++
	c.replies = append(c.replies, c.answer(a))
}

func (c *scripted) Replies(dst []client.Reply) int {
	n := copy(dst, c.replies)
	c.replies = c.replies[n:]
	return n
}
func (c *scripted) Out() int            { return len(c.replies) }
func (c *scripted) Stats() client.Stats { return client.Stats{Requests: uint64(c.sent)} }
func (c *scripted) Close()              {}

// asks is a source of one attempt per call, up to most, that keeps what it is told.
type asks struct {
	most, made       int
	refused, errored []queue.Item
	answered         []dwfm.Answer
}

func (s *asks) Next(now time.Duration, dst []queue.Item) int {
	if s.made == s.most {
		return 0
	}
	s.made++
	dst[0] = queue.Item{Born: now, Timeout: queue.ToMicros(time.Second), Droplet: uint32(s.made-1) % 10, Class: queue.Establish}
	return 1
}
func (s *asks) Refused(_ time.Duration, items []queue.Item) { s.refused = append(s.refused, items...) }
func (s *asks) Errored(_ time.Duration, items []queue.Item) { s.errored = append(s.errored, items...) }
func (s *asks) Answers(_ time.Duration, answers []dwfm.Answer) {
	s.answered = append(s.answered, answers...)
}

func runTarget(t *testing.T, ctx context.Context, most int, limits client.Limits, answer func(a *client.Attempt) client.Reply) (*asks, TargetResult, *record.Log, error) {
	t.Helper()
	source := &asks{most: most}
	log := record.NewLog(record.Shape{Leases: 10, Workers: 1, Step: 10 * time.Millisecond, Phases: []record.Phase{{Name: "steady"}}})
	target := &Target{Client: &scripted{answer: answer}, Clock: host.NewClock(), Limits: limits, Interval: 7 * time.Second, Turn: 100 * time.Microsecond}
	seed := target.Seed(10, time.Minute)
	for i := range 10 {
		if _, err := seed(uint32(i), 1); err != nil {
			t.Fatal(err)
		}
	}
	res, err := target.Run(ctx, &Plan{Source: source, Log: log, End: 30 * time.Millisecond, WatchPeriod: time.Millisecond})
	return source, res, log, err
}

// A service's answers reach the droplets and the record: a good one grants a lease, a refusal hands on
// the wait that was asked for, as a failure and an answer that says late do. A time-out reaches nobody.
func TestTarget(t *testing.T) {
	n := 0
	source, res, log, err := runTarget(t, t.Context(), 7, client.Limits{}, func(a *client.Attempt) client.Reply {
		r := client.Reply{Attempt: *a, Sent: a.Born, Done: a.Born + time.Millisecond, Status: 200}
		switch n++; n {
		case 2:
			r.Outcome, r.Status, r.After = queue.Shed, 503, 3*time.Second
		case 3:
			r.Outcome, r.Status, r.Kind = queue.Late, -1, client.TimedOut
		case 4:
			r.Outcome, r.Status, r.Kind = queue.Failed, -1, client.Reset
		case 5:
			r.Outcome, r.Status, r.NoRetry = queue.Shed, 14, true
		case 6:
			r.Outcome, r.Status, r.After = queue.Late, 504, 2*time.Second
		case 7:
			r.Outcome, r.Status, r.After = queue.Failed, 500, 4*time.Second
		}
		return r
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(source.answered) != 1 || source.answered[0].Outcome != queue.Good || source.answered[0].Lease == 0 || source.answered[0].Until < time.Minute {
		t.Errorf("answers %+v, want one good one with a lease for a minute", source.answered)
	}
	waits := func(items []queue.Item) (after []time.Duration) {
		for i := range items {
			after = append(after, items[i].RetryAfter())
		}
		return after
	}
	if got := waits(source.refused); !slices.Equal(got, []time.Duration{3 * time.Second, 7 * time.Second}) {
		t.Errorf("waits of the refused %v, want 3s and the interval of 7s", got)
	}
	if got := waits(source.errored); !slices.Equal(got, []time.Duration{0, 2 * time.Second, 4 * time.Second}) {
		t.Errorf("waits of the failed and late %v, want none, 2s and 4s", got)
	}
	total := log.Total()
	for out, want := range [queue.Outcomes]uint64{1, 2, 2, 2} {
		if got := total.Done[out][queue.Establish]; got != want {
			t.Errorf("%d %v, want %d", got, queue.Outcome(out), want)
		}
	}
	if total.Busy != 0 || total.Unaccounted(res.Queued) != 0 {
		t.Errorf("busy %v, %d unaccounted: want 0 of both", total.Busy, total.Unaccounted(res.Queued))
	}
	if res.Kinds[client.TimedOut] != 1 || res.Kinds[client.Reset] != 1 || res.Status[200] != 1 || res.Status[503] != 1 || res.Good != 1 || res.GoodTime != time.Millisecond {
		t.Errorf("kinds %v, statuses %v, %d good in %v", res.Kinds, res.Status, res.Good, res.GoodTime)
	}
}

// A limit ends the run and says which; an interrupt is an error.
func TestTargetStops(t *testing.T) {
	good := func(a *client.Attempt) client.Reply {
		return client.Reply{Attempt: *a, Sent: a.Born, Done: a.Born, Status: 200}
	}
	for name, limits := range map[string]client.Limits{"requests": {Requests: 20}, "rate": {Rate: 20}} {
		source, res, _, err := runTarget(t, t.Context(), 1000, limits, good)
		if err != nil || res.Stopped == "" || source.made > 21 {
			t.Errorf("%s: stopped by %q after %d attempts, %v; want 20 or 21", name, res.Stopped, source.made, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, _, err := runTarget(t, ctx, 1, client.Limits{}, good); !errors.Is(err, context.Canceled) {
		t.Errorf("an interrupted run: %v", err)
	}
}
