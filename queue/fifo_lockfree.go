package queue

import (
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

var fifoLockFreeEntry = catalog.Entry[New]{
	Name:   "fifo-lockfree",
	Doc:    "fifo without a lock: positions by fetch-and-add, in chunks, a batch at a time",
	Source: "C. Yang and J. Mellor-Crummey, A Wait-free Queue as Fast as Fetch-and-Add, PPoPP 2016 (its array of chunks); D. Vyukov's sequence numbers",
	Params: []catalog.Param{pad.Param},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		ends := pad.Apart[atomic.Uint64](2, v.Int("pad") == 1)
		return &fifoLockFree{dir: make([]atomic.Pointer[segment], dirSize), head: ends[0], tail: ends[1]}, nil
	},
}

// The queue is a line of positions 0, 1, 2, …, kept in chunks; a directory says where
// the chunks are. It holds 16.7 million items and turns away what comes on top.
const (
	segCells  = 1 << 10
	dirSize   = 1 << 14
	maxQueued = segCells*dirSize - 2*segCells
	segSpares = 64
)

// cell is one position. Whose it is:
//
//	seq        the cell is
//	≠ pos+1    the pusher's that reserved pos by moving tail over it
//	= pos+1    published: the popper's that moves head over it, by compare-and-swap
//
// Positions are never used twice, so a popper that still looks at a chunk that has
// been recycled finds other numbers, and its compare-and-swap of head fails.
type cell struct {
	item Item
	seq  atomic.Uint64
}

type segment struct {
	number atomic.Uint64 // position / segCells
	taken  atomic.Int64
	cells  [segCells]cell
}

type fifoLockFree struct {
	dir   []atomic.Pointer[segment] // at number % dirSize
	spare [segSpares]atomic.Pointer[segment]
	head  *atomic.Uint64 // the poppers'
	tail  *atomic.Uint64 // the pushers'
}

func (q *fifoLockFree) Push(_ time.Duration, items []Item) int {
	kept := min(len(items), max(0, maxQueued-q.Len()))
	for i := range items[kept:] {
		items[kept+i].Why = Full
	}
	if kept == 0 {
		return 0
	}
	first := q.tail.Add(uint64(kept)) - uint64(kept)
	var seg *segment
	for i := range items[:kept] {
		pos := first + uint64(i)
		if seg == nil || seg.number.Load() != pos/segCells {
			seg = q.segment(pos / segCells)
		}
		c := &seg.cells[pos%segCells]
		c.item = items[i]
		c.seq.Store(pos + 1)
	}
	return kept
}

// segment finds the chunk of that number, or makes it. Its place in the directory is
// free: less than the directory's whole length is in use.
func (q *fifoLockFree) segment(number uint64) *segment {
	place := &q.dir[number%dirSize]
	var fresh *segment
	for {
		if s := place.Load(); s != nil {
			if s.number.Load() == number {
				if fresh != nil {
					q.keep(fresh)
				}
				return s
			}
			continue // its last reader is about to take it out
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
	return new(segment)
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
		seg := q.dir[head/segCells%dirSize].Load()
		n := 0
		if seg != nil {
			n = seg.published(head, len(dst)-taken)
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
		for i := range n {
			dst[taken+i] = seg.cells[head%segCells+uint64(i)].item
		}
		taken += n
		if seg.taken.Add(int64(n)) == segCells {
			seg.taken.Store(0)
			q.dir[head/segCells%dirSize].Store(nil)
			q.keep(seg)
		}
	}
	return taken, 0
}

// published is how many items stand ready from a position on, in its chunk, up to a limit.
func (s *segment) published(pos uint64, limit int) int {
	n := 0
	for at := pos % segCells; n < limit && at+uint64(n) < segCells; n++ {
		if s.cells[at+uint64(n)].seq.Load() != pos+uint64(n)+1 {
			break
		}
	}
	return n
}

// Len reads head first: it may count what is popped meanwhile, but is never below 0.
func (q *fifoLockFree) Len() int {
	head := q.head.Load()
	return int(q.tail.Load() - head)
}
