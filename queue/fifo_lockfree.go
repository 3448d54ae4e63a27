package queue

import (
	"math/bits"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

var fifoLockFreeEntry = catalog.Entry[New]{
	Name:   "fifo-lockfree",
	Doc:    "fifo without a lock: positions by fetch-and-add, in segments, a batch at a time",
	Source: "C. Yang and J. Mellor-Crummey, A Wait-free Queue as Fast as Fetch-and-Add, PPoPP 2016 (its array of segments); published by a bitmap",
	Params: []catalog.Param{pad.Param},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return newFifoLockFree(defaultFifo, v.Int("pad") == 1), nil
	},
}

// NewLockFreeFIFO returns a queue that serves in order of arrival and takes no lock, the
// catalog's "fifo-lockfree". It holds 16.7 million attempts. A newcomer beyond that is given
// up as Full.
func NewLockFreeFIFO() Discipline { return newFifoLockFree(defaultFifo, true) }

// fifoSizes are the sizes of the queue's parts. Tests take small ones, so that a segment is
// used up and recycled within a few steps.
type fifoSizes struct {
	cells    int // positions of a segment; a power of 2
	segments int // places of the directory; a power of 2
	spares   int // empty segments that are kept for reuse
}

// defaultFifo is for up to 1,024 · 16,383 = 16.8 million items:
//
//	cells     a segment of 1,024 items of 40 bytes is 40 KiB. One allocation, one directory entry
//	          and one recycling are shared by 1,024 items.
//	segments  sets the limit. The directory is 128 KiB and is allocated at once.
//	spares    a queue whose length swings by up to 65,536 items allocates nothing. At most 2.5 MiB
//	          of empty segments are kept; the collector takes the others.
var defaultFifo = fifoSizes{cells: 1 << 10, segments: 1 << 14, spares: 64}

// fifoLockFree is a line of positions 0, 1, 2, … in segments, which a directory finds by their
// numbers. No position is used twice.
//
// Each side keeps what it knows of the other, and looks again only when that is used up:
// pushers a bound of tail, poppers a position up to which all is published. Both only lag.
type fifoLockFree struct {
	dir   []ref[segment] // at number % len(dir)
	spare []ref[segment]
	head  *word // the poppers'
	known *word // theirs: all positions from head up to it are published
	tail  *word // the pushers'
	bound *word // theirs: a head that was seen, plus limit
	limit int   // items; with it no two segments in use meet in one place of dir
	shift int   // a position's segment is pos >> shift
	mask  uint64
	wait  *patience // the poppers'
	apart bool
}

func newFifoLockFree(sizes fifoSizes, apart bool) *fifoLockFree {
	ends := pad.Apart[struct {
		end, other word
		wait       patience
	}](2, apart)
	q := &fifoLockFree{
		dir: make([]ref[segment], sizes.segments), spare: make([]ref[segment], sizes.spares),
		head: &ends[0].end, known: &ends[0].other, wait: &ends[0].wait, tail: &ends[1].end, bound: &ends[1].other,
		limit: sizes.cells * (sizes.segments - 1), shift: bits.TrailingZeros(uint(sizes.cells)), mask: uint64(sizes.cells - 1), apart: apart,
	}
	q.bound.Store(uint64(q.limit))
	return q
}

// place is where the directory has the segment of a position.
func (q *fifoLockFree) place(pos uint64) *ref[segment] {
	return &q.dir[pos>>(q.shift&63)&uint64(len(q.dir)-1)]
}

func (q *fifoLockFree) Push(_ time.Duration, items []Item) int {
	pos, kept := q.reserve(len(items))
	for i := range items[kept:] {
		items[kept+i].Why = Full
	}
	// Once its last position is published, a segment may be spent at any time: a batch looks at
	// none again.
	for rest := items[:kept]; len(rest) > 0; {
		seg, at := q.segment(pos), int(pos&q.mask)
		point()
		n := copy(seg.items[at:], rest)
		seg.publish(at, n)
		pos += uint64(n)
		if rest = rest[n:]; len(rest) == 0 && q.tail.Load() == pos { // no pusher is at work behind
			seg.ahead(at+n, n)
		}
	}
	return kept
}

// reserve makes up to n positions the caller's, from first on, as many as there is room for.
//
// It adds first and looks afterwards. On many cores a fetch-and-add costs one transfer of the
// cache line; a loop of compare-and-swaps costs one for each attempt that fails. Positions past
// the limit are given back before anything is filled, from the end: the pushers behind have
// even less room and give theirs back first. A pusher that waits for this waits for pushers
// that stand between their addition and this loop, never for a popper. Newcomers see a full
// queue and do not add (TestInterleaveFifo/full).
func (q *fifoLockFree) reserve(n int) (first uint64, kept int) {
	tail, bound := q.tail.Load(), q.bound.Load()
	if int(bound-tail) < n { // or so it was: look again
		bound = q.head.Load() + uint64(q.limit)
		q.bound.Store(bound)
		if n = min(n, int(bound-tail)); n <= 0 {
			return 0, 0
		}
	}
	end := q.tail.Add(uint64(n))
	first = end - uint64(n)
	if int(bound-end) >= 0 {
		return first, n
	}
	for {
		room := int(q.head.Load() + uint64(q.limit) - first)
		if room >= n {
			return first, n
		}
		room = max(room, 0)
		if q.tail.Load() == end && q.tail.CompareAndSwap(end, first+uint64(room)) {
			return first, room
		}
		pause()
	}
}

// installed returns the segment of a position if the directory has it, and what it has in that
// place otherwise. A segment that came to be ours after it was read is none: see segment.
func (q *fifoLockFree) installed(pos uint64) (s *segment, ours bool) {
	place := q.place(pos)
	s = place.Load()
	return s, s != nil && s.number.Load() == pos>>(q.shift&63) && place.Load() == s
}

// segment finds the segment of a position that the caller has reserved and not filled, or
// makes it.
func (q *fifoLockFree) segment(pos uint64) *segment {
	var fresh *segment
	for {
		s, ours := q.installed(pos)
		if ours {
			if fresh != nil {
				q.keep(fresh)
			}
			return s
		}
		if s != nil {
			pause() // its last popper is about to take it out
			continue
		}
		if fresh == nil {
			fresh = q.fresh()
			fresh.number.Store(pos >> (q.shift & 63))
		}
		if q.place(pos).CompareAndSwap(nil, fresh) {
			return fresh
		}
	}
}

func (q *fifoLockFree) fresh() *segment {
	for i := range q.spare {
		if q.spare[i].Load() != nil {
			if s := q.spare[i].Swap(nil); s != nil {
				return s
			}
		}
	}
	return newSegment(int(q.mask+1), q.apart)
}

func (q *fifoLockFree) keep(s *segment) {
	for i := range q.spare {
		if q.spare[i].Load() == nil && q.spare[i].CompareAndSwap(nil, s) {
			return
		}
	}
}

func (q *fifoLockFree) Pop(_ time.Duration, dst []Item) (taken, dropped int) {
	for taken < len(dst) {
		head, n := q.head.Load(), 0
		seg, ours := q.installed(head)
		if ours {
			n = q.published(seg, head, len(dst)-taken)
		}
		if n == 0 {
			if head == q.head.Load() {
				break // empty, or a pusher is between its reservation and its items
			}
			continue
		}
		if !q.head.CompareAndSwap(head, head+uint64(n)) {
			continue
		}
		point()
		taken += copy(dst[taken:], seg.items[head&q.mask:][:n])
		if seg.taken.Add(uint64(n)) == q.mask+1 {
			seg.clear()
			q.place(head).Store(nil)
			q.keep(seg)
		}
	}
	return taken, 0
}

// published counts what is ready in head's segment, up to a limit. It looks for more than is
// asked for, so that the next need not look. What poppers look at the pushers want to write.
func (q *fifoLockFree) published(seg *segment, head uint64, limit int) int {
	at := int(head & q.mask)
	limit = min(limit, len(seg.items)-at)
	n := int(q.known.Load() - head)
	if n < limit {
		look := func() int { return seg.published(at, max(limit, wordBits)) }
		if n <= 0 && limit < worthwhile {
			n = q.wait.before(head, look)
		} else {
			n = look()
		}
		if n > limit {
			q.known.Store(head + uint64(n))
		}
	}
	return min(n, limit)
}

// Len reads head before tail. It may count items that are popped meanwhile, and is never below
// 0. Tail is above the limit while a pusher gives positions back.
func (q *fifoLockFree) Len() int {
	head := q.head.Load()
	return min(int(q.tail.Load()-head), q.limit)
}
