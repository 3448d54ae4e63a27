package queue

import (
	"math/bits"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue/internal/prefetch"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// segment holds the positions number·cells … number·cells + cells − 1 of a fifoLockFree: bare
// items, and one bit for each that says whether it is published. Whose an item is:
//
//	bit  the item is
//	0    the pusher's that reserved its position by moving tail over it
//	1    the popper's that moves head over its position, by compare-and-swap
//
// A bit is set once, and cleared when all items of the segment have been taken. A popper that
// still looks at the segment then finds that its compare-and-swap of head fails.
//
// A segment is recycled:
//
//	spare       nobody's; all bits are 0
//	fresh       of the one pusher that swapped it out of the spares and numbers it
//	installed   in the directory: its number stands
//	spent       of the one popper that took the last of its items, clears it and puts it away
//
// Why a segment can be used again while goroutines still hold a pointer to it:
//
//  1. Pushers with positions to fill. A segment is spent when all its positions have been
//     popped, and only published positions are popped. So no pusher has a position to fill in
//     a spent segment. A pusher that has published its last item there does not look at the
//     segment again (TestInterleaveFifo/edges).
//  2. Poppers. A popper copies items only after its compare-and-swap of head. Then it adds to
//     taken, so that the segment cannot be spent before the copy is done. A popper that read
//     the segment before and was overtaken fails: head has left the segment for good
//     (TestInterleaveFifo/wrapped and /stale).
//  3. Whoever looks for a segment. Its place in the directory may still hold the segment of
//     an earlier round, which is about to be spent. That segment may then become fresh in
//     another pusher's hands, and get the very number that is looked for, before it is
//     installed, if it ever is. So a number counts only if the segment is still in its
//     place after the number was read: see installed (TestInterleaveFifo/recycled and TestInterleavePassedBy).
//
// The tests walk the interleavings of small queues. They run with the build tag interleave,
// which TestInterleavings sets.
type segment struct {
	number word  // position / cells
	taken  *word // positions that have been popped; written by poppers, so on a line of its own
	ready  []word
	items  []Item
}

func newSegment(cells int, apart bool) *segment {
	return &segment{
		taken: pad.Apart[word](1, apart)[0],
		ready: make([]word, (cells+wordBits-1)/wordBits), items: make([]Item, cells),
	}
}

// publish makes n items from index at on the poppers'. It writes the last word first, so that
// a popper, which begins at the front, finds the batch as a whole.
func (s *segment) publish(at, n int) {
	for end := at + n; end > at; {
		from := max(at, (end-1)&^(wordBits-1))
		ready := &s.ready[from/wordBits]
		if end-from == wordBits {
			ready.Store(1<<wordBits - 1) // nobody else has a bit in this word
		} else {
			ready.Add((1<<(end-from) - 1) << (from % wordBits)) // bits that are 0: no carry
		}
		end = from
	}
}

// published counts the items from index at on that stand published, up to a limit.
func (s *segment) published(at, limit int) (n int) {
	limit = min(limit, len(s.items)-at)
	for n < limit {
		i := (at + n) % wordBits
		ones := bits.TrailingZeros64(^(s.ready[(at+n)/wordBits].Load() >> i))
		if n += ones; i+ones < wordBits {
			break
		}
	}
	return min(n, limit)
}

// clear makes a spent segment as good as new, but for its number.
func (s *segment) clear() {
	s.taken.Store(0)
	for i := range s.ready {
		s.ready[i].Store(0)
	}
}

// aheadItems is how far a pusher of few items looks ahead: eight items are five cache lines.
const aheadItems = 8

// ahead asks for the cache lines of items that are likely to be pushed next, after a batch
// of n that ends before index end. The poppers' core had them last. They are on their way while
// this batch's owner does something else, and stores need not wait for them one by one.
func (s *segment) ahead(end, n int) {
	if from := end + max(aheadItems-n, 0); from+n <= len(s.items) {
		prefetch.Write(unsafe.Pointer(&s.items[from]), n*int(unsafe.Sizeof(Item{})))
	}
}
