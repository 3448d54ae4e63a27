package admit

import (
	"math"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// Switch is a controller that can be exchanged for another while it is in use.
type Switch struct {
	first, then Controller
	at          atomic.Int64 // of the switch, ns
}

// NewSwitch makes one that begins as first and can become then.
func NewSwitch(first, then Controller) *Switch {
	s := &Switch{first: first, then: then}
	s.at.Store(math.MaxInt64)
	return s
}

// Do switches.
func (s *Switch) Do(now time.Duration) { s.at.Store(int64(now)) }

// Admit implements Controller.
func (s *Switch) Admit(now time.Duration, items []queue.Item, queued int) int {
	if int64(now) < s.at.Load() {
		return s.first.Admit(now, items, queued)
	}
	return s.then.Admit(now, items, queued)
}

// Done implements Controller: the end of an attempt is told to whoever let it in.
func (s *Switch) Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome) {
	if int64(it.Offered()) < s.at.Load() {
		s.first.Done(now, it, sojourn, out)
		return
	}
	s.then.Done(now, it, sojourn, out)
}
