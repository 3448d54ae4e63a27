// Package chunk provides a double-ended queue in chunks of fixed size. Growing copies no item,
// so that a queue of 10^7 attempts grows without a pause. Emptied chunks are used again.
package chunk

import "unsafe"

// chunkBytes is the size of a chunk: large enough that its allocation is nothing
// beside what it carries, small enough that a short queue stays in a core's cache.
const chunkBytes = 1 << 15

// spares is how many empty chunks a deque keeps: enough that a queue whose length
// swings by some thousand items allocates nothing.
const spares = 64

// Deque is a double-ended queue of values without pointers. The zero value is empty and ready
// to use. It is not safe for concurrent use. It keeps up to 64 empty chunks of 32 KiB for reuse
// and never clears an item that has left.
type Deque[T any] struct {
	front, back *node[T] // both nil: never used
	head        int      // index of the first item in front
	tail        int      // index behind the last item in back
	n           int
	spare       *node[T] // linked by next
	spares      int
}

type node[T any] struct {
	items      []T
	next, prev *node[T]
}

func size[T any]() int {
	var x T
	return max(16, chunkBytes/int(max(1, unsafe.Sizeof(x))))
}

// Len returns the number of items.
func (d *Deque[T]) Len() int { return d.n }

// PushBack adds an item at the back.
func (d *Deque[T]) PushBack(x T) {
	if d.back == nil || d.tail == len(d.back.items) {
		d.growBack()
	}
	d.back.items[d.tail] = x
	d.tail++
	d.n++
}

// Append adds items at the back, in their order.
func (d *Deque[T]) Append(xs []T) {
	d.n += len(xs)
	for len(xs) > 0 {
		if d.back == nil || d.tail == len(d.back.items) {
			d.growBack()
		}
		k := copy(d.back.items[d.tail:], xs)
		d.tail += k
		xs = xs[k:]
	}
}

// Front returns the first item. The deque must not be empty. The pointer is valid until the
// next call.
func (d *Deque[T]) Front() *T { return &d.front.items[d.head] }

// DropFront removes the first item. The deque must not be empty.
func (d *Deque[T]) DropFront() {
	d.head++
	d.n--
	d.trimFront()
}

// TakeFront moves items from the front to dst, in their order, and returns their number.
func (d *Deque[T]) TakeFront(dst []T) int {
	want := min(len(dst), d.n)
	for taken := 0; taken < want; {
		end := len(d.front.items)
		if d.front == d.back {
			end = d.tail
		}
		k := copy(dst[taken:want], d.front.items[d.head:end])
		taken += k
		d.head += k
		d.n -= k
		d.trimFront()
	}
	return want
}

// Peek copies items at the front to dst, in their order, and returns their number: at least 1
// if the deque is not empty, but possibly fewer than fit.
func (d *Deque[T]) Peek(dst []T) int {
	if d.n == 0 {
		return 0
	}
	return copy(dst[:min(len(dst), d.n)], d.front.items[d.head:])
}

// trimFront lets go of a front chunk whose last item has gone.
func (d *Deque[T]) trimFront() {
	switch {
	case d.n == 0:
		d.head, d.tail = 0, 0 // one chunk is left, and is used from its start
	case d.head == len(d.front.items):
		old := d.front
		d.front, d.head = old.next, 0
		d.front.prev = nil
		d.keep(old)
	}
}

// Back returns the last item. The deque must not be empty. The pointer is valid until the next
// call.
func (d *Deque[T]) Back() *T { return &d.back.items[d.tail-1] }

// DropBack removes the last item. The deque must not be empty.
func (d *Deque[T]) DropBack() {
	d.tail--
	d.n--
	switch {
	case d.n == 0:
		d.head, d.tail = 0, 0
	case d.tail == 0:
		old := d.back
		d.back = old.prev
		d.back.next, d.tail = nil, len(d.back.items)
		d.keep(old)
	}
}

func (d *Deque[T]) growBack() {
	n := d.spare
	if n != nil {
		d.spare, n.next = n.next, nil
		d.spares--
	} else {
		n = &node[T]{items: make([]T, size[T]())}
	}
	n.prev = d.back
	if d.back == nil {
		d.front = n
	} else {
		d.back.next = n
	}
	d.back, d.tail = n, 0
}

func (d *Deque[T]) keep(n *node[T]) {
	if d.spares >= spares {
		return // the collector's
	}
	n.prev, n.next = nil, d.spare
	d.spare = n
	d.spares++
}
