package fleet

import (
	"math"
	"slices"
	"time"
	"unsafe"
)

// never is a time that does not come.
const never = time.Duration(math.MaxInt64)

// timer is an entry of the fleet's calendar. An entry that has become void is not removed: the
// droplet's record tells whether the entry is still valid.
type timer struct {
	due     time.Duration
	droplet uint32
}

// lane is a calendar for timers of one constant delay. They are added in the order in which they
// come due, so a lane is a queue. A timer that is added out of order waits for those before it.
type lane struct {
	segs       []*segment    // a ring: position p is in segs[p / segTimers % len(segs)]
	spare      *segment      // the segment that was emptied last
	head, tail uint64        // positions
	first      time.Duration // when the timer at head comes due
	fetched    uint64        // droplets of timers before this position were prefetched
}

// segment is a part of a lane. It has 12 bytes per timer; an array of timers would have 16.
type segment struct {
	due     [segTimers]time.Duration
	droplet [segTimers]uint32
}

const segTimers = 1 << 10

func (l *lane) seg(pos uint64) *segment { return l.segs[pos/segTimers&uint64(len(l.segs)-1)] }

func (l *lane) add(t timer) {
	if l.tail%segTimers == 0 {
		l.grow()
	}
	s, i := l.seg(l.tail), l.tail%segTimers
	s.due[i], s.droplet[i] = t.due, t.droplet
	if l.head == l.tail {
		l.first = t.due
	}
	l.tail++
}

// grow adds a segment for the tail's position.
func (l *lane) grow() {
	first, next := l.head/segTimers, l.tail/segTimers
	if n := uint64(len(l.segs)); next-first >= n {
		wider := make([]*segment, max(16, 2*n))
		for s := first; s < next; s++ {
			wider[s&uint64(len(wider)-1)] = l.segs[s&(n-1)]
		}
		l.segs = wider
	}
	if l.spare == nil {
		l.spare = new(segment)
	}
	l.segs[next&uint64(len(l.segs)-1)], l.spare = l.spare, nil
}

// due is when the first timer comes due.
func (l *lane) due() time.Duration {
	if l.head == l.tail {
		return never
	}
	return l.first
}

// take removes the first timer.
func (l *lane) take() timer {
	s, i := l.seg(l.head), l.head%segTimers
	t := timer{s.due[i], s.droplet[i]}
	if l.head++; l.head%segTimers == 0 {
		seg := &l.segs[(l.head-1)/segTimers&uint64(len(l.segs)-1)]
		l.spare, *seg = *seg, nil
	}
	if l.head < l.tail {
		l.first = l.seg(l.head).due[l.head%segTimers]
	}
	return t
}

func (l *lane) bytes() int64 {
	segs := 0
	if l.spare != nil {
		segs++
	}
	for _, s := range l.segs {
		if s != nil {
			segs++
		}
	}
	return int64(segs)*int64(unsafe.Sizeof(segment{})) + 8*int64(len(l.segs))
}

// A wheel is a calendar for timers of any delay. Its slots are 2^20 ns long, about 1 ms. Each slot
// is a list of chunks from one pool, and is sorted when its time comes. (A linked list through the
// droplets would cost three to five times as much: one cache miss per entry.)
const (
	slotShift = 20
	slots     = 1 << 15 // 34 s; a timer that is due later stays for another turn of the wheel
	perChunk  = 20      // timers
	slabSize  = 1 << 10 // chunks allocated at a time
)

type timerChunk struct {
	due     [perChunk]time.Duration
	droplet [perChunk]uint32
	n       uint32
	next    uint32 // in the pool; 0 ends the list
}

type wheel struct {
	heads [slots]uint32
	slabs [][]timerChunk // the pool; chunk 0 is not used
	spare uint32         // first free chunk; 0: none
	used  uint32         // chunks allocated so far, chunk 0 included
	n     int            // timers in slots and near
	cur   int64          // slots up to this one have been emptied into near
	near  []timer        // ascending
	keys  []uint64       // scratch: the slot that is being sorted
	next  int            // near[:next] has been taken
	first time.Duration  // lower bound of the due times in the slots
}

func newWheel() *wheel { return &wheel{cur: -1, used: 1, first: never} }

func (w *wheel) chunk(i uint32) *timerChunk { return &w.slabs[i/slabSize][i%slabSize] }

func (w *wheel) add(t timer) {
	w.n++
	slot := int64(t.due) >> slotShift
	if slot <= w.cur {
		i, _ := slices.BinarySearchFunc(w.near[w.next:], t, compare)
		w.near = slices.Insert(w.near, w.next+i, t)
		return
	}
	w.put(min(slot, w.cur+slots-1), t)
}

func (w *wheel) put(slot int64, t timer) {
	w.first = min(w.first, time.Duration(slot<<slotShift))
	head := &w.heads[slot%slots]
	if *head == 0 || w.chunk(*head).n == perChunk {
		i := w.alloc()
		w.chunk(i).next = *head
		*head = i
	}
	c := w.chunk(*head)
	c.due[c.n], c.droplet[c.n] = t.due, t.droplet
	c.n++
}

func (w *wheel) alloc() uint32 {
	if i := w.spare; i != 0 {
		c := w.chunk(i)
		w.spare = c.next
		c.n, c.next = 0, 0
		return i
	}
	if int(w.used/slabSize) == len(w.slabs) {
		w.slabs = append(w.slabs, make([]timerChunk, slabSize))
	}
	w.used++
	return w.used - 1
}

func compare(a, b timer) int {
	if a.due != b.due {
		if a.due < b.due {
			return -1
		}
		return 1
	}
	return int(int64(a.droplet) - int64(b.droplet))
}

// due is the time of the first timer, or a lower bound of it after now. It turns the wheel up to
// now.
func (w *wheel) due(now time.Duration) time.Duration {
	for w.next == len(w.near) {
		if w.n == 0 || w.first > now {
			if w.n == 0 {
				w.cur = max(w.cur, int64(now)>>slotShift)
			}
			return max(w.first, time.Duration((w.cur+1)<<slotShift))
		}
		w.turn(now)
	}
	return w.near[w.next].due
}

// soonest is a time before which no timer is due. It does not turn the wheel.
func (w *wheel) soonest() time.Duration {
	if w.next < len(w.near) {
		return w.near[w.next].due
	}
	return w.first
}

// take removes the first timer, which due has just found.
func (w *wheel) take() timer {
	t := w.near[w.next]
	w.next++
	w.n--
	return t
}

// turn empties slots into near, up to the first slot with a timer that is due in it, or up to now.
func (w *wheel) turn(now time.Duration) {
	w.near, w.next, w.keys = w.near[:0], 0, w.keys[:0]
	for last := int64(now) >> slotShift; w.cur < last && len(w.keys) == 0; {
		w.cur++
		head := &w.heads[w.cur%slots]
		i := *head
		*head = 0
		for i != 0 {
			c := w.chunk(i)
			for k, due := range c.due[:c.n] {
				if slot := int64(due) >> slotShift; slot == w.cur {
					w.keys = append(w.keys, uint64(due)<<32|uint64(c.droplet[k])) // a slot lies within one 2^32 ns
				} else {
					w.put(min(slot, w.cur+slots-1), timer{due, c.droplet[k]})
				}
			}
			next := c.next
			c.next, w.spare = w.spare, i
			i = next
		}
	}
	slices.Sort(w.keys) // integers sort three times as fast as timers
	high := uint64(w.cur) << slotShift >> 32 << 32
	for _, key := range w.keys {
		w.near = append(w.near, timer{time.Duration(high | key>>32), uint32(key)})
	}
	w.first = w.bound()
}

// bound is the start of the first slot that is not empty.
func (w *wheel) bound() time.Duration {
	if w.n == len(w.near) {
		return never
	}
	for slot := w.cur + 1; slot < w.cur+slots; slot++ {
		if w.heads[slot%slots] != 0 {
			return time.Duration(slot << slotShift)
		}
	}
	return never
}

func (w *wheel) bytes() int64 {
	return slots*4 + int64(len(w.slabs))*slabSize*int64(unsafe.Sizeof(timerChunk{})) + int64(cap(w.near))*16 + int64(cap(w.keys))*8
}
