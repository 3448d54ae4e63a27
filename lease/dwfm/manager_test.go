package dwfm_test

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

const sec = time.Second

func manager(t *testing.T, table, q, controller string) *dwfm.Manager {
	t.Helper()
	return managerOf(t, table, q, controller, dwfm.Costs{Class: [queue.Classes]float64{1, 4, 2}, Dead: 0.5, Backlog: 0.1})
}

func managerOf(t *testing.T, table, q, controller string, costs dwfm.Costs) *dwfm.Manager {
	t.Helper()
	return managerWith(t, table, q, controller, costs, nil)
}

func managerWith(t *testing.T, table, q, controller string, costs dwfm.Costs, r *dwfm.Requests) *dwfm.Manager {
	t.Helper()
	env := queue.Config{Timeout: sec, Workers: 1}
	if r != nil {
		env.Answered = r.Answered
	}
	tab, err := lease.Make(table, lease.Env{Leases: 10, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	d, err := queue.Make(q, env)
	if err != nil {
		t.Fatal(err)
	}
	c, err := admit.Make(controller, admit.Config{Timeout: sec, Capacity: 10, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := dwfm.New(dwfm.Config{
		Droplets: 10, TTL: time.Minute, Table: tab, Queue: d, Admit: c, Dependency: dwfm.Away{From: 5 * sec, To: 6 * sec},
		Costs: costs, Requests: r,
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// The epoch check, call by call, with every table.
func TestComplete(t *testing.T) {
	for _, e := range lease.Catalog.List() {
		t.Run(e.Name, func(t *testing.T) {
			m := manager(t, e.Name, "fifo", "none")
			w := m.Worker(0)
			id, err := m.Seed(0, 10*sec, 3)
			if err != nil {
				t.Fatal(err)
			}
			do := func(what string, class queue.Class, token uint64, born, done time.Duration, want queue.Outcome) dwfm.Answer {
				t.Helper()
				it := queue.Item{Born: born, Timeout: queue.ToMicros(sec), Droplet: 3, Class: class, Lease: token}
				var a dwfm.Answer
				w.Complete(born, done, &it, &a)
				if a.Outcome != want || a.Droplet != 3 || a.Born != born || a.Class != class || (a.Lease != 0) != (want == queue.Good) {
					t.Errorf("%s: %+v, want %v", what, a, want)
				}
				return a
			}
			old := uint64(id)
			if a := do("a check", queue.Check, old, sec, sec+1, queue.Good); a.Until != sec+1+time.Minute || a.Lease != old {
				t.Errorf("a check: %+v", a)
			}
			do("a check that is done at its deadline", queue.Check, old, sec, 2*sec, queue.Late)
			do("a launch", queue.Launch, old, sec, sec+1, queue.Good)
			do("an establish in the outage", queue.Establish, old, 5*sec, 5*sec+1, queue.Failed)
			a := do("an establish", queue.Establish, old, 6*sec, 6*sec+1, queue.Good)
			do("the same again", queue.Establish, old, 6*sec, 6*sec+2, queue.Late)
			do("a check under the old lease", queue.Check, old, 7*sec, 7*sec+1, queue.Late)
			do("a launch under the old lease", queue.Launch, old, 7*sec, 7*sec+1, queue.Failed)
			do("a check under the new one", queue.Check, a.Lease, 7*sec, 7*sec+1, queue.Good)
			if n := m.Expire(10 * time.Minute); n != 1 || m.Table().Live() != 0 || m.Live() != 0 {
				t.Errorf("the sweep ended %d, %d are live; want 1 and 0", n, m.Table().Live())
			}
			do("an establish after the lapse", queue.Establish, a.Lease, 600*sec, 600*sec+1, queue.Good)
			if m.Table().Live() != 1 || m.Live() != 1 {
				t.Errorf("%d live, want 1: a droplet holds at most one lease", m.Table().Live())
			}
		})
	}
}

func TestOfferTake(t *testing.T) {
	m := manager(t, "lockfree", "deadline", "token-bucket:rate=1,burst=0.2")
	items := make([]queue.Item, 6)
	for i := range items {
		items[i] = queue.Item{Born: sec, Timeout: queue.ToMicros(time.Duration(i) * sec / 4), Droplet: uint32(i), Class: queue.Establish}
	}
	items[5].Class = queue.Check
	if n := m.Offer(sec, items); n != 3 || items[3].Why != queue.Refused || m.Queued() != 3 {
		t.Fatalf("queued %d of %+v, want two establishes and the check", n, items)
	}
	dst := make([]queue.Item, 4)
	taken, dropped := m.Worker(0).Take(sec+sec/10, dst)
	if taken != 2 || dropped != 1 || dst[0].Droplet != 1 || dst[1].Droplet != 5 || dst[3].Droplet != 0 || dst[3].Why != queue.Expired {
		t.Errorf("taken %d, dropped %d of %+v", taken, dropped, dst)
	}
}

func TestCost(t *testing.T) {
	m := manager(t, "mutex", "fifo", "none")
	it := queue.Item{Class: queue.Establish, Timeout: queue.ToMicros(sec)}
	if got := m.Cost(0, &it); got != 4 {
		t.Errorf("a live establish costs %v, want 4", got)
	}
	if got := m.Cost(sec, &it); got != 2 {
		t.Errorf("a dead one costs %v, want 2", got)
	}
	m.Offer(0, make([]queue.Item, 5))
	if got := m.Cost(0, &it); got != 6 {
		t.Errorf("with five waiting it costs %v, want 6", got)
	}
}

// A spell slows the services that begin in it, or those of the attempts that arrived in it.
func TestSlow(t *testing.T) {
	for _, tt := range []struct {
		arrivals    bool
		offered, at time.Duration
		want        float64
	}{
		{false, 0, 1 * sec, 4}, {false, 0, 2 * sec, 16}, {false, 2 * sec, 3 * sec, 4}, {false, 2 * sec, 2*sec + sec/2, 16},
		{true, 0, 1 * sec, 4}, {true, 0, 2 * sec, 4}, {true, 2 * sec, 3 * sec, 16}, {true, 2 * sec, 2*sec + sec/2, 16}, {true, 3 * sec, 3 * sec, 4},
	} {
		costs := dwfm.Costs{Class: [queue.Classes]float64{1, 4, 4}, Dead: 1, Slow: 0.75, Slowed: dwfm.Window{From: 2 * sec, To: 3 * sec}, SlowArrivals: tt.arrivals}
		m := managerOf(t, "mutex", "fifo", "none", costs)
		items := []queue.Item{{Class: queue.Establish, Born: tt.offered, Timeout: queue.ToMicros(10 * sec)}}
		m.Offer(tt.offered, items)
		if got := m.Cost(tt.at, &items[0]); got != tt.want {
			t.Errorf("by arrivals %v, offered at %v, taken up at %v: %v, want %v", tt.arrivals, tt.offered, tt.at, got, tt.want)
		}
	}
}

// drainAll carries out a restart, with newcomers that come between two calls, and returns
// what was shed.
func drainAll(m *dwfm.Manager, w *dwfm.Worker, now time.Duration, newcomers int) (shed []queue.Item) {
	dst := make([]queue.Item, 4)
	for n := w.Drain(now, dst); n > 0; n = w.Drain(now, dst) {
		shed = append(shed, dst[:n]...)
		if newcomers > 0 {
			newcomers--
			m.Offer(now+time.Millisecond, []queue.Item{{Born: now + time.Millisecond, Droplet: uint32(newcomers), Timeout: queue.Forever}})
		}
	}
	return shed
}

// Of two restarts before a worker comes, the second empties its share of what the first
// leaves, in either order.
func TestRestartsCombine(t *testing.T) {
	for _, tt := range []struct {
		shares []float64
		want   int
	}{
		{[]float64{1}, 100}, {[]float64{0.5}, 50}, {[]float64{0.25, 0.01}, 26}, {[]float64{0.01, 0.25}, 26},
		{[]float64{1, 0.01}, 100}, {[]float64{0.01, 1}, 100}, {[]float64{0.5, 0.5, 0.5}, 88},
	} {
		m := manager(t, "mutex", "fifo", "none")
		m.Offer(0, make([]queue.Item, 100))
		for _, s := range tt.shares {
			m.Restart(s)
		}
		if got := len(drainAll(m, m.Worker(0), sec, 0)); got != tt.want {
			t.Errorf("shares %v: %d of 100 shed, want %d", tt.shares, got, tt.want)
		}
	}
}

// A restart sheds what waits when it begins, also where newcomers are given out first; those
// stay, in their order, and none is lost.
func TestRestartKeepsNewcomers(t *testing.T) {
	for _, q := range []string{"fifo", "lifo", "lifo-lockfree", "deadline", "edf", "bounded:limit=100", "percore:parts=3+lifo"} {
		m := manager(t, "mutex", q, "none")
		w := m.Worker(0)
		old := make([]queue.Item, 40)
		for i := range old {
			old[i] = queue.Item{Droplet: uint32(i), Timeout: queue.Forever}
		}
		m.Offer(0, old)
		m.Restart(1)
		shed := drainAll(m, w, sec, 10)
		for _, it := range shed {
			if it.Offered() > sec || it.Why != queue.Restarted {
				t.Errorf("%s: a newcomer, or for another reason: %+v", q, it)
			}
		}
		if len(shed) != 40 || m.Queued() != 10 {
			t.Errorf("%s: %d of 40 shed, and %d of 10 newcomers wait", q, len(shed), m.Queued())
		}
	}
}

// far is a dependency that is there for even droplets only, and takes a time to say so.
type far struct{ takes time.Duration }

func (d far) Ask(_ time.Duration, droplet uint32) (bool, time.Duration) {
	return droplet%2 == 0, d.takes
}

// checked is far for checks, too.
type checked struct{ far }

func (c checked) AtOnce() bool { return c.takes == 0 }

// An establish takes as long as the dependency's answer on top of its work, and fails if that
// says no. A check calls nobody, unless the dependency is a Checked one.
func TestDependency(t *testing.T) {
	slow := far{30 * time.Millisecond}
	for _, tt := range []struct {
		d          dwfm.Dependency
		plain      bool
		check, est float64
		failed     queue.Outcome // of a check on a droplet for which the dependency is not there
	}{
		{slow, false, 1, 4 + 3, queue.Good},
		{checked{slow}, false, 1 + 3, 4 + 3, queue.Failed},
		{checked{}, true, 1, 4, queue.Failed},
	} {
		testDependency(t, tt.d, tt.plain, tt.check, tt.est, tt.failed)
	}
}

func testDependency(t *testing.T, d dwfm.Dependency, plain bool, check, est float64, failed queue.Outcome) {
	tab, err := lease.Make("mutex", lease.Env{Leases: 10, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	q, err := queue.Make("fifo", queue.Config{Timeout: sec, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	c, err := admit.Make("none", admit.Config{Timeout: sec, Capacity: 10, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := dwfm.New(dwfm.Config{
		Droplets: 10, TTL: time.Minute, Table: tab, Queue: q, Admit: c, Dependency: d,
		Costs: dwfm.Costs{Class: [queue.Classes]float64{1, 4, 2}, Dead: 1, Check: 10 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	if m.Plain() != plain {
		t.Errorf("%T: plain %v; a manager whose dependency takes its time is no plain one", d, !plain)
	}
	for class, want := range map[queue.Class]float64{queue.Check: check, queue.Establish: est, queue.Launch: 2} {
		it := queue.Item{Class: class, Timeout: queue.ToMicros(sec)}
		if got := m.Cost(0, &it); got != want {
			t.Errorf("a %v costs %v checks, want %v", class, got, want)
		}
	}
	w := m.Worker(0)
	for droplet, want := range []queue.Outcome{queue.Good, queue.Failed, queue.Good} {
		it := queue.Item{Class: queue.Establish, Timeout: queue.ToMicros(sec), Droplet: uint32(droplet)}
		var a dwfm.Answer
		if w.Complete(0, 0, &it, &a); a.Outcome != want {
			t.Errorf("droplet %d: %v, want %v", droplet, a.Outcome, want)
		}
	}
	for droplet, want := range []queue.Outcome{queue.Good, failed} {
		id, err := m.Seed(0, time.Minute, uint32(droplet))
		if err != nil {
			t.Fatal(err)
		}
		it := queue.Item{Class: queue.Check, Timeout: queue.ToMicros(sec), Droplet: uint32(droplet), Lease: uint64(id)}
		var a dwfm.Answer
		if w.Complete(0, 0, &it, &a); a.Outcome != want {
			t.Errorf("%T: a check of droplet %d: %v, want %v", d, droplet, a.Outcome, want)
		}
	}
}

// What refusals and timed-out attempts cost is borne by the next service, once.
func TestDoorCosts(t *testing.T) {
	costs := dwfm.Costs{Class: [queue.Classes]float64{queue.Check: 1, queue.Establish: 4, queue.Launch: 1}, Dead: 1, Refuse: 0.5, Reconnect: 3}
	m := managerOf(t, "mutex", "deadline:margin=0", "token-bucket:rate=0.1,burst=0", costs)
	establish := func(born time.Duration, droplet uint32) queue.Item {
		return queue.Item{Born: born, Timeout: queue.ToMicros(sec), Droplet: droplet, Class: queue.Establish}
	}
	bears := func(now time.Duration, want float64) {
		t.Helper()
		it := establish(now, 9)
		if got := m.Cost(now, &it); got != want {
			t.Errorf("at %v: %g checks, want %g", now, got, want)
		}
	}
	bears(0, 4)
	items := []queue.Item{establish(0, 0), establish(0, 1), establish(0, 2)}
	if n := m.Offer(0, items); n != 1 {
		t.Fatalf("%d let in, want 1", n)
	}
	bears(0, 4+2*0.5)
	bears(0, 4)
	again := []queue.Item{establish(20*sec, 0), establish(20*sec, 1)}
	again[0].SetReconnects()
	if n := m.Offer(20*sec, again); n != 1 || again[0].Door != 0 {
		t.Fatalf("%d let in, door %d", n, again[0].Door)
	}
	bears(20*sec, 4+3+0.5)
	bears(20*sec, 4)
}
