package fleet

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

const ms = time.Millisecond

// told is a policy that counts what it is told, and holds hedges back while held is set.
type told struct {
	waits
	held                  bool
	asked, failed, hedges int
	last                  admit.Failure
}

func (p *told) Wait(f admit.Failure, rng *rand.Rand) time.Duration {
	p.failed++
	p.last = f
	return p.waits.Wait(f, rng)
}
func (p *told) Hedge(time.Duration, uint32, int) bool { p.asked++; return !p.held }
func (p *told) HedgeFailed(time.Duration, uint32) {
	p.hedges++
}

// hedging is one droplet that hedges after 100 ms, up to three attempts, at its first check.
func hedging(t *testing.T, p *told) (f *Fleet, first queue.Item) {
	t.Helper()
	cfg := config(1, 0)
	cfg.HedgeAfter, cfg.HedgeMost, cfg.Retry = 100*ms, 3, p
	f = newFleet(t, cfg)
	items := drain(f, f.Due(0))
	if len(items) != 1 || items[0].Class != queue.Check {
		t.Fatalf("first %+v", items)
	}
	return f, items[0]
}

// one takes the one attempt that is due behind a birth, and none before.
func one(t *testing.T, f *Fleet, born, behind time.Duration) queue.Item {
	t.Helper()
	if early := drain(f, born+behind-1); len(early) > 0 {
		t.Fatalf("%v behind: early %+v", behind, early)
	}
	items := drain(f, born+behind)
	if len(items) != 1 || items[0].Born != born+behind {
		t.Fatalf("%v behind: %+v", behind, items)
	}
	return items[0]
}

// Hedges come one behind the other, with births of their own and the deadline of the first attempt. They
// are no tries, and end with the request.
func TestHedges(t *testing.T) {
	f, first := hedging(t, &told{})
	for n := 1; n <= 2; n++ {
		h := one(t, f, first.Born, time.Duration(n)*100*ms)
		if h.Deadline() != first.Deadline() || h.Try != 0 || h.Class != queue.Check || h.Lease != first.Lease || h.LeaseUntil != first.LeaseUntil {
			t.Errorf("hedge %d: %+v, the first %+v", n, h, first)
		}
	}
	again := one(t, f, first.Born, sec)
	if again.Try != 1 || again.Deadline() != first.Born+2*sec {
		t.Errorf("after the time-out: %+v", again)
	}
	h := one(t, f, again.Born, 100*ms)
	if h.Try != 1 || h.Deadline() != again.Deadline() {
		t.Errorf("hedge of the second try: %+v", h)
	}
	var after []time.Duration
	f.Answered = func(_ queue.Class, d time.Duration) { after = append(after, d) }
	now := h.Born + 50*ms
	f.Answers(now, good(now, &h, lease.ID(h.Lease)))
	if got := f.Hedges(); got != (Hedges{Sent: 3, Won: 1}) || len(after) != 1 || after[0] != 150*ms {
		t.Errorf("%+v, answered after %v", got, after)
	}
	if next := one(t, f, again.Born, 20*sec); next.Try != 0 || next.Class != queue.Check {
		t.Errorf("the next check, an interval behind the request: %+v", next)
	}
}

// refuse, errored and fail end an attempt in the ways that a droplet hears of.
func refuse(f *Fleet, it queue.Item, now, after time.Duration) {
	it.Why = queue.Refused
	it.SetRetryAfter(after)
	f.Refused(now, []queue.Item{it})
}

func errored(f *Fleet, it queue.Item, now, after time.Duration) {
	it.Why = queue.Refused
	it.SetRetryAfter(after)
	f.Errored(now, []queue.Item{it})
}

func fail(f *Fleet, it queue.Item, now, _ time.Duration) {
	f.Answers(now, []dwfm.Answer{{Born: it.Born, Droplet: it.Droplet, Class: it.Class, Outcome: queue.Failed}})
}

// What the manager asked for at any attempt of a request is heard when the request fails, however that is:
// the longest wait, and never is longer than any. The next request knows nothing of it.
func TestHedgesPushBacks(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second time.Duration // what the manager asks for; below 0: never
		end           func(f *Fleet, it queue.Item, now, after time.Duration)
		want          time.Duration
	}{
		"the first":        {5 * sec, 0, refuse, 5 * sec},
		"the second":       {0, 5 * sec, refuse, 5 * sec},
		"the longer":       {5 * sec, 2 * sec, errored, 5 * sec},
		"the other":        {2 * sec, 5 * sec, errored, 5 * sec},
		"never and a time": {-1, 2 * sec, refuse, -1},
		"a time and never": {2 * sec, -1, refuse, -1},
		"then a failure":   {5 * sec, 0, fail, 5 * sec},
		"then a time-out":  {5 * sec, 0, nil, 5 * sec},
		"nothing":          {0, 0, refuse, 0},
	} {
		p := &told{waits: waits(300 * ms)}
		f, first := hedging(t, p)
		h := one(t, f, first.Born, 100*ms)
		refuse(f, first, h.Born, tt.first)
		failed := first.Born + sec
		if tt.end != nil {
			failed = h.Born + 10*ms
			tt.end(f, h, failed, tt.second)
		}
		again := one(t, f, failed, 300*ms)
		if p.failed != 1 || p.last.After != tt.want {
			t.Errorf("%s: %d failures, the last one's wait is %v; want %v", name, p.failed, p.last.After, tt.want)
		}
		h = one(t, f, again.Born, 100*ms)
		p.held = true // stops the hedges, too
		drain(f, h.Born+100*ms)
		refuse(f, again, h.Born+100*ms, 0)
		if refuse(f, h, h.Born+100*ms, 0); p.failed != 2 || p.last.After != 0 || len(f.pushBacks) > 0 {
			t.Errorf("%s: the next request: %d failures, wait %v, %d push-backs kept", name, p.failed, p.last.After, len(f.pushBacks))
		}
	}
	// A good answer ends it, too.
	p := &told{waits: waits(300 * ms)}
	f, first := hedging(t, p)
	h := one(t, f, first.Born, 100*ms)
	refuse(f, first, h.Born, 5*sec)
	if f.Answers(h.Born, good(h.Born, &h, lease.ID(h.Lease))); len(f.pushBacks) > 0 {
		t.Errorf("%d push-backs are kept of an answered request", len(f.pushBacks))
	}
}

// The request fails with its last attempt: then the policy hears of one failure, and before of hedges.
func TestHedgesFail(t *testing.T) {
	for name, end := range map[string]func(*Fleet, queue.Item, time.Duration, time.Duration){"refused": refuse, "failed": fail, "errored": errored} {
		p := &told{waits: waits(300 * ms)}
		f, first := hedging(t, p)
		h := one(t, f, first.Born, 100*ms)
		end(f, first, h.Born, 0) // the hedge is out
		if p.failed != 0 || p.hedges != 1 {
			t.Errorf("%s: one of two attempts: %d failures, %d hedges", name, p.failed, p.hedges)
		}
		second := one(t, f, first.Born, 200*ms)
		end(f, h, second.Born, 0)
		if p.failed != 0 || p.hedges != 2 {
			t.Errorf("%s: two of three attempts: %d failures, %d hedges", name, p.failed, p.hedges)
		}
		end(f, second, second.Born+10*ms, 0)
		if want := map[bool]admit.Cause{true: admit.Refused, false: admit.Errored}[name == "refused"]; p.failed != 1 || p.hedges != 2 || p.last.Why != want {
			t.Errorf("%s: all attempts: %d failures of cause %d, %d hedges", name, p.failed, p.last.Why, p.hedges)
		}
		if again := one(t, f, second.Born, 310*ms); again.Try != 1 {
			t.Errorf("%s: the retry: %+v", name, again)
		}
	}
	// A refusal before the first hedge is the request's, and no hedge follows.
	p := &told{waits: waits(300 * ms)}
	f, first := hedging(t, p)
	refuse(f, first, first.Born+10*ms, 0)
	if again := one(t, f, first.Born, 310*ms); again.Try != 1 || p.failed != 1 || p.asked != 0 {
		t.Errorf("refused before the hedge: %+v, %+v", again, p)
	}
	// Of a wait of 0 the droplet waits for the time-out, without hedges.
	p = &told{}
	f, first = hedging(t, p)
	refuse(f, first, first.Born+10*ms, 0)
	one(t, f, first.Born, sec)
	// A push-back stops the hedges of the request.
	p = &told{waits: waits(300 * ms)}
	f, first = hedging(t, p)
	h := one(t, f, first.Born, 100*ms)
	refuse(f, h, h.Born+10*ms, 5*sec)
	if again := one(t, f, first.Born, sec+300*ms); again.Try != 1 || p.failed != 1 || p.hedges != 1 {
		t.Errorf("after a push-back: %+v, %+v", again, p)
	}
	// So does a budget. Attempts that time out together count one by one.
	p = &told{}
	f, first = hedging(t, p)
	one(t, f, first.Born, 100*ms)
	p.held = true
	if one(t, f, first.Born, sec); p.failed != 1 || p.hedges != 1 || f.Hedges() != (Hedges{Sent: 1, Held: 1}) {
		t.Errorf("held back: %+v, %+v", p, f.Hedges())
	}
}

// A droplet is silenced with the last attempt of its request, and no hedge of it comes after. Its request after the
// return is another one.
func TestHedgesResume(t *testing.T) {
	cfg := config(1, 0)
	p := &told{waits: waits(300 * ms)}
	cfg.HedgeAfter, cfg.HedgeMost, cfg.Retry, cfg.Spread = 100*ms, 3, p, 0
	var back time.Duration
	cfg.Resume = func(time.Duration, uint32) time.Duration { return back }
	f := newFleet(t, cfg)
	first := drain(f, f.Due(0))[0]
	back = first.Born + 5*sec
	h := one(t, f, first.Born, 100*ms)
	refuse(f, first, h.Born, 9*sec) // stops the hedges
	fail(f, h, h.Born+10*ms, 0)
	again := one(t, f, first.Born, 5*sec)
	if again.Try != 0 || again.Deadline() != again.Born+sec || p.failed != 0 || p.hedges != 1 {
		t.Errorf("after the return: %+v; the policy heard %+v", again, p)
	}
	h = one(t, f, again.Born, 100*ms)
	one(t, f, again.Born, 200*ms)
	if one(t, f, again.Born, sec+300*ms); p.last.After != 0 {
		t.Errorf("the next request: the policy hears of a wait of %v", p.last.After)
	}
	now := again.Born + sec + 350*ms // the hedge's answer crosses the time-out
	var after time.Duration
	f.Answered = func(_ queue.Class, d time.Duration) { after = d }
	if f.Answers(now, good(now, &h, lease.ID(h.Lease))); after != now-h.Born || f.Hedges().Won != 0 {
		t.Errorf("an answer that crosses the time-out: after %v, %+v; want %v", after, f.Hedges(), now-h.Born)
	}
}

// What a droplet has out is one request of at most HedgeMost attempts, whatever becomes of them.
func TestHedgesRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := config(20, 10)
		cfg.Seed = rapid.Uint64().Draw(t, "seed")
		cfg.HedgeAfter = time.Duration(rapid.Int64Range(1, 999).Draw(t, "after")) * ms
		cfg.HedgeMost = rapid.IntRange(2, 5).Draw(t, "most")
		cfg.Interval = rapid.SampledFrom([]time.Duration{sec, 20 * sec}).Draw(t, "interval") // the shorter, with jitter: a check replaces another
		cfg.Jitter = rapid.SampledFrom([]float64{0, 0.99}).Draw(t, "jitter")
		cfg.Wait = rapid.SampledFrom([]time.Duration{0, sec / 5}).Draw(t, "w")
		if rapid.Bool().Draw(t, "resume") {
			cfg.Resume = func(now time.Duration, droplet uint32) time.Duration {
				return now + time.Duration(droplet%3)*sec // some are left to the policy
			}
		}
		ref := rapid.SampledFrom([]string{"", "0", "immediate", "envoy-budget", "grpc-pushback", "retry-budget", "retry-after"}).Draw(t, "retry")
		switch ref {
		case "":
			cfg.Retry = waits(sec / 3)
		case "0":
			cfg.Retry = waits(0)
		default:
			cfg.Retry, _ = admit.MakeRetry(ref, sec)
		}
		rng := rand.New(rand.NewPCG(cfg.Seed, 1))
		f, err := New(cfg, func(i uint32, _ time.Duration) (lease.ID, error) { return lease.MakeID(i, 1), nil })
		if err != nil {
			t.Fatal(err)
		}
		out := map[uint32][]queue.Item{} // by droplet: the attempts of its last request, and those that ended
		ended := map[queue.Item]bool{}
		pushed := map[queue.Item]bool{} // by first attempt: one of the request was told when to ask again
		requests, firsts, hedges := map[queue.Item]bool{}, 0, 0
		for now := time.Duration(0); now < 25*sec; {
			now = max(f.Due(now), now+1)
			last := time.Duration(0)
			for _, it := range drain(f, now) {
				if it.Born < last || it.Born > now {
					t.Fatalf("at %v: born at %v, after one born at %v", now, it.Born, last)
				}
				last = it.Born
				all := out[it.Droplet]
				if len(all) > 0 && all[0].Deadline() == it.Deadline() {
					hedges++
					if n := len(all); n >= cfg.HedgeMost || it.Born != all[0].Born+time.Duration(n)*cfg.HedgeAfter || it.Try != all[0].Try {
						t.Fatalf("hedge %d of %+v: %+v", n, all[0], it)
					}
					live := false
					for _, a := range all {
						live = live || !ended[a]
					}
					if !live || pushed[all[0]] {
						t.Fatalf("a hedge of a request that is over, or whose hedges are stopped: %+v", it)
					}
					out[it.Droplet] = append(all, it)
					continue
				}
				if firsts++; it.Deadline() != it.Born+sec || requests[it] {
					t.Fatalf("a first attempt: %+v", it)
				}
				requests[it] = true
				out[it.Droplet] = []queue.Item{it}
			}
			for droplet := range uint32(cfg.Droplets) {
				all := out[droplet]
				for _, it := range all {
					if ended[it] || now >= it.Deadline() {
						continue
					}
					switch rng.IntN(20) {
					case 0:
						id := lease.ID(it.Lease)
						if it.Class == queue.Establish {
							id = lease.MakeID(droplet, id.Epoch()+1)
						}
						f.Answers(now, good(now, &it, id))
						for _, a := range all {
							ended[a] = true
						}
					case 1:
						refuse(f, it, now, 0)
						ended[it] = true
					case 2:
						after := []time.Duration{-1, sec / 2, 3 * sec}[rng.IntN(3)]
						[]func(*Fleet, queue.Item, time.Duration, time.Duration){refuse, errored}[rng.IntN(2)](f, it, now, after)
						ended[it], pushed[all[0]] = true, true
					case 3:
						fail(f, it, now, 0)
						ended[it] = true
					}
				}
			}
		}
		if got := f.Hedges(); got.Sent != hedges || got.Won > got.Sent || firsts < cfg.Broken {
			t.Fatalf("%d firsts, %d hedges, the fleet counted %+v", firsts, hedges, got)
		}
	})
}
