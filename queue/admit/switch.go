package admit

import (
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// Switch is a controller that can be replaced by another while it is in use.
type Switch struct {
	first, then Controller
	on          atomic.Bool
}

// byThen is the bit of Item.Door, above the controllers' own, that marks attempts that the second
// controller admitted. Both controllers may decide at one instant, so the time of admission does
// not tell which of them it was.
const byThen = 1 << queue.MarkBits

// NewSwitch returns a Switch that behaves as first until Do is called, and as then afterwards.
func NewSwitch(first, then Controller) *Switch { return &Switch{first: first, then: then} }

// Do switches to the second controller, for all batches that are offered from now on.
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

// Done implements Controller. It tells the end of an attempt to the controller that admitted it,
// which counts the attempt among those inside.
func (s *Switch) Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome) {
	if it.Door&byThen == 0 {
		s.first.Done(now, it, sojourn, out)
		return
	}
	s.then.Done(now, it, sojourn, out)
}
