package queue

import (
	"math"
	"testing"
	"time"
)

func vitess(t *testing.T, params string) *codelVitess {
	t.Helper()
	d, err := Make("codel-vitess"+params, Config{})
	if err != nil {
		t.Fatal(err)
	}
	return d.(*codelVitess)
}

// offer pushes n items that arrive at now, and returns the number of items that are given up.
func offer(q *codelVitess, now time.Duration, n int) (shed int) {
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{Born: now, Timeout: Forever, Class: Establish}
	}
	return n - q.Push(now, items)
}

// Under a queue that is never healthy the n-th drop comes at interval·Σ 1/k^e, from the first arrival on: the
// second one follows interval/2^e after the first.
func TestVitessDrops(t *testing.T) {
	for params, want := range map[string][]float64{ // ms
		"":                            {100, 150, 183.333, 208.333, 228.333, 245, 259.286, 271.786},
		":exponent=0.5":               {100, 170.711, 228.446, 278.446, 323.167},
		":exponent=2":                 {100, 125, 136.111, 142.361},
		":interval=10ms,target=500us": {10, 15, 18.333, 20.833},
	} {
		q := vitess(t, params)
		offer(q, 0, 100)
		var drops []float64
		for now := time.Duration(0); len(drops) < len(want); now += time.Microsecond {
			q.run(now)
			for len(drops) < q.shed.Len() {
				drops = append(drops, float64(now)/1e6)
			}
		}
		for i, w := range want {
			if math.Abs(drops[i]-w) > 0.002 {
				t.Errorf("%q: drop %d at %.3f ms, want %.3f", params, i, drops[i], w)
			}
		}
	}
}

// One call after a second makes the same drops as a call each millisecond: the timer needs nobody who calls.
func TestVitessTimer(t *testing.T) {
	for _, params := range []string{"", ":exponent=0.5", ":exponent=1.5", ":floor=0"} {
		often, once := vitess(t, params), vitess(t, params)
		for _, q := range []*codelVitess{often, once} {
			offer(q, 0, 20_000)
		}
		for now := time.Duration(0); now <= time.Second; now += time.Millisecond {
			often.run(now)
		}
		once.run(time.Second)
		if often.law != once.law || often.shed.Len() != once.shed.Len() || once.shed.Len() == 0 {
			t.Errorf("%q: %d dropped by calls each ms, law %+v; %d by one call, %+v", params, often.shed.Len(), often.law, once.shed.Len(), once.law)
		}
	}
}

// Without drops count eases by log_3(count)/3 a step, by 1 at least.
func TestVitessEases(t *testing.T) {
	for _, tt := range []struct{ count, want int }{
		{2, 1}, {100, 99}, {99, 98}, {728, 727}, {729, 727}, {1000, 998}, {998, 996}, {19682, 19680}, {19683, 19680},
	} {
		c := vitessLaw{interval: 100 * time.Millisecond, exponent: 1, ease: 3, count: tt.count, next: 1}
		if c.step(1, math.MaxInt64, false); c.count != tt.want {
			t.Errorf("%d eases to %d, want %d", tt.count, c.count, tt.want)
		}
	}
	// From count c an empty queue is at rest after interval·H_{c−1}.
	for count, want := range map[int]float64{10: 282.897, 100: 517.738} { // ms
		c := vitessLaw{interval: 100 * time.Millisecond, exponent: 1, ease: 3, count: count, next: 1}
		for c.count > 1 {
			c.step(c.next, math.MaxInt64, false)
		}
		if got := float64(c.next) / 1e6; math.Abs(got-want) > 0.001 {
			t.Errorf("count %d is at rest after %.3f ms, want %.3f", count, got, want)
		}
	}
}

// Served in time, or down at the floor, the queue drops nothing, however long it stands; an arrival at the empty
// queue starts the clock again.
func TestVitessKeeps(t *testing.T) {
	const ms = time.Millisecond
	q := vitess(t, "")
	if offer(q, 0, 4); offer(q, time.Hour, 1) != 0 || q.law.count != 1 {
		t.Errorf("with four waiting some were dropped: %+v", q.law)
	}
	q = vitess(t, "")
	one := make([]Item, 1)
	for now := time.Duration(0); now < 3*time.Second; now += ms { // waits of 4 ms at most
		if shed := offer(q, now, 5); shed != 0 {
			t.Fatalf("%d dropped at %v", shed, now)
		}
		for range 5 {
			if taken, dropped := q.Pop(now+ms/2, one); taken != 1 || dropped != 0 {
				t.Fatalf("%d taken and %d dropped at %v", taken, dropped, now)
			}
		}
	}
	if offer(q, 3*time.Second, 5); offer(q, 3*time.Second+99*ms, 1) != 0 || offer(q, 3*time.Second+100*ms, 1) != 1 {
		t.Errorf("the first drop is not an interval after the first arrival: %+v", q.law)
	}
}

// A service in time stops the drops until the next step, which eases count, finds an old head, and lets the step
// after it drop again.
func TestVitessHealthy(t *testing.T) {
	const ms = time.Millisecond
	q := vitess(t, "")
	offer(q, 0, 100)
	q.run(160 * ms) // drops at 100 and 150: count 3, the next at 183.3
	q.law.served(true)
	if q.run(184 * ms); q.shed.Len() != 2 || q.law.count != 2 {
		t.Errorf("after a service in time: %d dropped, count %d, want 2 and 2", q.shed.Len(), q.law.count)
	}
	if q.run(234 * ms); q.shed.Len() != 3 || q.law.count != 3 {
		t.Errorf("a step later: %d dropped, count %d, want 3 and 3", q.shed.Len(), q.law.count)
	}
}

// What is dropped comes out of the next Push, as far as it has room, and then of Pop.
func TestVitessGivesBack(t *testing.T) {
	q := vitess(t, "")
	offer(q, 0, 100)
	items := []Item{{Droplet: 7, Timeout: Forever}}
	if kept := q.Push(200*time.Millisecond, items); kept != 0 || items[0].Why != Delay || items[0].Droplet != 0 || q.Len() != 100 {
		t.Errorf("push: %d kept, gave back %+v, %d inside", kept, items[0], q.Len())
	}
	dst := make([]Item, 3)
	if taken, dropped := q.Pop(200*time.Millisecond, dst); taken != 1 || dropped != 2 || dst[1].Why != Delay || dst[2].Why != Delay || q.Len() != 97 {
		t.Errorf("pop: %d taken, %d dropped, %d inside: %+v", taken, dropped, q.Len(), dst)
	}
}

// With classes the victims are the establishes while there are any, and all are served in order of arrival.
func TestVitessClasses(t *testing.T) {
	q := vitess(t, ":classes=1,floor=2")
	var items []Item
	for i := range 8 {
		items = append(items, Item{Droplet: uint32(i), Timeout: Forever, Class: []Class{Check, Establish, Launch, Establish}[i%4]})
	}
	q.Push(0, items)
	q.run(240 * time.Millisecond) // five drops: four establishes, then the oldest of the others
	dst := make([]Item, 16)
	taken, dropped := q.Pop(240*time.Millisecond, dst)
	if taken != 3 || dropped != 5 {
		t.Fatalf("%d taken, %d dropped", taken, dropped)
	}
	for i, want := range []uint32{2, 4, 6} {
		if dst[i].Droplet != want {
			t.Errorf("item %d came out in place %d", dst[i].Droplet, i)
		}
	}
	for i, want := range []uint32{1, 3, 5, 7, 0} {
		if got := dst[len(dst)-1-i].Droplet; got != want {
			t.Errorf("victim %d is %d, want %d", i, got, want)
		}
	}
	q = vitess(t, ":classes=1")
	q.Push(0, items[:0:0])
	mixed := []Item{{Droplet: 0, Class: Establish, Timeout: Forever}, {Droplet: 1, Timeout: Forever}, {Droplet: 2, Class: Establish, Timeout: Forever}}
	q.Push(0, mixed)
	if taken, _ := q.Pop(0, dst); taken != 3 || dst[0].Droplet != 0 || dst[1].Droplet != 1 || dst[2].Droplet != 2 {
		t.Errorf("the order of arrival is %d, %d, %d", dst[0].Droplet, dst[1].Droplet, dst[2].Droplet)
	}
}

// However long nobody calls, the work of catching up is bounded by what waits and has been dropped.
func TestVitessCatchesUpSoon(t *testing.T) {
	for _, n := range []int{1, 4, 5, 1000} {
		q := vitess(t, ":interval=1us,target=1us")
		offer(q, 0, n)
		steps := 0
		for now := time.Duration(1 << 60); q.law.due(now, q.waiting()) && steps < 10_000; steps++ {
			can := q.waiting() > q.floor
			if can && q.law.dropping {
				q.remove(true)
			}
			q.law.step(now, 0, can)
		}
		if steps >= 3*n+10 || q.waiting() != min(n, 4) || q.law.next <= 1<<60 {
			t.Errorf("%d waiting: %d steps, %d left, %+v", n, steps, q.waiting(), q.law)
		}
	}
}
