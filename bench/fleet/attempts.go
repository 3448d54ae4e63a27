package fleet

import (
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// attempt is one that is out, and those that follow it with nothing between: 32 bytes.
//
// Most of a surge is time-outs after which the droplet asks again at once. What that takes
// stands here, so that the droplet is left alone: attempts that were made one after the
// other lie so, and time out so, where their droplets are anywhere in memory.
type attempt struct {
	born    time.Duration
	lease   uint64
	until   queue.Millis // of a check: the lease's deadline as the droplet knows it
	droplet uint32
	pos     uint32 // of its time-out in order, without the upper half
	tries   uint8
	zone    uint8
	class   queue.Class // a check or an establish
}

// gone is a time-out's place whose attempt is over, and the end of the free places.
const gone = 1<<32 - 1

// again turns it into the next attempt, after one that came to nothing.
func (a *attempt) again(born time.Duration) {
	a.born = born
	a.tries = more(a.tries)
}

// more is one try more, up to what a policy is told.
func more(tries uint8) uint8 { return tries + min(1, admit.MostTries-tries) }

// attempts are those that are out, in the order of their time-outs: τ is one for all, so that
// it is that of their births.
//
// A place is an attempt's for as long as it is out, and its droplet knows it. An answer takes
// the time-out out of the order where it stands, so that the time-out of an answered attempt
// costs a look at the order and nothing else.
type attempts struct {
	timeout time.Duration
	slabs   [][]attempt
	free    uint32        // a place, which knows the next one by its lease
	first   time.Duration // the next time-out, which is at head

	// order has places in a ring: position p is at p & mask, from the head's to the tail's.
	order      []uint32
	mask       uint64
	head, tail uint64
	fetched    uint64 // what is before this position was loaded ahead
}

const slabAttempts = 1 << 10

func newAttempts(timeout time.Duration) attempts {
	return attempts{timeout: timeout, free: gone, first: never, order: make([]uint32, 1)}
}

func (l *attempts) at(place uint32) *attempt {
	return &l.slabs[place/slabAttempts][place%slabAttempts]
}

// add makes room for an attempt, which its caller fills in, and sets its time-out.
func (l *attempts) add(born time.Duration) (*attempt, uint32) {
	if l.free == gone {
		l.grow()
	}
	place := l.free
	a := l.at(place)
	l.free = uint32(a.lease)
	a.born = born
	l.push(a, place)
	return a, place
}

// push sets the time-out of an attempt.
func (l *attempts) push(a *attempt, place uint32) {
	if l.head == l.tail {
		l.first = a.born + l.timeout
	}
	if l.tail-l.head > l.mask {
		l.widen()
	}
	l.order[l.tail&l.mask], a.pos = place, uint32(l.tail)
	l.tail++
}

// widen makes the ring twice as wide.
func (l *attempts) widen() {
	wider, mask := make([]uint32, 2*len(l.order)), 2*l.mask+1
	for p := l.head; p < l.tail; p++ {
		wider[p&mask] = l.order[p&l.mask]
	}
	l.order, l.mask = wider, mask
}

func (l *attempts) grow() {
	slab := make([]attempt, slabAttempts)
	from := uint32(len(l.slabs)) * slabAttempts
	for i := range slab {
		slab[i].lease = uint64(from) + uint64(i) + 1
	}
	slab[slabAttempts-1].lease = gone
	l.slabs, l.free = append(l.slabs, slab), from
}

// drop gives back a place whose time-out has been taken.
func (l *attempts) drop(place uint32) {
	l.at(place).lease = uint64(l.free)
	l.free = place
}

// end gives back the place of an attempt that is over before its time-out.
func (l *attempts) end(place uint32) {
	pos := l.at(place).pos
	l.order[uint64(pos)&l.mask] = gone
	if pos == uint32(l.head) {
		l.settle()
	}
	l.drop(place)
}

// settle goes on to the next time-out whose attempt is not over.
func (l *attempts) settle() {
	for ; l.head < l.tail; l.head++ {
		if place := l.order[l.head&l.mask]; place != gone {
			l.first = l.at(place).born + l.timeout
			return
		}
	}
	l.first = never
}

// due is the next time-out.
func (l *attempts) due() time.Duration { return l.first }

// take takes out the next time-out and returns the attempt's place.
func (l *attempts) take() uint32 {
	place := l.order[l.head&l.mask]
	l.head++
	l.settle()
	return place
}

func (l *attempts) bytes() int64 {
	return int64(len(l.slabs))*slabAttempts*int64(unsafe.Sizeof(attempt{})) + 4*int64(len(l.order))
}
