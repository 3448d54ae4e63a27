package host

import (
	"math/bits"
	"strings"
	"sync"
	"time"
)

// Clock reads the time since its making. Where the processor's time stamp counter is
// invariant and the kernel itself goes by it, a reading is one instruction of about
// 10 ns and no call; elsewhere it is the monotonic clock.
type Clock struct {
	start time.Time // with its monotonic reading
	base  uint64    // of the counter at the start; 0: the monotonic clock is used
	rate  uint64    // ns a count, in 2^-32
}

// NewClock starts a clock.
func NewClock() Clock { return newClock(tscRate()) }

func newClock(rate uint64) Clock {
	c := Clock{rate: rate}
	if rate == 0 {
		c.start = time.Now()
		return c
	}
	// The two are read as near to each other as can be: of a few tries the closest.
	best := uint64(1<<64 - 1)
	for range 8 {
		before := rdtsc()
		now := time.Now()
		if after := rdtsc(); after-before < best {
			best, c.base, c.start = after-before, before+(after-before)/2, now
		}
	}
	return c
}

// Start is the wall time at which the clock stood at 0.
func (c *Clock) Start() time.Time { return c.start }

// Now is the time since the clock's start. It never steps back on one processor.
func (c *Clock) Now() time.Duration {
	if c.rate == 0 {
		return time.Since(c.start)
	}
	hi, lo := bits.Mul64(rdtsc()-c.base, c.rate)
	return time.Duration(hi<<32 | lo>>32)
}

// Source is "tsc" or "monotonic".
func (c *Clock) Source() string {
	if c.rate == 0 {
		return "monotonic"
	}
	return "tsc"
}

// Drift is how far the clock has come from the monotonic clock since its start, in parts
// of a million; 0 of the monotonic clock itself.
func (c *Clock) Drift() float64 {
	if c.rate == 0 {
		return 0
	}
	mine, theirs := c.Now(), time.Since(c.start)
	return 1e6 * float64(mine-theirs) / float64(theirs)
}

// tscRate measures once how long a count takes, in 2^-32 ns; 0 where the counter is not to
// be trusted.
var tscRate = sync.OnceValue(func() uint64 {
	if !hasTSC || !trustTSC("/") {
		return 0
	}
	// 50 ms bound the error of two readings of some 50 ns each to 2 parts in a million.
	const length = 50 * time.Millisecond
	a := newClock(1)
	for time.Since(a.start) < length {
		Pause(100)
	}
	b := newClock(1)
	counts := float64(b.base - a.base)
	if counts <= 0 {
		return 0
	}
	return uint64(float64(b.start.Sub(a.start)) / counts * (1 << 32))
})

// trustTSC says whether the counter is invariant and the kernel's own clock: it tests the
// counters of all processors against each other, and gives it up where they differ.
func trustTSC(root string) bool {
	if text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource") != "tsc" {
		return false
	}
	info := text(root, "proc/cpuinfo")
	return strings.Contains(info, "constant_tsc") && strings.Contains(info, "nonstop_tsc")
}

func first(n int) []int {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = i
	}
	return ids
}
