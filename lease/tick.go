package lease

import "time"

// maxTick is MaxDeadline in ticks. The one number above it is never a deadline:
// tables use it as "no deadline at all" where they keep a minimum.
const (
	maxTick    = 1<<32 - 2
	noDeadline = 1<<32 - 1
)

// nowTick is now in ticks, rounded down and held within the run's range.
func nowTick(now time.Duration) uint32 {
	if now <= 0 {
		return 0
	}
	return uint32(min(uint64(now)>>tickShift, maxTick))
}

// deadlineTick is deadline in ticks, rounded up; false for ErrDeadline. Because
// now is rounded down, a deadline after now is after it in ticks too: a lease is
// live when it is granted, and its tick is never 0.
func deadlineTick(now, deadline time.Duration) (uint32, bool) {
	if deadline <= max(now, 0) || deadline > MaxDeadline {
		return 0, false
	}
	return uint32((deadline + Tick - 1) >> tickShift), true
}

// nextEpoch is the epoch of a slot's next grant. It skips 0 when it wraps, which
// would be the epoch of a slot that was never granted.
func nextEpoch(epoch uint32) uint32 {
	epoch++
	if epoch == 0 {
		epoch = 1
	}
	return epoch
}
