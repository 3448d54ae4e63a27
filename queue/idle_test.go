package queue_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

// A discipline with a memory stands, after it was empty for a while, where its law would have
// brought it, whether workers asked it all the time or nobody did. So two queues that are
// offered the same, of which one is polled while it is empty, give out the same.
func TestIdlePolls(t *testing.T) {
	for _, ref := range compositions() {
		if queue.Validate(ref) != nil {
			continue
		}
		var qs [2]queue.Discipline
		for i := range qs {
			var err error
			if qs[i], err = queue.Make(ref, queuetest.Config); err != nil {
				t.Fatal(err)
			}
		}
		rng := rand.New(rand.NewPCG(7, 7))
		both := func(call func(q queue.Discipline) (int, int, queue.Item)) {
			a, dropped, it := call(qs[0])
			if b, dropped2, it2 := call(qs[1]); a != b || dropped != dropped2 || it != it2 {
				t.Fatalf("%s: without polls %d, %d, %v, with polls %d, %d, %v", ref, a, dropped, it, b, dropped2, it2)
			}
		}
		now, n := time.Duration(0), 0
		pop := func(q queue.Discipline) (int, int, queue.Item) {
			dst := make([]queue.Item, 1)
			taken, dropped := q.Pop(now, dst)
			return taken, dropped, dst[0]
		}
		for range 12 {
			// An overload for some time, then what is left is drained, then nothing comes.
			every := 1 + rng.IntN(4)
			for range rng.IntN(600) {
				now += time.Millisecond
				n++
				it := queuetest.Item(rng, now, n)
				it.Born = now
				it.SetOffered(now)
				both(func(q queue.Discipline) (int, int, queue.Item) {
					items := []queue.Item{it}
					return q.Push(now, items), 0, items[0]
				})
				if rng.IntN(every) == 0 {
					both(pop)
				}
			}
			for qs[0].Len() > 0 {
				now += time.Millisecond
				both(pop)
			}
			for range rng.IntN(60) {
				now += time.Duration(rng.IntN(40)) * time.Millisecond
				qs[1].Pop(now, make([]queue.Item, 1+rng.IntN(3)))
			}
		}
	}
}
