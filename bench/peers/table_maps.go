package main

import (
	"container/heap"
	"sync"
	"time"

	"github.com/puzpuzpuz/xsync/v4"
)

// heapMap is the form that one writes first, and that many lease managers have: a map, a
// lock, and a heap that is fixed at each renewal.
type heapMap struct {
	mu sync.Mutex
	m  map[uint64]*heapLease
	h  leaseHeap
}

type heapLease struct {
	until time.Duration
	key   uint64
	pos   int
}

type leaseHeap []*heapLease

func (h leaseHeap) Len() int           { return len(h) }
func (h leaseHeap) Less(i, j int) bool { return h[i].until < h[j].until }
func (h leaseHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i]; h[i].pos, h[j].pos = i, j }
func (h *leaseHeap) Push(x any)        { l := x.(*heapLease); l.pos = len(*h); *h = append(*h, l) }
func (h *leaseHeap) Pop() any {
	old := *h
	l := old[len(old)-1]
	*h = old[:len(old)-1]
	return l
}

func newHeapMap(n int) *heapMap { return &heapMap{m: make(map[uint64]*heapLease, n)} }

func (t *heapMap) grant(k uint64, until time.Duration) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &heapLease{until: until, key: k}
	t.m[k] = l
	heap.Push(&t.h, l)
	return k
}

func (t *heapMap) renew(k uint64, until time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.m[k]
	if l == nil {
		return false
	}
	l.until = until
	heap.Fix(&t.h, l.pos)
	return true
}

func (t *heapMap) revoke(k uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.m[k]; l != nil {
		heap.Remove(&t.h, l.pos)
		delete(t.m, k)
	}
}

func (t *heapMap) expire(now time.Duration) (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.h) > 0 && t.h[0].until <= now {
		delete(t.m, heap.Pop(&t.h).(*heapLease).key)
		n++
	}
	return n
}
func (t *heapMap) close() {}

type shardedHeapMap [64]*heapMap

func newShardedHeapMap(n int) (table, error) {
	var s shardedHeapMap
	for i := range s {
		s[i] = newHeapMap(n / len(s))
	}
	return &s, nil
}

func (s *shardedHeapMap) grant(k uint64, until time.Duration) uint64 {
	s[k%uint64(len(s))].grant(k, until)
	return k
}
func (s *shardedHeapMap) renew(k uint64, until time.Duration) bool {
	return s[k%uint64(len(s))].renew(k, until)
}
func (s *shardedHeapMap) revoke(k uint64) { s[k%uint64(len(s))].revoke(k) }
func (s *shardedHeapMap) expire(now time.Duration) (n int) {
	for _, t := range s {
		n += t.expire(now)
	}
	return n
}
func (s *shardedHeapMap) close() {}

type syncMap struct{ m sync.Map }

func (t *syncMap) grant(k uint64, until time.Duration) uint64 {
	t.m.Store(k, until)
	return k
}
func (t *syncMap) renew(k uint64, until time.Duration) bool {
	old, ok := t.m.Load(k)
	return ok && t.m.CompareAndSwap(k, old, until)
}
func (t *syncMap) revoke(k uint64) { t.m.Delete(k) }
func (t *syncMap) expire(now time.Duration) (n int) {
	t.m.Range(func(k, v any) bool {
		if v.(time.Duration) <= now && t.m.CompareAndDelete(k, v) {
			n++
		}
		return true
	})
	return n
}
func (t *syncMap) close() {}

type xsyncMap struct {
	m *xsync.Map[uint64, time.Duration]
}

func (t *xsyncMap) grant(k uint64, until time.Duration) uint64 {
	t.m.Store(k, until)
	return k
}
func (t *xsyncMap) renew(k uint64, until time.Duration) bool {
	_, ok := t.m.Compute(k, func(old time.Duration, loaded bool) (time.Duration, xsync.ComputeOp) {
		if !loaded {
			return old, xsync.CancelOp
		}
		return until, xsync.UpdateOp
	})
	return ok
}
func (t *xsyncMap) revoke(k uint64) { t.m.Delete(k) }
func (t *xsyncMap) expire(now time.Duration) int {
	return t.m.DeleteMatching(func(_ uint64, until time.Duration) (bool, bool) { return until <= now, false })
}
func (t *xsyncMap) close() {}
