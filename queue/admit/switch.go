package admit

import (
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// Switch is a controller that can be exchanged for another while it is in use.
type Switch struct {
	first, then Controller
	on          atomic.Bool
}

// byThen is the bit of Item.Door, above the controllers' own, by which a Switch knows
// that the second controller admitted an attempt. Both answer for attempts of one
// instant, so no time tells them apart.
const byThen = 1 << queue.MarkBits

// NewSwitch makes one that begins as first and can become then.
func NewSwitch(first, then Controller) *Switch { return &Switch{first: first, then: then} }

// Do switches: batches that are offered from now on find the second controller.
func (s *Switch) Do() { s.on.Store(true) }

// Admit implements Controller.
func (s *Switch) Admit(now time.Duration, items []queue.Item, queued func() int) int {
	if !s.on.Load() {
		return s.first.Admit(now, items, queued)
	}
	n := s.then.Admit(now, items, queued)
	for i := range items[:n] {
		items[i].Door |= byThen
	}
	return n
}

// Done implements Controller. The end of an attempt is told to the controller that
// admitted it, which counts it among those inside.
func (s *Switch) Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome) {
	if it.Door&byThen == 0 {
		s.first.Done(now, it, sojourn, out)
		return
	}
	s.then.Done(now, it, sojourn, out)
}
