package admit

import (
	"math"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var tokenBucketEntry = catalog.Entry[New]{
	Name:   "token-bucket",
	Doc:    "admits establishes at a fixed rate, and a burst; checks and launches pass freely",
	Source: "as a virtual schedule: GCRA, ITU-T I.371 (03/2004), annex A",
	Params: []catalog.Param{
		{Name: "rate", Unit: "1", Default: 0.8, Min: 0.001, Max: 100, Doc: "rate of establishes, as a share of the capacity that the steady load leaves"},
		{Name: "burst", Unit: "timeouts", Default: 0.1, Min: 0, Max: 100, Doc: "burst, as the time in which the rate fills the bucket"},
	},
	New: newTokenBucket,
}

// fine is the resolution of the schedule in parts of a nanosecond, so that a rate of
// 10^8 a second is still met to 0.04 %; a run may last a year.
const fine = 256

// tokenBucket is a bucket of tokens, kept as the one time at which it will be full:
//
//	full at:  |now ......... full|   the bucket lacks (full - now)/interval tokens
//
// A token moves that time one interval on, and may be taken while it does not come
// to lie more than a burst ahead. One compare-and-swap a batch; the time only goes
// forward, so clocks that differ between callers mint nothing.
type tokenBucket struct {
	interval int64 // between two tokens
	burst    int64 // the bucket's depth in time, at least one interval
	full     atomic.Int64
}

func newTokenBucket(cfg Config, v catalog.Values) (Controller, error) {
	perSecond := v["rate"] * cfg.Capacity * (1 - cfg.Rho)
	interval := max(1, int64(math.Min(fine*1e9/perSecond, 1e17)))
	burst := int64(v["burst"] * float64(cfg.Timeout) * fine)
	return &tokenBucket{interval: interval, burst: max(burst, interval)}, nil
}

// Admit implements Controller.
func (b *tokenBucket) Admit(now time.Duration, items []queue.Item, _ int) int {
	want := int64(0)
	for i := range items {
		if items[i].Class == queue.Establish {
			want++
		}
	}
	if want == 0 {
		return len(items)
	}
	got := b.take(int64(now)*fine, want)
	if got == want {
		return len(items)
	}
	return partition(items, func(it *queue.Item) bool {
		if it.Class != queue.Establish {
			return true
		}
		got--
		return got >= 0
	})
}

// take takes up to want tokens and returns how many.
func (b *tokenBucket) take(now, want int64) int64 {
	for {
		old := b.full.Load()
		from := max(old, now)
		got := min(want, (now+b.burst-from)/b.interval)
		if got <= 0 {
			return 0
		}
		if b.full.CompareAndSwap(old, from+got*b.interval) {
			return got
		}
	}
}

// Done implements Controller: tokens come back with time only.
func (*tokenBucket) Done(time.Duration, *queue.Item, time.Duration, queue.Outcome) {}
