package oracle

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// loop is a closed-loop source: each customer thinks, asks, waits for the answer, and thinks again.
type loop struct {
	rng   *rand.Rand
	think float64 // mean, ns
	due   times
	left  int // requests still to be made
	watch *watch
}

func newLoop(customers int, think float64, requests int, rng *rand.Rand, w *watch) *loop {
	l := &loop{rng: rng, think: think, left: requests, watch: w}
	for range customers {
		l.due = append(l.due, time.Duration(det.Exponential(rng)*think))
	}
	heap.Init(&l.due)
	return l
}

func (l *loop) over() bool { return l.left == 0 }

// Due implements engine.Calendar.
func (l *loop) Due(time.Duration) time.Duration {
	if l.left == 0 || len(l.due) == 0 {
		return math.MaxInt64
	}
	return l.due[0]
}

// Next implements engine.Source.
func (l *loop) Next(now time.Duration, dst []queue.Item) (n int) {
	for ; n < len(dst) && l.left > 0 && len(l.due) > 0 && l.due[0] <= now; n++ {
		dst[n] = queue.Item{Born: heap.Pop(&l.due).(time.Duration), Timeout: queue.Forever, Class: queue.Launch}
		l.left--
	}
	return n
}

// Refused implements engine.Source. No customer is refused.
func (l *loop) Refused(time.Duration, []queue.Item) {}

// Answers implements engine.Source.
func (l *loop) Answers(now time.Duration, answers []dwfm.Answer) {
	for range answers {
		l.watch.ended++
		heap.Push(&l.due, now+time.Duration(det.Exponential(l.rng)*l.think))
	}
}

// times is a heap of times, the earliest first.
type times []time.Duration

func (t times) Len() int           { return len(t) }
func (t times) Less(i, j int) bool { return t[i] < t[j] }
func (t times) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *times) Push(x any)        { *t = append(*t, x.(time.Duration)) }
func (t *times) Pop() any {
	x := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return x
}
