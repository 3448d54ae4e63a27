package admit

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Half of the attempts leave the queue since their clients have cancelled them. Where that is before the
// deadline, another attempt of the request was answered: the limit is as without them. At the deadline it is
// a sign of overload.
func TestCancelledIsNoOverload(t *testing.T) {
	for _, ref := range []string{"concurrency", "vegas"} {
		limit := func(cancelled bool, at time.Duration) int {
			c := make1(t, ref, testConfig)
			for now := time.Duration(0); now < 60*time.Second; now += 20 * time.Millisecond {
				n, items := door(c, now, queue.Establish, 0, 8, 0)
				for i := range items[:n] {
					it := &items[i]
					if i < 4 {
						c.Done(now+10*time.Millisecond, it, time.Millisecond, queue.Good)
					} else if it.Timeout = queue.ToMicros(at); cancelled {
						it.Why = queue.Cancelled
						c.Done(now+10*time.Millisecond, it, 10*time.Millisecond, queue.Shed)
					} else {
						c.Done(now+10*time.Millisecond, it, time.Millisecond, queue.Good)
					}
				}
			}
			n, _ := door(c, 60*time.Second, queue.Establish, 0, 100_000, 0)
			return n
		}
		good, answered, timedOut := limit(false, time.Second), limit(true, time.Second), limit(true, 10*time.Millisecond)
		if answered < good || timedOut >= good {
			t.Errorf("%s: limit %d; %d where half were answered elsewhere, %d where they timed out", ref, good, answered, timedOut)
		}
	}
}

// A breaker neither opens by attempts whose request was answered elsewhere, nor waits for such a probe.
func TestBreakerIgnoresCancelled(t *testing.T) {
	c := make1(t, "breaker:failures=2,open=1", testConfig)
	end := func(now time.Duration, items []queue.Item, why queue.Reason) {
		for i := range items {
			items[i].Why = why
			c.Done(now, &items[i], 0, queue.Shed)
		}
	}
	_, items := door(c, 0, queue.Establish, 0, 9, 0)
	end(1, items[:6], queue.Cancelled)
	if n, _ := door(c, 2, queue.Establish, 0, 9, 0); n != 9 {
		t.Errorf("after six that were answered elsewhere: %d of 9 let in", n)
	}
	end(3, items[6:], queue.Expired)
	half := time.Second + 3
	n, probe := door(c, half, queue.Establish, 0, 9, 0)
	if end(half+1, probe[:n], queue.Cancelled); n != 1 {
		t.Errorf("half open: %d probes", n)
	}
	if n, _ := door(c, half+2, queue.Establish, 0, 9, 0); n != 1 {
		t.Errorf("after a probe that was answered elsewhere: %d probes, want one more", n)
	}
}
