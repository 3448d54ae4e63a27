package queue

// itemHeap is a binary heap of items by a key, the lowest first; of equal keys the one
// that came first. Its entries lie in slabs: growing copies none of them. (With one slice
// a queue of 10^6 stopped its pusher for 20 ms at a time.)
type itemHeap struct {
	slabs []*[heapSlab]heapEntry
	n     int
	seq   uint64
}

const heapSlab = 1 << 10

type heapEntry struct {
	key  int64
	seq  uint64
	item Item
}

func (e *heapEntry) before(o *heapEntry) bool {
	return e.key < o.key || e.key == o.key && e.seq < o.seq
}

func (h *itemHeap) len() int { return h.n }

func (h *itemHeap) at(i int) *heapEntry { return &h.slabs[i/heapSlab][i%heapSlab] }

// first is the lowest item, which must exist, and its key.
func (h *itemHeap) first() (*Item, int64) { return &h.at(0).item, h.at(0).key }

func (h *itemHeap) push(key int64, it *Item) {
	if h.n == len(h.slabs)*heapSlab {
		h.slabs = append(h.slabs, new([heapSlab]heapEntry))
	}
	h.seq++
	e := heapEntry{key, h.seq, *it}
	i := h.n
	h.n++
	for i > 0 {
		parent := h.at((i - 1) / 2)
		if !e.before(parent) {
			break
		}
		*h.at(i) = *parent
		i = (i - 1) / 2
	}
	*h.at(i) = e
}

// drop removes the lowest item, which must exist.
func (h *itemHeap) drop() {
	h.n--
	last := h.n
	e := *h.at(last)
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h.at(child+1).before(h.at(child)) {
			child++
		}
		if !h.at(child).before(&e) {
			break
		}
		*h.at(i) = *h.at(child)
		i = child
	}
	if last > 0 {
		*h.at(i) = e
	}
}
