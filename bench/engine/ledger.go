package engine

import (
	"time"

	"github.com/leasestorm/leasestorm/lease"
)

// ledger counts the droplets whose last good answer is younger than the TTL: the active leases, as the
// clients of a service that is not ours can know them.
type ledger struct {
	ttl    time.Duration
	until  []int32 // by droplet: the bucket in which its lease ends
	ends   []int32 // by bucket: how many leases end in it
	passed int     // buckets before this one have passed
	live   int
	last   uint64 // id of the lease that was granted last
}

// ledgerBucket is the resolution of a lease's end.
const ledgerBucket = 10 * time.Millisecond

func newLedger(droplets int, ttl time.Duration) *ledger {
	return &ledger{ttl: ttl, until: make([]int32, droplets)}
}

// seed gives a droplet its lease before the run.
func (l *ledger) seed(droplet uint32, until time.Duration) lease.ID {
	l.extend(droplet, until)
	l.last++
	return lease.ID(l.last)
}

// extend records a good answer after which the lease lasts until then.
func (l *ledger) extend(droplet uint32, until time.Duration) {
	b := int(until/ledgerBucket) + 1
	for b >= len(l.ends) {
		l.ends = append(l.ends, make([]int32, 1024)...)
	}
	if old := int(l.until[droplet]); old >= l.passed && old > 0 {
		l.ends[old]--
		l.live--
	}
	l.until[droplet] = int32(b)
	l.ends[b]++
	l.live++
}

// expire ends the leases whose time has passed.
func (l *ledger) expire(now time.Duration) {
	for b := int(now / ledgerBucket); l.passed <= b; l.passed++ {
		if l.passed < len(l.ends) {
			l.live -= int(l.ends[l.passed])
			l.ends[l.passed] = 0
		}
	}
}
