package queue

// itemHeap is a binary heap of items by a key, the lowest first; of equal keys the one
// that came first.
type itemHeap struct {
	entries []heapEntry
	seq     uint64
}

type heapEntry struct {
	key  int64
	seq  uint64
	item Item
}

func (e *heapEntry) before(o *heapEntry) bool {
	return e.key < o.key || e.key == o.key && e.seq < o.seq
}

func (h *itemHeap) len() int { return len(h.entries) }

// first is the lowest item, which must exist, and its key.
func (h *itemHeap) first() (*Item, int64) { return &h.entries[0].item, h.entries[0].key }

func (h *itemHeap) push(key int64, it *Item) {
	h.seq++
	e := heapEntry{key, h.seq, *it}
	h.entries = append(h.entries, e)
	i := len(h.entries) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !e.before(&h.entries[parent]) {
			break
		}
		h.entries[i] = h.entries[parent]
		i = parent
	}
	h.entries[i] = e
}

// drop removes the lowest item, which must exist.
func (h *itemHeap) drop() {
	last := len(h.entries) - 1
	e := h.entries[last]
	h.entries = h.entries[:last]
	if last == 0 {
		return
	}
	i := 0
	for {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && h.entries[child+1].before(&h.entries[child]) {
			child++
		}
		if !h.entries[child].before(&e) {
			break
		}
		h.entries[i] = h.entries[child]
		i = child
	}
	h.entries[i] = e
}
