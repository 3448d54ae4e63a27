package fleet

import (
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// attempt is an attempt that is out. If it times out and the droplet asks again at once, the
// record becomes the next attempt. A record has 32 bytes.
//
// Most of a surge is time-outs after which the droplet asks again at once. A record holds all that
// such a retry needs, so that the droplet's record is not read: consecutive attempts are
// neighbours in memory and time out one after the other, while their droplets are scattered.
type attempt struct {
	born    time.Duration
	lease   uint64       // that the droplet presents; in a free record: the next free place
	until   queue.Millis // of a check: the lease's deadline as the droplet knows it
	droplet uint32
	pos     uint32 // lower half of the time-out's position in order
	tries   uint8
	zone    uint8
	class   queue.Class // a check or an establish
	request request
}

// gone marks, in order, a time-out whose attempt is over. It also ends the list of free places.
const gone = 1<<32 - 1

// again turns a failed attempt into the next one.
func (a *attempt) again(born time.Duration) {
	a.born = born
	a.tries, a.request = more(a.tries), fresh|redials
}

// more adds one to tries, up to admit.MostTries.
func more(tries uint8) uint8 { return tries + min(1, admit.MostTries-tries) }

// attempts holds the attempts that are out, in the order of their time-outs. All attempts have the
// same timeout τ, so this is the order of their births.
//
// An attempt keeps its place in slabs while it is out, and its droplet holds that place. When an
// attempt ends, its entry in order becomes gone. So a void time-out costs one read of order.
type attempts struct {
	timeout time.Duration
	slabs   [][]attempt
	free    uint32        // first free place; see attempt.lease
	first   time.Duration // the next time-out, at head

	// order is a ring of places: position p is at p & mask, for p from head to before tail.
	order      []uint32
	mask       uint64
	head, tail uint64
	fetched    uint64 // positions before this one were prefetched
}

const slabAttempts = 1 << 10

func newAttempts(timeout time.Duration) attempts {
	return attempts{timeout: timeout, free: gone, first: never, order: make([]uint32, 1)}
}

func (l *attempts) at(place uint32) *attempt {
	return &l.slabs[place/slabAttempts][place%slabAttempts]
}

// add allocates an attempt and sets its time-out. The caller fills in the other fields.
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

// push appends the time-out of an attempt to order.
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

// widen doubles the ring.
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

// drop frees a place whose time-out has been taken.
func (l *attempts) drop(place uint32) {
	l.at(place).lease = uint64(l.free)
	l.free = place
}

// end frees the place of an attempt that ends before its time-out.
func (l *attempts) end(place uint32) {
	pos := l.at(place).pos
	l.order[uint64(pos)&l.mask] = gone
	if pos == uint32(l.head) {
		l.settle()
	}
	l.drop(place)
}

// settle moves head to the next time-out whose attempt is still out.
func (l *attempts) settle() {
	for ; l.head < l.tail; l.head++ {
		if place := l.order[l.head&l.mask]; place != gone {
			l.first = l.at(place).born + l.timeout
			return
		}
	}
	l.first = never
}

// due is the time of the next time-out.
func (l *attempts) due() time.Duration { return l.first }

// take removes the next time-out and returns the attempt's place.
func (l *attempts) take() uint32 {
	place := l.order[l.head&l.mask]
	l.head++
	l.settle()
	return place
}

func (l *attempts) bytes() int64 {
	return int64(len(l.slabs))*slabAttempts*int64(unsafe.Sizeof(attempt{})) + 4*int64(len(l.order))
}
