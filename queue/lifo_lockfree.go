package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

var lifoLockFreeEntry = catalog.Entry[New]{
	Name:   "lifo-lockfree",
	Doc:    "lifo without a lock: a stack of small nodes, a batch's nodes pushed together",
	Source: "R. K. Treiber, Systems Programming: Coping with Parallelism, IBM RJ 5118, 1986, with counted links",
	Params: []catalog.Param{pad.Param},
	New: func(_ Config, v catalog.Values) (Discipline, error) {
		return newLifoLockFree(slabNodes*maxSlabs, v.Int("pad") == 1), nil
	},
}

// NewLockFreeLIFO returns a queue that serves the newest attempt first and takes no lock, the
// catalog's "lifo-lockfree". It holds 16.7 million batches of up to three attempts. A
// newcomer beyond that is given up as Full.
func NewLockFreeLIFO() Discipline { return newLifoLockFree(slabNodes*maxSlabs, true) }

// A node carries up to three items, so that it fills two cache lines: more would leave
// most of it empty when attempts come one by one.
const (
	nodeItems = 3
	slabNodes = 1 << 10
	maxSlabs  = 1 << 14 // 16.7 million nodes
)

type stackNode struct {
	next  word32 // index of the node below; 0 is the bottom
	n     uint32
	items [nodeItems]Item
}

// lifoLockFree has two stacks over one array of nodes, those that carry items and those
// that are spare. A stack's top is a word:
//
//	bits 63..32  count  rises with each change, so that a node that went and came back
//	                    does not look unmoved (TestInterleaveLifo/recycled)
//	bits 31..0   index  of the top node; 0: empty
//
// A node is its pusher's until the top's compare-and-swap, and its popper's after one.
type lifoLockFree struct {
	top   *word
	spare *word
	len   *word
	used  word32 // nodes made so far; node 0 is nobody's
	nodes uint32 // as many as there may be
	slabs []ref[[slabNodes]stackNode]
}

func newLifoLockFree(nodes int, apart bool) *lifoLockFree {
	// Both tops and the length are written by everybody.
	words := pad.Apart[struct {
		top, len word
	}](2, apart)
	q := &lifoLockFree{
		top: &words[0].top, spare: &words[1].top, len: &words[1].len,
		nodes: uint32(nodes), slabs: make([]ref[[slabNodes]stackNode], (nodes+slabNodes-1)/slabNodes),
	}
	q.used.Store(1)
	return q
}

func (q *lifoLockFree) node(i uint32) *stackNode { return &q.slabs[i/slabNodes].Load()[i%slabNodes] }

// push puts a chain of nodes, linked from first to last, on a stack.
func (q *lifoLockFree) push(top *word, first, last uint32) {
	for {
		old := top.Load()
		q.node(last).next.Store(uint32(old))
		if top.CompareAndSwap(old, (old>>32+1)<<32|uint64(first)) {
			return
		}
	}
}

// pop takes the top node off a stack; 0 if there is none.
func (q *lifoLockFree) pop(top *word) uint32 {
	for {
		old := top.Load()
		i := uint32(old)
		if i == 0 {
			return 0
		}
		if top.CompareAndSwap(old, (old>>32+1)<<32|uint64(q.node(i).next.Load())) {
			return i
		}
	}
}

// alloc finds a node; 0 if all that there may be are in use.
func (q *lifoLockFree) alloc() uint32 {
	if i := q.pop(q.spare); i != 0 {
		return i
	}
	i := q.used.Add(1) - 1
	if i >= q.nodes {
		q.used.Add(^uint32(0))
		return 0
	}
	if slab := &q.slabs[i/slabNodes]; slab.Load() == nil {
		slab.CompareAndSwap(nil, new([slabNodes]stackNode))
	}
	return i
}

func (q *lifoLockFree) Push(_ time.Duration, items []Item) (kept int) {
	first, last := uint32(0), uint32(0) // of the chain: the newest and the oldest node
	for kept < len(items) {
		i := q.alloc()
		if i == 0 {
			break
		}
		n := q.node(i)
		n.n = uint32(copy(n.items[:], items[kept:]))
		kept += int(n.n)
		n.next.Store(first)
		if first = i; last == 0 {
			last = i
		}
	}
	for i := range items[kept:] {
		items[kept+i].Why = Full
	}
	if kept > 0 {
		q.len.Add(uint64(kept)) // before the items can be popped: Len is never below 0
		q.push(q.top, first, last)
	}
	return kept
}

// Pop takes whole nodes off and puts back what it has no room for: until then another Pop
// misses the one or two items of that node.
func (q *lifoLockFree) Pop(_ time.Duration, dst []Item) (taken, dropped int) {
	for taken < len(dst) {
		i := q.pop(q.top)
		if i == 0 {
			break
		}
		n := q.node(i)
		point()
		for ; n.n > 0 && taken < len(dst); taken++ {
			n.n--
			dst[taken] = n.items[n.n]
		}
		if n.n > 0 {
			q.push(q.top, i, i)
		} else {
			q.push(q.spare, i, i)
		}
	}
	if taken > 0 {
		q.len.Add(-uint64(taken))
	}
	return taken, 0
}

func (q *lifoLockFree) Len() int { return int(int64(q.len.Load())) }
