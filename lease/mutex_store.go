package lease

import "unsafe"

// store is the state behind one lock, of the mutex table and of each shard of
// the sharded one. Its slots are first .. first+len(slots)-1 of the table. All
// methods need the lock; none allocates.
//
// Deadlines are found through a lazy heap. Every slot has one entry in it for
// good, whose key is a lower bound of the slot's deadline:
//
//	what happens   slot.deadline   key of its entry
//	grant          set             lowered, and sifted up, if it is above the deadline
//	renew          raised          left alone
//	regrant        set             lowered, and sifted up, if it is above the deadline
//	revoke         0               left alone
//	expire         0 if lapsed     raised to the deadline, or to noDeadline if there is none
//
// So the usual call touches one slot and no entry, a slot granted again before
// its old key comes up costs the heap nothing, and there is never an entry to
// look for or to throw away. A heap that is kept exact moved an entry at each
// renewal; one that pushes anew at each renewal grows by the heartbeat rate.
type store struct {
	first uint32
	slots []storeSlot
	free  []uint32 // stack of free slots, counted from first; its room is never outgrown
	heap  []heapEntry
}

type storeSlot struct {
	epoch    uint32 // of the present grant, else of the last; 0 before the first
	deadline uint32 // in ticks; 0: free
	pos      uint32 // where in the heap this slot's entry is
}

type heapEntry struct {
	key  uint32 // at or before the slot's deadline; noDeadline: free slot
	slot uint32
}

// arity is the heap's. Four children are half as many levels as two, and their
// entries share a cache line; Go's runtime keeps its timers the same way.
const arity = 4

func (s *store) init(first uint32, size int) {
	s.first = first
	s.slots = make([]storeSlot, size)
	s.free = make([]uint32, size)
	s.heap = make([]heapEntry, size)
	for i := range size {
		s.slots[i].pos = uint32(i)
		s.heap[i] = heapEntry{key: noDeadline, slot: uint32(i)}
		s.free[i] = uint32(size - 1 - i) // slot 0 on top: filling a table walks memory forward
	}
}

// find returns the slot that id names, nil when it holds no lease under id's epoch.
func (s *store) find(id ID) *storeSlot {
	i := id.Slot() - s.first
	if uint64(i) >= uint64(len(s.slots)) {
		return nil
	}
	p := &s.slots[i]
	if p.epoch != id.Epoch() || p.deadline == 0 {
		return nil
	}
	return p
}

func (s *store) grant(deadline uint32) (ID, bool) {
	n := len(s.free)
	if n == 0 {
		return 0, false
	}
	i := s.free[n-1]
	s.free = s.free[:n-1]
	p := &s.slots[i]
	p.epoch = nextEpoch(p.epoch)
	s.setDeadline(p, i, deadline)
	return MakeID(s.first+i, p.epoch), true
}

func (s *store) renew(id ID, now, deadline uint32) bool {
	p := s.find(id)
	if p == nil || p.deadline <= now {
		return false
	}
	p.deadline = max(p.deadline, deadline)
	return true
}

func (s *store) verify(id ID, now uint32) bool {
	p := s.find(id)
	return p != nil && p.deadline > now
}

func (s *store) revoke(id ID) bool {
	p := s.find(id)
	if p == nil {
		return false
	}
	p.deadline = 0
	s.free = append(s.free, id.Slot()-s.first)
	return true
}

func (s *store) regrant(id ID, deadline uint32) (ID, bool) {
	p := s.find(id)
	if p == nil {
		return 0, false
	}
	p.epoch = nextEpoch(p.epoch)
	s.setDeadline(p, id.Slot()-s.first, deadline)
	return MakeID(id.Slot(), p.epoch), true
}

// setDeadline gives a slot a new grant's deadline, which may be before its key.
func (s *store) setDeadline(p *storeSlot, i, deadline uint32) {
	p.deadline = deadline
	if s.heap[p.pos].key > deadline {
		s.up(int(p.pos), heapEntry{key: deadline, slot: i})
	}
}

func (s *store) live() int { return len(s.slots) - len(s.free) }

func (s *store) heapBytes() int64 {
	return int64(cap(s.slots))*int64(unsafe.Sizeof(storeSlot{})) +
		int64(cap(s.free))*int64(unsafe.Sizeof(uint32(0))) +
		int64(cap(s.heap))*int64(unsafe.Sizeof(heapEntry{}))
}

// expire ends what lapsed. The entries with a key that is due are a connected
// part of the heap at its top; settle goes through them from the bottom up, as
// in Floyd's construction of a heap, so that a surge in which everything is due
// costs O(n) and not O(n log n), and needs no list on the side.
func (s *store) expire(now uint32, lapsed func(ID)) int {
	return s.settle(0, now, lapsed)
}

// settle expires what is due below and at entry i, gives every due entry the key
// that it should have, and leaves i's part of the heap in order. It calls itself
// once a level, so at most 16 deep.
func (s *store) settle(i int, now uint32, lapsed func(ID)) int {
	if i >= len(s.heap) || s.heap[i].key > now {
		return 0
	}
	ended := 0
	for c := arity*i + 1; c <= arity*i+arity; c++ {
		ended += s.settle(c, now, lapsed)
	}
	e := s.heap[i]
	p := &s.slots[e.slot]
	switch {
	case p.deadline == 0: // revoked since
		e.key = noDeadline
	case p.deadline <= now:
		p.deadline = 0
		s.free = append(s.free, e.slot)
		lapsed(MakeID(s.first+e.slot, p.epoch))
		e.key = noDeadline
		ended++
	default: // renewed since
		e.key = p.deadline
	}
	s.down(i, e)
	return ended
}

// up puts e in the hole at i, or further up where it belongs.
func (s *store) up(i int, e heapEntry) {
	for i > 0 {
		parent := (i - 1) / arity
		if s.heap[parent].key <= e.key {
			break
		}
		s.place(i, s.heap[parent])
		i = parent
	}
	s.place(i, e)
}

// down puts e in the hole at i, or further down where it belongs.
func (s *store) down(i int, e heapEntry) {
	for {
		first := arity*i + 1
		if first >= len(s.heap) {
			break
		}
		least := first
		for c := first + 1; c < min(first+arity, len(s.heap)); c++ {
			if s.heap[c].key < s.heap[least].key {
				least = c
			}
		}
		if s.heap[least].key >= e.key {
			break
		}
		s.place(i, s.heap[least])
		i = least
	}
	s.place(i, e)
}

func (s *store) place(i int, e heapEntry) {
	s.heap[i] = e
	s.slots[e.slot].pos = uint32(i)
}
