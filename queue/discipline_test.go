package queue_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

func maker(ref string) queuetest.New {
	return func(cfg queue.Config) (queue.Discipline, error) { return queue.Make(ref, cfg) }
}

// Every discipline that the catalog knows is held to the suite: a new one needs no
// edit here.
func TestDisciplines(t *testing.T) {
	for _, e := range queue.Catalog.List() {
		t.Run(e.Name, func(t *testing.T) { queuetest.Run(t, maker(e.Name)) })
	}
}

// Every wrapper is held to the suite around every discipline.
func TestWrappers(t *testing.T) {
	for _, w := range queue.Wrappers.List() {
		for _, e := range queue.Catalog.List() {
			if ref := w.Name + "+" + e.Name; queue.Validate(ref) == nil { // TestCompositions looks at the others
				t.Run(ref, func(t *testing.T) { queuetest.Run(t, maker(ref)) })
			}
		}
	}
}

// Nor does a form without its padding keep other promises.
func TestUnpadded(t *testing.T) {
	for _, ref := range []string{"fifo-lockfree:pad=0", "lifo-lockfree:pad=0"} {
		t.Run(ref, func(t *testing.T) { queuetest.Run(t, maker(ref)) })
	}
}

// Workers that pop from their views get everything, too.
func TestViews(t *testing.T) {
	q, err := queue.Make("percore+fifo", queuetest.Config)
	if err != nil {
		t.Fatal(err)
	}
	items := make([]queue.Item, 3)
	for range 50 {
		q.Push(0, items)
	}
	got := 0
	dst := make([]queue.Item, 7)
	for i := 0; q.Len() > 0; i++ {
		taken, _ := q.(queue.Sharder).View(0).Pop(0, dst) // the other worker never comes
		if got += taken; taken == 0 {
			t.Fatal("a worker goes without while another's part has items")
		}
	}
	if got != 150 {
		t.Errorf("%d of 150 items", got)
	}
}

// How many older items still wait when one is taken: what a queue in parts gives up.
func BenchmarkRankError(b *testing.B) {
	for _, workers := range []int{1, 4, 16} {
		for _, ref := range []string{"fifo", "percore+fifo"} {
			b.Run(fmt.Sprintf("%s/workers=%d", ref, workers), func(b *testing.B) {
				cfg := queuetest.Config
				cfg.Workers = workers
				q, err := queue.Make(ref, cfg)
				if err != nil {
					b.Fatal(err)
				}
				views := make([]queue.Discipline, workers)
				for i := range views {
					views[i] = q
					if s, ok := q.(queue.Sharder); ok {
						views[i] = s.View(i)
					}
				}
				rng := rand.New(rand.NewPCG(1, 2))
				var waiting []uint64 // ascending
				var ranks []int
				seq := uint64(0)
				dst := make([]queue.Item, 8)
				for len(ranks) < 100_000 {
					if len(waiting) < 1000 {
						items := make([]queue.Item, 1+rng.IntN(16))
						for i := range items {
							seq++
							items[i] = queue.Item{Lease: seq, Timeout: queue.Forever}
							waiting = append(waiting, seq)
						}
						q.Push(0, items)
						continue
					}
					taken, _ := views[rng.IntN(workers)].Pop(0, dst[:1+rng.IntN(8)])
					for _, it := range dst[:taken] {
						at, _ := slices.BinarySearch(waiting, it.Lease)
						ranks = append(ranks, at)
						waiting = slices.Delete(waiting, at, at+1)
					}
				}
				slices.Sort(ranks)
				sum := 0
				for _, r := range ranks {
					sum += r
				}
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(float64(sum)/float64(len(ranks)), "rank-mean")
				b.ReportMetric(float64(ranks[len(ranks)*99/100]), "rank-p99")
			})
		}
	}
}

func TestOrder(t *testing.T) {
	dead := func(margin float64) queuetest.Model {
		return func(now time.Duration, waiting []queue.Item) (int, queue.Reason) {
			it := waiting[0]
			if now+time.Duration(margin*float64(queuetest.Config.Service[it.Class])) >= it.Deadline() {
				return 0, queue.Expired
			}
			return 0, queue.NotShed
		}
	}
	last := func(_ time.Duration, w []queue.Item) (int, queue.Reason) { return len(w) - 1, queue.NotShed }
	first := func(time.Duration, []queue.Item) (int, queue.Reason) { return 0, queue.NotShed }
	edf := func(_ time.Duration, w []queue.Item) (int, queue.Reason) {
		least := 0
		for i := range w {
			if w[i].Deadline() < w[least].Deadline() {
				least = i
			}
		}
		return least, queue.NotShed
	}
	edfDeadline := func(now time.Duration, w []queue.Item) (int, queue.Reason) {
		i, _ := edf(now, w)
		_, why := dead(1)(now, w[i:i+1])
		return i, why
	}
	slack := func(now time.Duration, w []queue.Item) (int, queue.Reason) { // θ·TTL is 12 s
		establish, check := -1, -1
		for i := range w {
			if w[i].Class == queue.Establish && establish < 0 {
				establish = i
			}
			if w[i].Class != queue.Establish && (check < 0 || w[i].LeaseUntil < w[check].LeaseUntil) {
				check = i
			}
		}
		i := establish
		if establish < 0 || check >= 0 && w[check].LeaseUntil.Duration() < now+12*time.Second {
			i = check
		}
		_, why := dead(1)(now, w[i:i+1])
		return i, why
	}
	for ref, model := range map[string]queuetest.Model{
		"edf":                   edf,
		"edf+deadline":          edfDeadline,
		"slack":                 slack,
		"fifo-lockfree":         first,
		"lifo-lockfree":         last,
		"bounded:limit=1000000": first,
		"fifo":                  first,
		"lifo":                  last,
		"deadline":              dead(1),
		"deadline:margin=0":     dead(0),
		"deadline:margin=5":     dead(5),
	} {
		t.Run(ref, func(t *testing.T) { queuetest.Order(t, maker(ref), model) })
	}
}

// What comes to a full queue is turned away, newest first, and only that.
func TestBounded(t *testing.T) {
	for ref, limit := range map[string]int{"bounded:limit=3": 3, "bounded": 250, "bounded:depth=0": 1} { // 1 s / 4 ms · 2 workers / 2
		q, err := queue.Make(ref, queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		items := make([]queue.Item, limit+2)
		if kept := q.Push(0, items); kept != limit || items[kept].Why != queue.Full || items[limit-1].Why != queue.NotShed {
			t.Errorf("%s: %d of %d kept, want %d", ref, kept, len(items), limit)
		}
		dst := make([]queue.Item, 1)
		q.Pop(0, dst)
		if kept := q.Push(0, items[:2]); kept != 1 {
			t.Errorf("%s: with room for one, %d of 2 kept", ref, kept)
		}
	}
}

func TestItemSize(t *testing.T) {
	if n := unsafe.Sizeof(queue.Item{}); n != 40 {
		t.Errorf("an item takes %d bytes, its documentation says 40", n)
	}
}

func TestOffered(t *testing.T) {
	it := queue.Item{Born: time.Second}
	for _, tt := range []struct{ now, want time.Duration }{
		{time.Second + 5*time.Microsecond + 900, time.Second + 5*time.Microsecond}, // rounded down
		{0, time.Second}, // a clock behind the birth
		{100 * time.Hour, time.Second + (1<<32-1)*time.Microsecond}, // saturates
	} {
		if it.SetOffered(tt.now); it.Offered() != tt.want {
			t.Errorf("offered at %v: got %v, want %v", tt.now, it.Offered(), tt.want)
		}
	}
}

func BenchmarkPushPop(b *testing.B) {
	for _, e := range queue.Catalog.List() {
		for _, batch := range []int{1, 64} {
			b.Run(e.Name+map[int]string{1: "/1", 64: "/64"}[batch], func(b *testing.B) {
				q, err := queue.Make(e.Name, queuetest.Config)
				if err != nil {
					b.Fatal(err)
				}
				items := make([]queue.Item, batch)
				for i := range items {
					items[i].Timeout = queue.Forever
				}
				for i := 0; i < b.N; i += batch {
					q.Push(0, items)
					q.Pop(0, items)
				}
			})
		}
	}
}
