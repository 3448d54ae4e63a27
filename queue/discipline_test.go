package queue_test

import (
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

func TestOrder(t *testing.T) {
	dead := func(margin float64) queuetest.Model {
		return func(now time.Duration, waiting []queue.Item) (int, queue.Reason) {
			it := waiting[0]
			if now+time.Duration(margin*float64(queuetest.Config.Service[it.Class])) >= it.Deadline {
				return 0, queue.Expired
			}
			return 0, queue.NotShed
		}
	}
	last := func(_ time.Duration, w []queue.Item) (int, queue.Reason) { return len(w) - 1, queue.NotShed }
	first := func(time.Duration, []queue.Item) (int, queue.Reason) { return 0, queue.NotShed }
	for ref, model := range map[string]queuetest.Model{
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
					items[i].Deadline = 1 << 62
				}
				for i := 0; i < b.N; i += batch {
					q.Push(0, items)
					q.Pop(0, items)
				}
			})
		}
	}
}
