package host

import "time"

// Clock reads the time since its making.
type Clock struct{ start time.Time }

// NewClock starts a clock.
func NewClock() Clock { return Clock{time.Now()} }

// Start is the wall time at which the clock stood at 0.
func (c Clock) Start() time.Time { return c.start }

// Now is the time since the clock's start, monotonic.
func (c Clock) Now() time.Duration { return time.Since(c.start) }

func first(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}
