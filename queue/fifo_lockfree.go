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
	Source: "C. Yang and J. Mellor-Crummey, A Wait-free Queue as Fast as Fetch-and-Add, PPoPP 2016 (its array of segments); D. Vyukov's sequence numbers",
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
//	cells     a segment of 1,024 cells of 48 bytes is 48 KiB. One allocation, one directory entry
//	          and one recycling are shared by 1,024 items.
//	segments  sets the limit. The directory is 128 KiB and is allocated at once.
//	spares    a queue whose length swings by up to 65,536 items allocates nothing. At most 3 MiB
//	          of empty segments are kept; the collector takes the others.
var defaultFifo = fifoSizes{cells: 1 << 10, segments: 1 << 14, spares: 64}

// cell is one position. Whose it is:
//
//	seq        the cell is
//	≠ pos+1    the pusher's that reserved pos by moving tail over it
//	= pos+1    published: the popper's that moves head over it, by compare-and-swap
//
// No position is filled twice. A popper that still looks at a segment that has been
// recycled finds other numbers, and its compare-and-swap of head fails.
type cell struct {
	item Item
	seq  word
}

// segment holds the positions number·cells … number·cells + cells − 1. It is recycled:
//
//	spare       nobody's
//	fresh       of the one pusher that swapped it out of the spares and numbers it
//	installed   in the directory: its number stands
//	spent       of the one popper that took the last of its items and puts it away
//
// Why a segment can be used again while goroutines still hold a pointer to it:
//
//  1. Pushers with positions to fill. A segment is spent when all its positions have been
//     popped, and only filled positions are popped. So no pusher has a position to fill in
//     a spent segment. A pusher that has filled its positions does not look at the segment
//     again (TestInterleaveFifo/edges).
//  2. Poppers. A popper copies items only after its compare-and-swap of head. Then it adds to
//     taken, so that the segment cannot be spent before the copy is done. A popper that read
//     the segment before and was overtaken fails: head has left the segment for good
//     (TestInterleaveFifo/wrapped).
//  3. Pushers that look for their segment. Its place in the directory may still hold the
//     segment of an earlier round, which is about to be spent. That segment may then become
//     fresh in another pusher's hands, and get the very number that the first pusher looks
//     for, before it is installed. So a number counts only if the segment is still in its
//     place after the number was read: see segment (TestInterleaveFifo/recycled).
//
// The tests walk the interleavings of small queues. They run with the build tag interleave,
// which TestInterleavings sets.
type segment struct {
	number word // position / cells
	taken  word // positions that have been popped
	cells  []cell
}

// fifoLockFree is a line of positions 0, 1, 2, … in segments, which a directory finds by their
// numbers.
type fifoLockFree struct {
	dir   []ref[segment] // at number % len(dir)
	spare []ref[segment]
	head  *word // the poppers'
	tail  *word // the pushers'
	limit int   // items; with it no two segments in use meet in one place of dir
	shift int   // a position's segment is pos >> shift
	mask  uint64
}

func newFifoLockFree(sizes fifoSizes, apart bool) *fifoLockFree {
	ends := pad.Apart[word](2, apart)
	return &fifoLockFree{
		dir: make([]ref[segment], sizes.segments), spare: make([]ref[segment], sizes.spares), head: ends[0], tail: ends[1],
		limit: sizes.cells * (sizes.segments - 1), shift: bits.TrailingZeros(uint(sizes.cells)), mask: uint64(sizes.cells - 1),
	}
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
	// Once its last position is filled, a segment may be spent at any time: a batch looks at
	// none again.
	for rest := items[:kept]; len(rest) > 0; {
		cells := q.segment(pos).cells[pos&q.mask:]
		n := min(len(rest), len(cells))
		for i := range rest[:n] {
			pos++
			cells[i].item = rest[i]
			cells[i].seq.Store(pos)
		}
		rest = rest[n:]
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
	head := q.head.Load()
	n = min(n, q.limit-int(q.tail.Load()-head))
	if n <= 0 {
		return 0, 0
	}
	end := q.tail.Add(uint64(n))
	first = end - uint64(n)
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

// segment finds the segment of a position that the caller has reserved and not filled, or
// makes it.
func (q *fifoLockFree) segment(pos uint64) *segment {
	place, number := q.place(pos), pos>>(q.shift&63)
	var fresh *segment
	for {
		if s := place.Load(); s != nil {
			if s.number.Load() == number && place.Load() == s {
				if fresh != nil {
					q.keep(fresh)
				}
				return s
			}
			pause() // its last popper is about to take it out
			continue
		}
		if fresh == nil {
			fresh = q.fresh()
			fresh.number.Store(number)
		}
		if place.CompareAndSwap(nil, fresh) {
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
	return &segment{cells: make([]cell, q.mask+1)}
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
		head := q.head.Load()
		place := q.place(head)
		seg := place.Load()
		var cells []cell
		if seg != nil {
			cells = published(seg.cells[head&q.mask:], head, len(dst)-taken)
		}
		if len(cells) == 0 {
			if head == q.head.Load() {
				break // empty, or a pusher is between its reservation and its items
			}
			continue
		}
		if !q.head.CompareAndSwap(head, head+uint64(len(cells))) {
			continue
		}
		point()
		for i := range cells {
			dst[taken] = cells[i].item
			taken++
		}
		if seg.taken.Add(uint64(len(cells))) == q.mask+1 {
			seg.taken.Store(0)
			place.Store(nil)
			q.keep(seg)
		}
	}
	return taken, 0
}

// published returns the cells that are ready to be popped, up to a limit. The first cell has
// the position pos.
func published(cells []cell, pos uint64, limit int) []cell {
	cells = cells[:min(len(cells), limit)]
	for i := range cells {
		if cells[i].seq.Load() != pos+uint64(i)+1 {
			return cells[:i]
		}
	}
	return cells
}

// Len reads head before tail. It may count items that are popped meanwhile, and is never below
// 0. Tail is above the limit while a pusher gives positions back.
func (q *fifoLockFree) Len() int {
	head := q.head.Load()
	return min(int(q.tail.Load()-head), q.limit)
}
