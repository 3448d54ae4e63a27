package main

import (
	"container/heap"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/coreos/go-semver/semver"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"
	etcd "go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.uber.org/zap"

	"github.com/leasestorm/leasestorm/lease"
)

// table is what all contestants can do: leases by number, 0..n-1, on the run's time for
// those that take it as an argument. Renew extends a live lease by a TTL; expire frees
// what lapsed and says how many; a contestant that cannot say leaves it out (-1).
type table interface {
	grant(i int, until time.Duration)
	renew(i int, until time.Duration) bool
	revoke(i int)
	expire(now time.Duration) int
	close()
}

// tables are the contestants, each in the way that its documentation recommends.
var tables = []struct {
	name string
	ours bool
	make func(n int) (table, error)
}{
	{"leasestorm lockfree", true, func(n int) (table, error) { return newOurs("lockfree", n) }},
	{"leasestorm mutex", true, func(n int) (table, error) { return newOurs("mutex", n) }},
	{"etcd lessor", false, newEtcd},
	{"map + mutex + heap", false, func(n int) (table, error) { return newHeapMap(n), nil }},
	{"64 × map + mutex + heap", false, newShardedHeapMap},
	{"sync.Map + scan", false, func(int) (table, error) { return &syncMap{}, nil }},
	{"xsync Map + scan", false, func(n int) (table, error) {
		return &xsyncMap{xsync.NewMap[uint64, time.Duration](xsync.WithPresize(n))}, nil
	}},
	{"hashed wheel, lazy", false, func(n int) (table, error) { return newWheel(n), nil }},
	{"runtime timers", false, func(n int) (table, error) { return &timers{all: make([]timerLease, n)}, nil }},
	{"otter", false, newOtter},
	{"ttlcache", false, func(n int) (table, error) {
		return &ttlTable{ttlcache.New(ttlcache.WithTTL[uint64, struct{}](time.Hour), ttlcache.WithDisableTouchOnHit[uint64, struct{}]())}, nil
	}},
}

type ours struct {
	t   lease.Table
	ids []lease.ID
}

// ids are what the holders of our leases keep; the others' holders keep a key. They are
// nobody's heap: one array for all rounds.
var ids []lease.ID

func newOurs(name string, n int) (table, error) {
	t, err := lease.Make(name, lease.Env{Leases: n, Workers: 2})
	return &ours{t, ids[:n]}, err
}

func (o *ours) grant(i int, until time.Duration) {
	id, err := o.t.Grant(0, until, i)
	if err != nil {
		panic(err) // the table has room for all
	}
	o.ids[i] = id
}
func (o *ours) renew(i int, until time.Duration) bool { return o.t.Renew(o.ids[i], 0, until) == nil }
func (o *ours) revoke(i int)                          { _ = o.t.Revoke(o.ids[i]) }
func (o *ours) expire(now time.Duration) int          { return o.t.Expire(now, func(lease.ID) {}) }
func (o *ours) close()                                {}

// etcdTable is etcd's lessor, in process, on a backend in a temporary folder. It takes
// whole seconds and its own clock; it hands out expired leases at 1,000 a second at
// most, so it has no row for expiry.
type etcdTable struct {
	l   etcd.Lessor
	b   backend.Backend
	dir string
}

type version struct{}

func (version) Version() *semver.Version { return semver.New("3.6.0") }

// noRange is a transaction that has no keys to delete; it holds the backend's lock, as
// the server's own does.
type noRange struct{ b backend.Backend }

func (noRange) DeleteRange(_, _ []byte) (int64, int64) { return 0, 0 }
func (n noRange) End()                                 { n.b.BatchTx().Unlock() }

func newEtcd(int) (table, error) {
	dir, err := os.MkdirTemp("", "leasestorm-peers-")
	if err != nil {
		return nil, err
	}
	b := backend.NewDefaultBackend(zap.NewNop(), filepath.Join(dir, "db"))
	l := etcd.NewLessor(zap.NewNop(), b, version{}, etcd.LessorConfig{MinLeaseTTL: 1})
	l.SetRangeDeleter(func() etcd.TxnDelete {
		b.BatchTx().Lock()
		return noRange{b}
	})
	l.Promote(0)
	return &etcdTable{l, b, dir}, nil
}

func (e *etcdTable) grant(i int, until time.Duration) {
	if _, err := e.l.Grant(etcd.LeaseID(i+1), int64(until/time.Second)); err != nil {
		panic(fmt.Sprintf("etcd grant %d: %v", i, err))
	}
}
func (e *etcdTable) renew(i int, _ time.Duration) bool {
	_, err := e.l.Renew(etcd.LeaseID(i + 1))
	return err == nil
}
func (e *etcdTable) revoke(i int)             { _ = e.l.Revoke(etcd.LeaseID(i + 1)) }
func (e *etcdTable) expire(time.Duration) int { return -1 }
func (e *etcdTable) close() {
	e.l.Stop()
	_ = e.b.Close()
	_ = os.RemoveAll(e.dir)
}

// heapMap is the form that one writes first, and that many lease managers have: a map, a
// lock, and a heap that is fixed at each renewal.
type heapMap struct {
	mu sync.Mutex
	m  map[int]*heapLease
	h  leaseHeap
}

type heapLease struct {
	until time.Duration
	key   int
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

func newHeapMap(n int) *heapMap { return &heapMap{m: make(map[int]*heapLease, n)} }

func (t *heapMap) grant(i int, until time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := &heapLease{until: until, key: i}
	t.m[i] = l
	heap.Push(&t.h, l)
}

func (t *heapMap) renew(i int, until time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.m[i]
	if l == nil {
		return false
	}
	l.until = until
	heap.Fix(&t.h, l.pos)
	return true
}

func (t *heapMap) revoke(i int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if l := t.m[i]; l != nil {
		heap.Remove(&t.h, l.pos)
		delete(t.m, i)
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

func (s *shardedHeapMap) grant(i int, until time.Duration)      { s[i%len(s)].grant(i, until) }
func (s *shardedHeapMap) renew(i int, until time.Duration) bool { return s[i%len(s)].renew(i, until) }
func (s *shardedHeapMap) revoke(i int)                          { s[i%len(s)].revoke(i) }
func (s *shardedHeapMap) expire(now time.Duration) (n int) {
	for _, t := range s {
		n += t.expire(now)
	}
	return n
}
func (s *shardedHeapMap) close() {}

type syncMap struct{ m sync.Map }

func (t *syncMap) grant(i int, until time.Duration) { t.m.Store(uint64(i), until) }
func (t *syncMap) renew(i int, until time.Duration) bool {
	old, ok := t.m.Load(uint64(i))
	return ok && t.m.CompareAndSwap(uint64(i), old, until)
}
func (t *syncMap) revoke(i int) { t.m.Delete(uint64(i)) }
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

func (t *xsyncMap) grant(i int, until time.Duration) { t.m.Store(uint64(i), until) }
func (t *xsyncMap) renew(i int, until time.Duration) bool {
	_, ok := t.m.Compute(uint64(i), func(old time.Duration, loaded bool) (time.Duration, xsync.ComputeOp) {
		if !loaded {
			return old, xsync.CancelOp
		}
		return until, xsync.UpdateOp
	})
	return ok
}
func (t *xsyncMap) revoke(i int) { t.m.Delete(uint64(i)) }
func (t *xsyncMap) expire(now time.Duration) int {
	return t.m.DeleteMatching(func(_ uint64, until time.Duration) (bool, bool) { return until <= now, false })
}
func (t *xsyncMap) close() {}

// wheel is a hashed timing wheel (G. Varghese and T. Lauck, SOSP 1987) with lazy renewal:
// an entry that comes due before its lease is put in again.
type wheel struct {
	mu    sync.Mutex
	m     map[int]*wheelLease
	slots [1 << 12][]*wheelLease
	at    int64
}

type wheelLease struct {
	until time.Duration
	key   int
	dead  bool
}

const wheelTick = 10 * time.Millisecond

func newWheel(n int) *wheel { return &wheel{m: make(map[int]*wheelLease, n)} }

func (w *wheel) put(l *wheelLease) {
	s := &w.slots[int64(l.until/wheelTick)%int64(len(w.slots))]
	*s = append(*s, l)
}

func (w *wheel) grant(i int, until time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &wheelLease{until: until, key: i}
	w.m[i] = l
	w.put(l)
}

func (w *wheel) renew(i int, until time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.m[i]
	if l == nil {
		return false
	}
	l.until = until
	return true
}

func (w *wheel) revoke(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.m[i]; l != nil {
		l.dead = true
		delete(w.m, i)
	}
}

func (w *wheel) expire(now time.Duration) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for last := int64(now / wheelTick); w.at <= last; w.at++ {
		slot := &w.slots[w.at%int64(len(w.slots))]
		all := *slot
		*slot = nil
		for _, l := range all {
			switch {
			case l.dead:
			case l.until <= now:
				delete(w.m, l.key)
				n++
			default:
				w.put(l)
			}
		}
	}
	w.at = int64(now / wheelTick)
	return n
}
func (w *wheel) close() {}

// timers is a runtime timer a lease. It runs on the host's clock and frees a lease by
// itself, so it has no row for expiry.
type timers struct{ all []timerLease }

type timerLease struct {
	mu   sync.Mutex
	t    *time.Timer
	live bool
}

func (t *timers) grant(i int, until time.Duration) {
	l := &t.all[i]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = true
	l.t = time.AfterFunc(until, func() {
		l.mu.Lock()
		l.live = false
		l.mu.Unlock()
	})
}

func (t *timers) renew(i int, until time.Duration) bool {
	l := &t.all[i]
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live && l.t.Reset(until)
}

func (t *timers) revoke(i int) {
	l := &t.all[i]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Stop()
	l.live = false
}
func (t *timers) expire(time.Duration) int { return -1 }
func (t *timers) close() {
	for i := range t.all {
		if t.all[i].t != nil {
			t.all[i].t.Stop()
		}
	}
}

// otterTable and ttlTable are caches whose entries expire, on the host's clock.
type otterTable struct {
	c *otter.Cache[uint64, struct{}]
}

func newOtter(n int) (table, error) {
	c, err := otter.New(&otter.Options[uint64, struct{}]{
		InitialCapacity: n, ExpiryCalculator: otter.ExpiryWriting[uint64, struct{}](time.Hour),
	})
	return &otterTable{c}, err
}

func (t *otterTable) grant(i int, until time.Duration) {
	t.c.Set(uint64(i), struct{}{})
	t.c.SetExpiresAfter(uint64(i), until)
}
func (t *otterTable) renew(i int, until time.Duration) bool {
	if _, ok := t.c.GetIfPresent(uint64(i)); !ok {
		return false
	}
	t.c.SetExpiresAfter(uint64(i), until)
	return true
}
func (t *otterTable) revoke(i int)             { t.c.Invalidate(uint64(i)) }
func (t *otterTable) expire(time.Duration) int { return -1 }
func (t *otterTable) close()                   {}

type ttlTable struct {
	c *ttlcache.Cache[uint64, struct{}]
}

func (t *ttlTable) grant(i int, until time.Duration) { t.c.Set(uint64(i), struct{}{}, until) }
func (t *ttlTable) renew(i int, _ time.Duration) bool {
	if t.c.Get(uint64(i)) == nil {
		return false
	}
	t.c.Touch(uint64(i))
	return true
}
func (t *ttlTable) revoke(i int)             { t.c.Delete(uint64(i)) }
func (t *ttlTable) expire(time.Duration) int { return -1 }
func (t *ttlTable) close()                   {}
