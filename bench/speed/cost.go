package speed

import (
	"runtime"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Cost is the cost per attempt of a part, on one goroutine and in batches of 16.
type Cost struct {
	Nanoseconds float64 `json:"ns"`
	Allocs      float64 `json:"allocations"` // number of heap allocations
}

const (
	costBatch   = 16
	costLength  = 20 * time.Millisecond
	costWaiting = 1024 // attempts in the queue during the measurement
)

// costConfig is the configuration of the parts, for one worker.
var costConfig = struct {
	queue queue.Config
	admit admit.Config
}{
	queue.Config{Timeout: time.Second, TTL: time.Minute, Workers: 1, Service: [queue.Classes]time.Duration{5 * time.Microsecond, 20 * time.Microsecond, 20 * time.Microsecond}},
	admit.Config{Timeout: time.Second, Capacity: 50_000, Rho: 0.25, Workers: 1},
}

// QueueCost measures a push and a pop of the discipline that ref names.
func QueueCost(ref string) (Cost, error) {
	q, err := queue.Make(ref, costConfig.queue)
	if err != nil {
		return Cost{}, err
	}
	items, dst, now := costItems(), make([]queue.Item, costBatch), time.Duration(0)
	turn := func() {
		fresh(items, now)
		q.Push(now, items)
		q.Pop(now, dst)
		now += 300 * time.Microsecond // about the service of 16 attempts
	}
	for range costWaiting / costBatch {
		fresh(items, now)
		q.Push(now, items)
	}
	return measure(turn), nil
}

// AdmitCost measures an admission, and the end of the attempt if it was admitted, by the controller
// that ref names.
func AdmitCost(ref string) (Cost, error) {
	c, err := admit.Make(ref, costConfig.admit)
	if err != nil {
		return Cost{}, err
	}
	items, now, queued := costItems(), time.Duration(0), admit.Queued(costWaiting)
	return measure(func() {
		fresh(items, now)
		n := c.Admit(now, items, queued)
		for i := range items[:n] {
			c.Done(now, &items[i], 10*time.Millisecond, queue.Good)
		}
		now += 300 * time.Microsecond
	}), nil
}

func costItems() []queue.Item {
	items := make([]queue.Item, costBatch)
	for i := range items {
		items[i].Droplet = uint32(i) << 10
	}
	return items
}

// fresh makes new attempts of the items: checks and establishes in turn.
func fresh(items []queue.Item, now time.Duration) {
	for i := range items {
		items[i] = queue.Item{
			Born: now, Timeout: queue.ToMicros(time.Second), Droplet: items[i].Droplet + 1, Class: queue.Class(i % 2), LeaseUntil: queue.ToMillis(now + time.Minute),
		}
	}
}

func measure(turn func()) Cost {
	for range 200 {
		turn()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	start, n := time.Now(), 0
	for time.Since(start) < costLength {
		for range 64 {
			turn()
		}
		n += 64 * costBatch
	}
	took := time.Since(start)
	runtime.ReadMemStats(&after)
	return Cost{float64(took.Nanoseconds()) / float64(n), float64(after.Mallocs-before.Mallocs) / float64(n)}
}
