package fleet

import (
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue"
)

// attempt is one that is out, and those that follow it with nothing between: 32 bytes.
//
// Most of a surge is time-outs after which the droplet asks again at once. What that takes
// stands here, so that the droplet is left alone: attempts that were made one after the
// other lie so, and time out so, where their droplets are anywhere in memory.
type attempt struct {
	born    time.Duration
	until   time.Duration // of a check: the lease's deadline as the droplet knows it
	lease   uint64
	droplet uint32 // nobody: it is over; its time-out is still to be passed, or the place is free
	tries   uint8
	zone    uint8
	class   queue.Class // a check or an establish
}

// nobody is the droplet of an attempt that is over.
const nobody = 1<<32 - 1

// again turns it into the next attempt, after one that came to nothing.
func (a *attempt) again(born time.Duration) {
	a.born = born
	a.tries = more(a.tries)
}

// more is one try more, as far as a byte goes.
func more(tries uint8) uint8 { return tries + min(1, 254-tries) }

// attempts are those that are out, in the order of their time-outs: τ is one for all, so that
// it is that of their births.
//
// A place is an attempt's for as long as it has a time-out to come; a droplet knows that
// of its own.
type attempts struct {
	timeout time.Duration
	slabs   [][]attempt
	free    uint32        // a place, which knows the next one by its lease; nobody: none
	first   time.Duration // the time-out of the first that is not over, which is at head

	// order has places in a ring: position p is at p & mask, from the head's to the tail's.
	order      []uint32
	mask       uint64
	head, tail uint64
	fetched    uint64 // what is before this position was loaded ahead
}

const slabAttempts = 1 << 10

func newAttempts(timeout time.Duration) attempts {
	return attempts{timeout: timeout, free: nobody, first: never, order: make([]uint32, 1)}
}

func (l *attempts) at(place uint32) *attempt {
	return &l.slabs[place/slabAttempts][place%slabAttempts]
}

// add makes room for an attempt, which its caller fills in, and sets its time-out.
func (l *attempts) add(born time.Duration) (*attempt, uint32) {
	if l.free == nobody {
		l.grow()
	}
	place := l.free
	a := l.at(place)
	l.free = uint32(a.lease)
	l.push(born, place)
	return a, place
}

// push sets the time-out of an attempt.
func (l *attempts) push(born time.Duration, place uint32) {
	if l.head == l.tail {
		l.first = born + l.timeout
	}
	if l.tail-l.head > l.mask {
		l.widen()
	}
	l.order[l.tail&l.mask] = place
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
		slab[i].droplet, slab[i].lease = nobody, uint64(from)+uint64(i)+1
	}
	slab[slabAttempts-1].lease = nobody
	l.slabs, l.free = append(l.slabs, slab), from
}

// drop gives back a place whose time-out has been passed.
func (l *attempts) drop(place uint32) {
	a := l.at(place)
	a.droplet, a.lease = nobody, uint64(l.free)
	l.free = place
}

// end notes that the attempt at a place is over.
func (l *attempts) end(place uint32) {
	l.at(place).droplet = nobody
	if l.order[l.head&l.mask] == place {
		l.settle()
	}
}

// settle goes on to the first attempt that is not over.
func (l *attempts) settle() {
	for ; l.head < l.tail; l.head++ {
		place := l.order[l.head&l.mask]
		if a := l.at(place); a.droplet != nobody {
			l.first = a.born + l.timeout
			return
		}
		l.drop(place)
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
