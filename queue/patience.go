package queue

import "go.uber.org/atomic"

// patience says whether a popper that knows of no item waits a moment before it looks for some.
// Where pusher and popper go one item at a time, each look takes the pusher's cache line away
// and finds one item. After a moment's wait a look finds many.
//
// It is advice and no part of the protocol. It is tried where head is a multiple of tryEvery. A
// queue that one goroutine uses waits there and nowhere else, and an empty one nowhere.
type patience struct{ waits atomic.Bool }

const (
	tryEvery   = 512
	worthwhile = 8 // items that a wait must bring
)

// before waits if that is advised, and then looks. look returns how many items are ready.
func (p *patience) before(head uint64, look func() int) int {
	waits := p.waits.Load()
	if try := head%tryEvery == 0; waits && !try {
		linger()
		n := look()
		if n < worthwhile {
			p.waits.Store(false)
		}
		return n
	} else if !try {
		return look()
	}
	had := look()
	if had == 0 || had >= worthwhile {
		return had
	}
	linger()
	n := look()
	if pays := n-had >= worthwhile; pays != waits {
		p.waits.Store(pays)
	}
	return n
}
