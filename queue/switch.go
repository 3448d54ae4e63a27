package queue

import "time"

// Switch is a discipline that can be replaced by another while it is in use, as in a roll-out.
// Items that wait at the switch move to the new discipline, a batch at each Pop.
type Switch struct {
	first, then Discipline

	// It goes from before to moving, and to after once first has nothing left. A push that
	// began before the switch may end after that: it goes back to moving then.
	phase word

	mu  mutex // held while items move
	buf []Item
	out []Item // items that then gave up while they moved; told of by the next Pop
	n   word   // len(out)
}

// The phases of a Switch.
const (
	before uint64 = iota // first serves
	moving               // then serves, and first may have items
	after                // then serves, and first has none
)

// movedAtOnce is how many items move at each Pop.
const movedAtOnce = 256

// NewSwitch returns a Switch that behaves as first until Do is called, and as then afterwards.
func NewSwitch(first, then Discipline) *Switch {
	return &Switch{first: first, then: then, buf: make([]Item, movedAtOnce)}
}

// Do switches to the second discipline. A second call does nothing.
func (s *Switch) Do() {
	if s.first != s.then {
		s.phase.CompareAndSwap(before, moving)
	}
}

// Push implements Discipline.
func (s *Switch) Push(now time.Duration, items []Item) int {
	if s.phase.Load() != before {
		return s.then.Push(now, items)
	}
	kept := s.first.Push(now, items)
	if s.phase.Load() != before {
		// The switch came between, and a Pop may have found first empty before the items were
		// in it.
		s.phase.Store(moving)
	}
	return kept
}

// Pop implements Discipline.
func (s *Switch) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	return s.pop(now, dst, s.first, s.then)
}

// pop takes from one of two views, after what there is to move has moved.
func (s *Switch) pop(now time.Duration, dst []Item, first, then Discipline) (taken, dropped int) {
	phase := s.phase.Load()
	if phase == before {
		return first.Pop(now, dst)
	}
	if phase == moving || s.n.Load() > 0 {
		if dropped = s.move(now, dst); dropped > 0 {
			return 0, dropped
		}
	}
	return then.Pop(now, dst)
}

// move brings some items over, and reports what was given up on the way.
func (s *Switch) move(now time.Duration, dst []Item) (dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.out) == 0 && s.phase.Load() == moving {
		n, shed := s.first.Pop(now, s.buf)
		if n+shed == 0 && s.first.Len() == 0 {
			// A push into first says moving when it has ended. If it did so before this, its
			// items are seen by the second look.
			if s.phase.Store(after); s.first.Len() > 0 {
				s.phase.Store(moving)
			}
		}
		s.out = append(s.out, s.buf[len(s.buf)-shed:]...)
		kept := s.then.Push(now, s.buf[:n])
		s.out = append(s.out, s.buf[kept:n]...)
	}
	dropped = min(len(dst), len(s.out))
	copy(dst[len(dst)-dropped:], s.out[len(s.out)-dropped:])
	s.out = s.out[:len(s.out)-dropped]
	s.n.Store(uint64(len(s.out)))
	return dropped
}

// Len implements Discipline.
func (s *Switch) Len() int {
	switch s.phase.Load() {
	case before:
		return s.first.Len()
	case moving:
		return s.first.Len() + int(s.n.Load()) + s.then.Len()
	}
	return int(s.n.Load()) + s.then.Len()
}

// Stale implements Rechecker.
func (s *Switch) Stale(now time.Duration, it *Item) bool {
	d := s.then
	if s.phase.Load() == before {
		d = s.first
	}
	r, ok := d.(Rechecker)
	return ok && r.Stale(now, it)
}

// View implements Sharder. Views of either discipline stay in use before and after the switch.
func (s *Switch) View(worker int) Discipline {
	return switchView{s, viewOf(s.first, worker), viewOf(s.then, worker)}
}

type switchView struct {
	*Switch
	first, then Discipline
}

func (v switchView) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	return v.pop(now, dst, v.first, v.then)
}

func viewOf(d Discipline, worker int) Discipline {
	if s, ok := d.(Sharder); ok {
		return s.View(worker)
	}
	return d
}
