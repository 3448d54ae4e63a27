package fleet

import (
	"cmp"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

const sec = time.Second

// waits is a retry policy of one fixed wait.
type waits time.Duration

func (w waits) Wait(admit.Failure, *rand.Rand) time.Duration { return time.Duration(w) }

func config(droplets, broken int) Config {
	return Config{
		Droplets: droplets, Broken: broken, Outage: dwfm.Window{From: sec, To: 2 * sec}, Spread: sec / 10,
		Interval: 20 * sec, TTL: 60 * sec, Timeout: sec, Retry: waits(0), Seed: 1,
	}
}

func newFleet(t testing.TB, cfg Config) *Fleet {
	t.Helper()
	f, err := New(cfg, func(i uint32, _ time.Duration) (lease.ID, error) { return lease.MakeID(i, 1), nil })
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// drain takes everything that is due at now.
func drain(f *Fleet, now time.Duration) []queue.Item {
	var all []queue.Item
	dst := make([]queue.Item, 7)
	for {
		n := f.Next(now, dst)
		all = append(all, dst[:n]...)
		if n < len(dst) {
			return all
		}
	}
}

func good(now time.Duration, it *queue.Item, id lease.ID) []dwfm.Answer {
	return []dwfm.Answer{{Born: it.Born, Until: now + 60*sec, Lease: uint64(id), Droplet: it.Droplet, Class: it.Class}}
}

// Checks come evenly, one a droplet and interval, as long as they are answered.
func TestSteady(t *testing.T) {
	f := newFleet(t, config(1000, 0))
	last := map[uint32]time.Duration{}
	for now := time.Duration(0); now < 100*sec; now += sec {
		items := drain(f, now)
		if len(items) < 30 && now > 0 || len(items) > 70 {
			t.Errorf("%d checks in the second before %v, want about 50", len(items), now)
		}
		for i := range items {
			it := &items[i]
			if prev, ok := last[it.Droplet]; it.Class != queue.Check || it.Try != 0 || it.Born > now || ok && it.Born != prev+20*sec {
				t.Fatalf("%+v at %v, the last was born at %v", it, now, prev)
			}
			last[it.Droplet] = it.Born
			f.Answers(now, good(now, it, lease.ID(it.Lease)))
		}
	}
	if len(last) != 1000 || f.Lost() != 0 {
		t.Errorf("%d droplets asked and %d lost their lease; want 1000 and 0", len(last), f.Lost())
	}
}

// The broken ask once each within the spread after the return, then once a timeout.
func TestBroken(t *testing.T) {
	f := newFleet(t, config(1000, 100))
	establishes := func(items []queue.Item) (out []queue.Item) {
		for _, it := range items {
			if it.Class == queue.Establish {
				out = append(out, it)
			}
		}
		return out
	}
	if got := establishes(drain(f, 2*sec-1)); len(got) != 0 {
		t.Fatalf("%d establishes before the return", len(got))
	}
	first := establishes(drain(f, 2*sec+sec/10))
	if len(first) != 100 || f.Lost() != 100 {
		t.Fatalf("%d establishes, %d lost; want 100", len(first), f.Lost())
	}
	var without []time.Duration
	f.Leased = func(d time.Duration) { without = append(without, d) }
	now := 2*sec + sec/5
	for i := range first[:40] {
		it := &first[i]
		if it.LeaseUntil != 0 || it.Deadline() != it.Born+sec || it.Born < 2*sec {
			t.Fatalf("%+v", it)
		}
		f.Answers(now, good(now, it, lease.MakeID(it.Droplet, 2)))
	}
	if f.Lost() != 60 || len(without) != 40 {
		t.Fatalf("%d lost, %d times to lease; want 60, 40", f.Lost(), len(without))
	}
	for _, d := range without {
		if d < sec/5 || d > sec+sec/5 {
			t.Errorf("a time to lease of %v: lost between 1 s and 2 s, leased at %v", d, now)
		}
	}
	second := establishes(drain(f, 3*sec+sec/10))
	if len(second) != 60 {
		t.Fatalf("%d asked again, want the 60 without an answer", len(second))
	}
	for _, it := range second {
		if it.Try != 1 || it.Born < 3*sec {
			t.Fatalf("%+v", it)
		}
	}
	// The answer to the first try comes after its time-out: the manager has acted on it.
	for i := range first {
		if first[i].Droplet == second[0].Droplet {
			f.Answers(3*sec+sec/10, good(3*sec, &first[i], lease.MakeID(first[i].Droplet, 2)))
		}
	}
	if f.Lost() != 59 {
		t.Errorf("%d lost after an answer that crossed its time-out, want 59", f.Lost())
	}
	for _, it := range establishes(drain(f, 4*sec+sec/10)) {
		if it.Droplet == second[0].Droplet {
			t.Errorf("droplet %d asks although it was answered", it.Droplet)
		}
	}
}

// A refusal is followed by the policy's wait; without one, by the time-out.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ wait, next time.Duration }{{0, sec}, {3 * sec, 3*sec + sec/2}} {
		cfg := config(1, 0)
		cfg.Retry = waits(tt.wait)
		f := newFleet(t, cfg)
		var items []queue.Item
		now := time.Duration(0)
		for ; len(items) == 0; now += sec / 2 {
			items = drain(f, now)
		}
		f.Refused(items[0].Born+sec/2, items)
		again := drain(f, items[0].Born+tt.next)
		if len(again) != 1 || again[0].Born != items[0].Born+tt.next || again[0].Try != 1 {
			t.Errorf("wait %v: refused half a second after birth at %v: got %+v", tt.wait, items[0].Born, again)
		}
	}
}

// A droplet whose checks stay without an answer loses its lease, and asks for a new one.
func TestLoses(t *testing.T) {
	f := newFleet(t, config(100, 0))
	seen := map[queue.Class]int{}
	for now := time.Duration(0); now < 62*sec; now += sec {
		for _, it := range drain(f, now) {
			seen[it.Class]++
			if (it.Class == queue.Establish) != (it.Born >= 40*sec && it.LeaseUntil == 0) {
				t.Fatalf("%+v", it)
			}
		}
	}
	if f.Lost() != 100 || seen[queue.Establish] == 0 || seen[queue.Check] < 40*100 {
		t.Errorf("%d lost, %v", f.Lost(), seen)
	}
}

func TestDue(t *testing.T) {
	f := newFleet(t, config(100, 10))
	now := time.Duration(0)
	for range 5000 {
		due := f.Due(now)
		if due < now {
			t.Fatalf("due at %v, it is %v", due, now)
		}
		if due > now && len(drain(f, due-1)) > 0 {
			t.Fatalf("something was due before %v", due)
		}
		now = due
		for i, items := 0, drain(f, now); i < len(items); i++ {
			f.Answers(now, good(now, &items[i], lease.ID(items[i].Lease)))
		}
	}
}

// Launches come as a Poisson stream, on all droplets, and leave the droplets' own
// attempts alone.
func TestLaunches(t *testing.T) {
	cfg := config(1000, 0)
	cfg.Launches = 500
	f := newFleet(t, cfg)
	launches, checks, zones := 0, 0, map[uint8]int{}
	for now := time.Duration(0); now < 100*sec; now += sec / 10 {
		items := drain(f, now)
		for i := range items {
			it := &items[i]
			if it.Class != queue.Launch {
				checks++
				f.Answers(now, good(now, it, lease.ID(it.Lease)))
				continue
			}
			launches++
			zones[it.Zone]++
			switch i % 3 {
			case 0:
				f.Refused(now, items[i:i+1])
			case 1:
				f.Answers(now, []dwfm.Answer{{Born: it.Born, Droplet: it.Droplet, Class: queue.Launch, Outcome: queue.Failed}})
			}
		}
	}
	// 50,000 are expected; five times the standard deviation is 1,118.
	if launches < 48_800 || launches > 51_200 || checks < 4990 || checks > 5010 || f.Lost() != 0 {
		t.Errorf("%d launches, %d checks, %d lost; want about 50,000, 5,000, none", launches, checks, f.Lost())
	}
	f.SetLaunches(100*sec, 0)
	for _, it := range drain(f, 101*sec) {
		if it.Class == queue.Launch && it.Born > 100*sec {
			t.Errorf("a launch after the stream was stopped: %+v", it)
		}
	}
}

// The wheel gives back what was put in, in order, however far ahead.
func TestWheel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWheel()
		var want []timer
		now := time.Duration(0)
		for i := range uint32(200) {
			due := now + time.Duration(rapid.Int64Range(0, int64(100*sec)).Draw(t, "delay"))
			if rapid.Bool().Draw(t, "soon") {
				due = now + time.Duration(rapid.Int64Range(0, 3e6).Draw(t, "delay"))
			}
			w.add(timer{due, i})
			want = append(want, timer{due, i})
			now += time.Duration(rapid.Int64Range(0, int64(3*sec)).Draw(t, "step"))
			last := time.Duration(0)
			for w.due(now) <= now {
				got := w.take()
				if got.due > now || got.due < last {
					t.Fatalf("at %v: %v after %v", now, got, last)
				}
				last = got.due
				for k := range want {
					if want[k] == got {
						want = append(want[:k], want[k+1:]...)
						break
					}
				}
			}
			for _, x := range want {
				if x.due <= now {
					t.Fatalf("at %v: %v is missing", now, x)
				}
				if d := w.due(now); d > x.due {
					t.Fatalf("at %v: due says %v, there is %v", now, d, x)
				}
			}
			if w.n != len(want) {
				t.Fatalf("%d timers, want %d", w.n, len(want))
			}
		}
	})
}

// Time-outs come in the order of the asks, but those of attempts that are over; a place is
// free again as soon as its attempt is.
func TestAttempts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := newAttempts(sec)
		var want []uint32 // droplets whose attempts are out, by birth
		place, born := map[uint32]uint32{}, map[uint32]time.Duration{}
		now, next, most := time.Duration(0), uint32(0), 0
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				for range rapid.IntRange(1, 40).Draw(t, "n") {
					now += time.Duration(rapid.Int64Range(0, 1e6).Draw(t, "step"))
					a, p := l.add(now)
					a.droplet, place[next], born[next] = next, p, now
					want = append(want, next)
					next++
				}
				most = max(most, len(want))
			},
			"end": func(t *rapid.T) {
				for range min(len(want), rapid.IntRange(1, 30).Draw(t, "n")) {
					i := rapid.IntRange(0, len(want)-1).Draw(t, "which")
					l.end(place[want[i]])
					want = slices.Delete(want, i, i+1)
				}
			},
			"take": func(t *rapid.T) {
				for range min(len(want), rapid.IntRange(1, 30).Draw(t, "n")) {
					p := l.take()
					a := l.at(p)
					if a.droplet != want[0] {
						t.Fatalf("took droplet %d, want %d", a.droplet, want[0])
					}
					want = want[1:]
					if rapid.Bool().Draw(t, "again") {
						a.again(now)
						l.push(a, p)
						want, born[a.droplet] = append(want, a.droplet), now
					} else {
						l.drop(p)
					}
				}
			},
			"": func(t *rapid.T) {
				due := never
				if len(want) > 0 {
					due = born[want[0]] + sec
				}
				if l.due() != due {
					t.Fatalf("due at %v, want %v", l.due(), due)
				}
				if places := len(l.slabs) * slabAttempts; places >= most+slabAttempts {
					t.Fatalf("%d places for %d attempts at most", places, most)
				}
			},
		})
	})
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"droplets": func(c *Config) { c.Droplets = 0 }, "broken": func(c *Config) { c.Broken = 2000 },
		"timeout": func(c *Config) { c.Timeout = 0 }, "interval": func(c *Config) { c.Interval = 1 },
		"ttl": func(c *Config) { c.TTL = sec }, "outage": func(c *Config) { c.Outage.To = 0 },
		"spread": func(c *Config) { c.Spread = -1 }, "zones": func(c *Config) { c.Zones = 257 }, "number of tries": func(c *Config) { c.LaunchTries = 255 }, "retry": func(c *Config) { c.Retry = nil },
	} {
		cfg := config(1000, 10)
		change(&cfg)
		if cfg.Validate() == nil {
			t.Errorf("a bad %s is valid", name)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	f := newFleet(b, config(1_000_000, 0))
	dst := make([]queue.Item, 64)
	answers := make([]dwfm.Answer, 64)
	now := time.Duration(0)
	for i := 0; i < b.N; {
		now = f.Due(now) + 64*20*time.Microsecond
		n := f.Next(now, dst)
		for k := range dst[:n] {
			answers[k] = good(now, &dst[k], lease.ID(dst[k].Lease))[0]
		}
		f.Answers(now, answers[:n])
		i += n
	}
}

// asked counts how often a policy is asked, and what it says.
type asked struct {
	admit.Retry
	waits []time.Duration
	prev  []time.Duration
	why   admit.Cause // of the last failure
}

func (a *asked) Wait(f admit.Failure, rng *rand.Rand) time.Duration {
	w := a.Retry.Wait(f, rng)
	a.waits, a.prev, a.why = append(a.waits, w), append(a.prev, f.Prev), f.Why
	return w
}

// An attempt that comes to nothing is charged to the policy once, with its cause, whether it is
// refused, or fails, or times out, or is refused and then times out since the policy chose no
// wait.
func TestFailureIsChargedOnce(t *testing.T) {
	causes := map[string]admit.Cause{"time-out": admit.TimedOut, "refused": admit.Refused, "failed": admit.Errored, "refused twice": admit.Refused}
	for _, entry := range admit.Retries.List() {
		for how := range causes {
			r, err := admit.MakeRetry(entry.Name, sec)
			if err != nil {
				t.Fatal(err)
			}
			policy := &asked{Retry: r}
			cfg := config(1, 1)
			cfg.Retry = policy
			f := newFleet(t, cfg)
			attempts := 0
			for now := time.Duration(0); now < 60*sec; now += sec / 100 {
				for _, it := range drain(f, now) {
					if attempts++; int(it.Try) != min(attempts-1, 255) {
						t.Fatalf("%s, %s: attempt %d says that %d came to nothing before it", entry.Name, how, attempts, it.Try)
					}
					for range strings.Count(how, "refused") + strings.Count(how, "twice") {
						items := []queue.Item{it}
						items[0].Why = queue.Refused
						f.Refused(now, items)
					}
					if how == "failed" {
						f.Answers(now, []dwfm.Answer{{Born: it.Born, Droplet: it.Droplet, Class: it.Class, Outcome: queue.Failed}})
					}
				}
			}
			if want := causes[how]; policy.why != want {
				t.Errorf("%s, %s: the policy heard of cause %d, want %d", entry.Name, how, policy.why, want)
			}
			// The last attempt may still be out, or not be charged yet.
			if n := len(policy.waits); n != attempts && n != attempts-1 {
				t.Errorf("%s, %s: the policy was asked %d times about %d attempts", entry.Name, how, n, attempts)
			}
		}
	}
}

// A policy hears of its last wait as it was, whatever its length, to a thousandth of it.
func TestPreviousWait(t *testing.T) {
	for _, ref := range []string{"decorrelated:base=0.0002", "decorrelated", "decorrelated:base=200,cap=100000"} {
		r, err := admit.MakeRetry(ref, sec)
		if err != nil {
			t.Fatal(err)
		}
		policy := &asked{Retry: r}
		cfg := config(1, 1)
		cfg.Retry = policy
		f := newFleet(t, cfg)
		for now := time.Duration(0); len(policy.waits) < 30; now = max(now+1, f.Due(now)) {
			drain(f, now)
		}
		for i, prev := range policy.prev[1:] {
			if d := float64(prev - policy.waits[i]); math.Abs(d) > 1e-3*float64(policy.waits[i]) {
				t.Errorf("%s: told of a wait of %v, and it was %v", ref, prev, policy.waits[i])
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, math.MaxInt64).Draw(t, "wait")) >> rapid.IntRange(0, 63).Draw(t, "shift")
		if got := longWait(shortWait(d)); math.Abs(float64(got-d)) > float64(d)/2000 {
			t.Fatalf("%d is %d", d, got)
		}
	})
}

// However rare launches are, the next one is not before the last.
func TestRareLaunches(t *testing.T) {
	for _, rate := range []float64{1e-300, 1e-9, 1e-3, math.SmallestNonzeroFloat64} {
		f := &Fleet{rng: rand.New(rand.NewPCG(1, 1))}
		f.SetLaunches(time.Hour, rate)
		for range 1000 {
			before := f.launch.first
			if f.launch.advance(f.rng); f.launch.first < before || before < time.Hour {
				t.Fatalf("at %g a second: a launch at %v, then one at %v", rate, before, f.launch.first)
			}
		}
	}
}

// A droplet whose check failed is silent until the dependency is back. Then it checks its lease, or
// asks for a new one if the lease has lapsed.
func TestResume(t *testing.T) {
	for back, want := range map[time.Duration]queue.Class{30 * sec: queue.Check, 200 * sec: queue.Establish} {
		cfg := config(50, 0)
		cfg.Resume = func(time.Duration, uint32) time.Duration { return back }
		f := newFleet(t, cfg)
		for now := time.Duration(0); now < back; now += sec / 4 {
			items := drain(f, now)
			if now >= 21*sec && len(items) > 0 {
				t.Fatalf("at %v, before %v: %v asks", now, back, items[0].Class)
			}
			for i := range items {
				f.Answers(now, []dwfm.Answer{{Born: items[i].Born, Droplet: items[i].Droplet, Class: items[i].Class, Outcome: queue.Failed}})
			}
		}
		cfg.Resume, f.cfg.Resume = nil, nil
		items := drain(f, back+cfg.Spread)
		if len(items) != 50 {
			t.Errorf("%d of 50 ask after the dependency's return at %v", len(items), back)
		}
		for i := range items {
			if it := &items[i]; it.Class != want || it.Born < back || it.Born > back+cfg.Spread || it.Try != 0 {
				t.Errorf("after the return at %v: %+v, want a first %v", back, it, want)
			}
		}
	}
}

// counting is a policy that counts the droplets with an attempt out.
type counting struct {
	waits
	out map[uint32]bool
}

func (c *counting) Wait(f admit.Failure, rng *rand.Rand) time.Duration {
	delete(c.out, f.Droplet)
	return c.waits.Wait(f, rng)
}
func (c *counting) Good(_ time.Duration, droplet uint32)     { delete(c.out, droplet) }
func (c *counting) Asked(_ time.Duration, droplet uint32)    { c.out[droplet] = true }
func (c *counting) Silenced(_ time.Duration, droplet uint32) { delete(c.out, droplet) }

// A watcher knows what is out at any time: the attempts of the last timeout that have not ended.
func TestWatcher(t *testing.T) {
	const droplets = 200
	policy := &counting{waits: waits(sec / 2), out: map[uint32]bool{}}
	cfg := config(droplets, 100)
	cfg.Retry = policy
	cfg.Resume = func(now time.Duration, droplet uint32) time.Duration {
		if droplet%3 == 0 {
			return now + 3*sec
		}
		return 0
	}
	f := newFleet(t, cfg)
	born := map[uint32]time.Duration{}
	most := 0
	for now := time.Duration(0); now < 30*sec; now += sec / 100 {
		items := drain(f, now)
		for who, at := range born {
			if at+sec <= now {
				delete(born, who)
			}
		}
		for i := range items {
			it := &items[i]
			born[it.Droplet] = it.Born
			if it.Class == queue.Check {
				f.Answers(now, good(now, it, lease.ID(it.Lease)))
				delete(born, it.Droplet)
				continue
			}
			switch int(now/sec) % 4 {
			case 1: // it times out
			case 2:
				it.Why = queue.Refused
				f.Refused(now, items[i:i+1])
				delete(born, it.Droplet)
			case 3:
				f.Answers(now, []dwfm.Answer{{Born: it.Born, Droplet: it.Droplet, Class: it.Class, Outcome: queue.Failed}})
				delete(born, it.Droplet)
			}
		}
		most = max(most, len(born))
		if !maps.Equal(keys(born), policy.out) {
			t.Fatalf("at %v the policy knows of %d attempts that are out, want %d", now, len(policy.out), len(born))
		}
	}
	if most < 20 {
		t.Errorf("at most %d were out at once: the test says little", most)
	}
}

func keys(born map[uint32]time.Duration) map[uint32]bool {
	all := map[uint32]bool{}
	for who := range born {
		all[who] = true
	}
	return all
}

// The ranges of a fleet lose, break and check the leases that the whole fleet does, at the same times.
func TestRange(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		whole := config(rapid.IntRange(1, 300).Draw(r, "droplets"), 0)
		whole.Zones, whole.Seed = rapid.IntRange(1, 4).Draw(r, "zones"), rapid.Uint64().Draw(r, "seed")
		whole.Broken = rapid.IntRange(0, whole.Droplets).Draw(r, "broken")
		type asked struct {
			born    time.Duration
			droplet uint32
			zone    uint8
			class   queue.Class
		}
		asks := func(cfg Config) (all []asked) {
			for _, it := range drain(newFleet(t, cfg), 2100*time.Millisecond) {
				if it.Try == 0 {
					all = append(all, asked{it.Born, it.Droplet, it.Zone, it.Class})
				}
			}
			return all
		}
		want := asks(whole)
		var got []asked
		cut := rapid.Uint32Range(0, uint32(whole.Droplets)).Draw(r, "cut")
		for _, part := range []Range{{0, cut}, {cut, uint32(whole.Droplets)}} {
			cfg := whole
			if cfg.Range = part; part == (Range{}) {
				continue // it stands for all
			}
			for _, a := range asks(cfg) {
				if a.droplet < part.From || a.droplet >= part.To {
					r.Fatalf("range %v: droplet %d asks", part, a.droplet)
				}
				got = append(got, a)
			}
		}
		by := func(a, b asked) int { return cmp.Or(cmp.Compare(a.born, b.born), cmp.Compare(a.droplet, b.droplet)) }
		slices.SortFunc(got, by)
		slices.SortFunc(want, by)
		if !slices.Equal(got, want) {
			r.Fatalf("the ranges ask %v, the whole %v", got, want)
		}
	})
}

// A range has its share of the launches, on its own droplets, and draws waits of its own.
func TestRangeLaunches(t *testing.T) {
	cfg := config(100, 0)
	cfg.Launches = 1000
	for _, even := range []bool{false, true} {
		var first [2]time.Duration
		for i, part := range []Range{{0, 25}, {25, 50}} {
			cfg.Range, cfg.LaunchesEven = part, even
			n := 0
			for _, it := range drain(newFleet(t, cfg), 10*sec) {
				if it.Class != queue.Launch {
					continue
				}
				if n++; n == 1 {
					first[i] = it.Born
				}
				if it.Droplet < part.From || it.Droplet >= part.To {
					t.Fatalf("range %v: a launch on droplet %d", part, it.Droplet)
				}
			}
			if n < 2250 || n > 2750 { // 2500 ± 5 standard deviations
				t.Errorf("range %v, even %v: %d launches in 10 s, want about 2500", part, even, n)
			}
		}
		if first[0] == first[1] {
			t.Errorf("even %v: both ranges draw the same", even)
		}
	}
}
