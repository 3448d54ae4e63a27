package host

import (
	"math/bits"
	"strings"
	"sync"
	"time"
)

// Clock reads the time since its start. It uses the processor's time stamp counter if the counter
// is invariant and the kernel uses it as its clock source. A reading then takes about 10 ns.
// Otherwise Clock uses the monotonic clock.
type Clock struct {
	start time.Time // wall time and monotonic reading
	base  uint64    // the counter at the start
	rate  uint64    // length of a count, in 2^-32 ns; 0: the monotonic clock is used
}

// NewClock starts a clock. The first call may take 50 ms to measure the rate of the counter.
func NewClock() Clock { return newClock(tscRate()) }

func newClock(rate uint64) Clock {
	c := Clock{rate: rate}
	if rate == 0 {
		c.start = time.Now()
		return c
	}
	// The counter and the clock should be read at the same time: the closest of a few tries counts.
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

// Start returns the wall time at which the clock was started.
func (c *Clock) Start() time.Time { return c.start }

// Now returns the time since the clock's start. It never steps back on one processor.
func (c *Clock) Now() time.Duration {
	if c.rate == 0 {
		return time.Since(c.start)
	}
	hi, lo := bits.Mul64(rdtsc()-c.base, c.rate)
	return time.Duration(hi<<32 | lo>>32)
}

// Source returns "tsc" or "monotonic".
func (c *Clock) Source() string {
	if c.rate == 0 {
		return "monotonic"
	}
	return "tsc"
}

// Drift returns the deviation from the monotonic clock since the start, in parts per million. A
// positive drift means that the clock is fast. The monotonic clock itself has a drift of 0.
func (c *Clock) Drift() float64 {
	if c.rate == 0 {
		return 0
	}
	mine, theirs := c.Now(), time.Since(c.start)
	return 1e6 * float64(mine-theirs) / float64(theirs)
}

// tscRate measures the length of a count once, in 2^-32 ns. It is 0 if the counter is missing or
// not to be trusted.
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

// trustTSC reports whether the counter is invariant and is the kernel's clock source. The kernel
// compares the counters of all processors and uses another clock source if they differ.
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
