// Package queuetest is the conformance suite of queue disciplines. One call runs it on a
// discipline of another module:
//
//	func TestMine(t *testing.T) { queuetest.Run(t, newMine) }
//
// [Order] compares a discipline's order with a model of a few lines.
package queuetest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/queue"
)

// New makes the discipline under test.
type New func(cfg queue.Config) (queue.Discipline, error)

// Config is the run that the suite assumes: timeouts of 1 s, services of 1 and 4 ms.
var Config = queue.Config{
	Timeout: time.Second, TTL: time.Minute, Workers: 2,
	Service: [queue.Classes]time.Duration{time.Millisecond, 4 * time.Millisecond, 4 * time.Millisecond},
}

// Run checks the discipline against queue.Discipline's documentation. No item is lost or comes
// out twice, each shed item has a reason, and Len is right. Run uses monotonic and jumping
// clocks, one goroutine and several. Run the tests with -race.
func Run(t *testing.T, newDiscipline New) {
	t.Run("empty", func(t *testing.T) { empty(t, newDiscipline) })
	for name, c := range clocks {
		t.Run("conserves/"+name, func(t *testing.T) { conserves(t, newDiscipline, c) })
	}
	t.Run("concurrent", func(t *testing.T) { concurrent(t, newDiscipline) })
	t.Run("allocates", func(t *testing.T) { allocates(t, newDiscipline) })
	t.Run("in order", func(t *testing.T) { peeks(t, newDiscipline) })
}

// turns is the number of random calls.
func turns() int {
	if testing.Short() {
		return 500
	}
	return 5_000
}

func discipline(t *testing.T, newDiscipline New) queue.Discipline {
	t.Helper()
	q, err := newDiscipline(Config)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func empty(t *testing.T, newDiscipline New) {
	q := discipline(t, newDiscipline)
	dst := make([]queue.Item, 4)
	if kept := q.Push(0, nil); kept != 0 || q.Len() != 0 {
		t.Errorf("pushing nothing: kept %d, %d waiting", kept, q.Len())
	}
	for _, d := range [][]queue.Item{nil, dst} {
		if taken, dropped := q.Pop(0, d); taken != 0 || dropped != 0 {
			t.Errorf("popping %d from an empty queue: %d taken, %d dropped", len(d), taken, dropped)
		}
	}
	q.Push(0, []queue.Item{Item(rand.New(rand.NewPCG(1, 1)), 0, 7)})
	if taken, dropped := q.Pop(0, nil); taken != 0 || dropped != 0 {
		t.Errorf("popping into nothing: %d taken, %d dropped", taken, dropped)
	}
}

// Item returns an attempt of a random class and droplet. Born tells items apart: it has n added,
// in ns.
func Item(rng *rand.Rand, now time.Duration, n int) queue.Item {
	born := max(0, now-time.Duration(rng.IntN(1500))*time.Millisecond).Truncate(time.Millisecond) + time.Duration(n)
	it := queue.Item{
		Born: born, Timeout: queue.ToMicros(Config.Timeout), Droplet: rng.Uint32N(1000), Zone: uint8(rng.IntN(3)),
		Class: queue.Class(rng.IntN(int(queue.Classes))), Lease: rng.Uint64(), Try: uint8(rng.IntN(3)),
	}
	if it.Class != queue.Establish {
		it.LeaseUntil = queue.ToMillis(now + time.Duration(rng.IntN(60_000))*time.Millisecond)
	}
	it.SetOffered(max(now, born))
	return it
}

// clocks say how now goes on from step to step.
var clocks = map[string]func(rng *rand.Rand, now time.Duration) time.Duration{
	"forward": func(rng *rand.Rand, now time.Duration) time.Duration {
		return now + time.Duration(rng.IntN(20))*time.Millisecond
	},
	"still": func(_ *rand.Rand, now time.Duration) time.Duration { return now },
	"jumps": func(rng *rand.Rand, now time.Duration) time.Duration {
		return max(0, now+time.Duration(rng.IntN(5001)-2400)*time.Millisecond)
	},
}

// ledger checks that every item is seen once on its way out.
type ledger struct {
	t       *testing.T
	waiting map[queue.Item]bool
}

// out takes an item that the discipline is rid of off the ledger.
func (l *ledger) out(it queue.Item, shed bool) {
	l.t.Helper()
	if shed != (it.Why != queue.NotShed) {
		l.t.Errorf("item %+v: shed is %v and the reason says %q", it, shed, it.Why)
	}
	it.Why = queue.NotShed
	if !l.waiting[it] {
		l.t.Errorf("item %+v came out and was not inside, or changed there", it)
	}
	delete(l.waiting, it)
}

// conserves makes random calls and keeps the ledger.
func conserves(t *testing.T, newDiscipline New, clock func(*rand.Rand, time.Duration) time.Duration) {
	seed := testseed.Draw(t)
	rng := rand.New(rand.NewPCG(seed, 0))
	q := discipline(t, newDiscipline)
	l := ledger{t, map[queue.Item]bool{}}
	now := time.Duration(0)
	n := 0
	dst := make([]queue.Item, 64)
	for range turns() {
		if t.Failed() {
			return
		}
		now = clock(rng, now)
		if rng.IntN(2) == 0 {
			items := make([]queue.Item, rng.IntN(40))
			for i := range items {
				n++
				items[i] = Item(rng, now, n)
				l.waiting[items[i]] = true
			}
			kept := q.Push(now, items)
			if kept < 0 || kept > len(items) {
				t.Fatalf("%d of %d kept", kept, len(items))
			}
			for _, it := range items[kept:] {
				l.out(it, true)
			}
		} else {
			pop(q, &l, now, dst[:rng.IntN(len(dst))])
		}
		if q.Len() != len(l.waiting) {
			t.Errorf("Len is %d, want %d", q.Len(), len(l.waiting))
		}
	}
	for range 1000 {
		if q.Len() == 0 {
			break
		}
		now += 100 * time.Millisecond
		for pop(q, &l, now, dst) > 0 {
		}
	}
	if len(l.waiting) > 0 || q.Len() > 0 {
		t.Errorf("100 s of popping left %d inside; Len is %d", len(l.waiting), q.Len())
	}
}

// peeks holds a discipline to what it says of itself as a queue.InOrder.
func peeks(t *testing.T, newDiscipline New) {
	q, ok := discipline(t, newDiscipline).(queue.InOrder)
	if !ok || !q.InOrder() {
		return
	}
	rng := rand.New(rand.NewPCG(1, 4))
	pushed, popped := 0, 0
	for range turns() {
		items := make([]queue.Item, rng.IntN(40))
		for i := range items {
			items[i] = Item(rng, time.Second, pushed)
			items[i].Droplet = uint32(pushed)
			pushed++
		}
		if kept := q.Push(time.Second, items); kept != len(items) {
			t.Fatalf("it kept %d of %d", kept, len(items))
		}
		ahead, dst := make([]queue.Item, 1+rng.IntN(40)), make([]queue.Item, 40)
		n := q.Peek(ahead)
		if n > min(pushed-popped, len(ahead)) || n == 0 && pushed > popped {
			t.Fatalf("it peeked at %d of %d into %d", n, pushed-popped, len(ahead))
		}
		taken, dropped := q.Pop(time.Second, dst)
		if dropped > 0 || taken != min(pushed-popped, len(dst)) {
			t.Fatalf("of %d into %d it gave %d and dropped %d", pushed-popped, len(dst), taken, dropped)
		}
		for i, it := range dst[:taken] {
			if it.Droplet != uint32(popped) || i < n && it != ahead[i] {
				t.Fatalf("item %d came out in place %d; ahead it was %+v, then %+v", it.Droplet, popped, ahead[:n], it)
			}
			popped++
		}
	}
}

func pop(q queue.Discipline, l *ledger, now time.Duration, dst []queue.Item) int {
	taken, dropped := q.Pop(now, dst)
	if taken < 0 || dropped < 0 || taken+dropped > len(dst) {
		l.t.Fatalf("%d taken and %d dropped into room for %d", taken, dropped, len(dst))
	}
	for _, it := range dst[:taken] {
		l.out(it, false)
	}
	for _, it := range dst[len(dst)-dropped:] {
		l.out(it, true)
	}
	return taken + dropped
}

// concurrent pushes and pops from several goroutines; every item comes out once.
func concurrent(t *testing.T, newDiscipline New) {
	const pushers, poppers, batch = 3, 3, 7
	each := turns() / 2
	q := discipline(t, newDiscipline)
	seen := make([]atomic.Int32, pushers*each)
	var left atomic.Int64
	left.Store(int64(pushers * each))
	out := func(items []queue.Item) {
		for i := range items {
			seen[items[i].Lease].Inc()
		}
		left.Sub(int64(len(items)))
	}
	var all sync.WaitGroup
	for p := range pushers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(p), 1))
			for i := 0; i < each; i += batch {
				items := make([]queue.Item, min(batch, each-i))
				now := time.Duration(i) * 50 * time.Microsecond
				for k := range items {
					items[k] = Item(rng, now, i+k)
					items[k].Lease = uint64(p*each + i + k)
				}
				out(items[q.Push(now, items):])
			}
		})
	}
	for range poppers {
		all.Go(func() {
			dst := make([]queue.Item, 16)
			for now := time.Duration(0); left.Load() > 0; now += 20 * time.Microsecond {
				taken, dropped := q.Pop(now, dst)
				out(dst[:taken])
				out(dst[len(dst)-dropped:])
			}
		})
	}
	all.Wait()
	for i := range seen {
		if n := seen[i].Load(); n != 1 {
			t.Fatalf("item %d came out %d times", i, n)
		}
	}
	if q.Len() != 0 {
		t.Errorf("Len is %d after everything came out", q.Len())
	}
}

// allocates lets a queue of steady length work; that must not allocate.
func allocates(t *testing.T, newDiscipline New) {
	q := discipline(t, newDiscipline)
	rng := rand.New(rand.NewPCG(1, 2))
	items := make([]queue.Item, 32)
	dst := make([]queue.Item, 32)
	now, n := time.Duration(0), 0
	turn := func() {
		now += time.Millisecond
		for i := range items {
			n++
			items[i] = Item(rng, now, n)
			items[i].Born = now
		}
		q.Push(now, items)
		for {
			if taken, dropped := q.Pop(now, dst); taken+dropped == 0 || q.Len() < 1000 {
				break
			}
		}
	}
	for range 200 {
		turn()
	}
	if a := testing.AllocsPerRun(500, turn); a >= 1 {
		t.Errorf("%v allocations a turn of 32 items, want none", a)
	}
}

// Model is the order that a discipline promises. waiting are the items inside, in order of
// arrival. Model returns the index of the item that comes out next at now, and why it is
// dropped, or queue.NotShed.
type Model func(now time.Duration, waiting []queue.Item) (next int, why queue.Reason)

// Order compares the discipline with a model of its order, by random calls of one goroutine. The
// clock is monotonic.
func Order(t *testing.T, newDiscipline New, model Model) {
	seed := testseed.Draw(t)
	rng := rand.New(rand.NewPCG(seed, 3))
	q := discipline(t, newDiscipline)
	var waiting []queue.Item
	now, n := time.Duration(0), 0
	for range turns() {
		now += time.Duration(rng.IntN(30)) * time.Millisecond
		items := make([]queue.Item, rng.IntN(8))
		for i := range items {
			n++
			items[i] = Item(rng, now, n)
		}
		waiting = append(waiting, items...)
		if kept := q.Push(now, items); kept != len(items) {
			t.Fatalf("an unbounded discipline kept %d of %d", kept, len(items))
		}
		now += time.Duration(rng.IntN(30)) * time.Millisecond
		dst := make([]queue.Item, rng.IntN(8))
		taken, dropped := q.Pop(now, dst)
		var wantTaken, wantDropped []queue.Item
		for range len(dst) {
			if len(waiting) == 0 {
				break
			}
			next, why := model(now, waiting)
			it := waiting[next]
			waiting = append(waiting[:next:next], waiting[next+1:]...)
			if it.Why = why; why == queue.NotShed {
				wantTaken = append(wantTaken, it)
			} else {
				wantDropped = append([]queue.Item{it}, wantDropped...)
			}
		}
		if got, want := fmt.Sprint(dst[:taken]), fmt.Sprint(wantTaken); got != want {
			t.Fatalf("at %v taken:\n got %s\nwant %s", now, got, want)
		}
		if got, want := fmt.Sprint(dst[len(dst)-dropped:]), fmt.Sprint(wantDropped); got != want {
			t.Fatalf("at %v dropped:\n got %s\nwant %s", now, got, want)
		}
	}
}
