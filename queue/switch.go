package queue

import (
	"sync"
	"time"

	"go.uber.org/atomic"
)

// Switch is a discipline that can be exchanged for another while it is in use, as an
// operator does who rolls out a new one: what waits moves over, a batch at each Pop.
type Switch struct {
	now  atomic.Pointer[Discipline]
	old  atomic.Pointer[Discipline] // still has items; nil: none
	then Discipline

	mu  sync.Mutex // held while items move
	buf []Item
	out []Item // items that the new one gave up while they moved; told of by the next Pop
	n   atomic.Int64
}

// movedAtOnce is how many items move at each Pop.
const movedAtOnce = 256

// NewSwitch makes one that begins as first and can become then.
func NewSwitch(first, then Discipline) *Switch {
	s := &Switch{then: then, buf: make([]Item, movedAtOnce)}
	s.now.Store(&first)
	return s
}

// Do switches; a second call does nothing.
func (s *Switch) Do() {
	if first := s.now.Load(); *first != s.then && s.old.CompareAndSwap(nil, first) {
		s.now.Store(&s.then)
	}
}

// Push implements Discipline.
func (s *Switch) Push(now time.Duration, items []Item) int { return (*s.now.Load()).Push(now, items) }

// Pop implements Discipline.
func (s *Switch) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if s.old.Load() != nil || s.n.Load() > 0 {
		if dropped = s.move(now, dst); dropped > 0 {
			return 0, dropped
		}
	}
	return (*s.now.Load()).Pop(now, dst)
}

// move brings some items over, and reports what was given up on the way.
func (s *Switch) move(now time.Duration, dst []Item) (dropped int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.old.Load(); old != nil && len(s.out) == 0 {
		n, shed := (*old).Pop(now, s.buf)
		if n+shed == 0 && (*old).Len() == 0 {
			s.old.Store(nil)
		}
		s.out = append(s.out, s.buf[len(s.buf)-shed:]...)
		kept := s.then.Push(now, s.buf[:n])
		s.out = append(s.out, s.buf[kept:n]...)
		s.n.Store(int64(len(s.out)))
	}
	dropped = min(len(dst), len(s.out))
	copy(dst[len(dst)-dropped:], s.out[len(s.out)-dropped:])
	s.out = s.out[:len(s.out)-dropped]
	s.n.Store(int64(len(s.out)))
	return dropped
}

// Len implements Discipline.
func (s *Switch) Len() int {
	n := (*s.now.Load()).Len() + int(s.n.Load())
	if old := s.old.Load(); old != nil {
		n += (*old).Len()
	}
	return n
}

// Stale implements Rechecker.
func (s *Switch) Stale(now time.Duration, it *Item) bool {
	r, ok := (*s.now.Load()).(Rechecker)
	return ok && r.Stale(now, it)
}
