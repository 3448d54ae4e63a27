package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
	"unsafe"

	"github.com/coreos/go-semver/semver"
	"github.com/jellydator/ttlcache/v3"
	"github.com/maypok86/otter/v2"
	"github.com/puzpuzpuz/xsync/v4"
	etcd "go.etcd.io/etcd/server/v3/lease"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.uber.org/zap"

	"github.com/leasestorm/leasestorm/lease"
)

// table is what all contestants can do, on the run's time for those that take it as an
// argument. Grant makes the lease of holder i, 0..n-1, and returns the key by which the
// holder asks from then on. Renew extends a live lease; expire frees what lapsed and says
// how many; a contestant that cannot say leaves it out (-1).
type table interface {
	grant(i uint64, until time.Duration) uint64
	renew(key uint64, until time.Duration) bool
	revoke(key uint64)
	expire(now time.Duration) int
	close()
}

// batcher is a table that renews many at a time.
type batcher interface {
	renewAll(keys []uint64, until time.Duration)
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

type ours struct{ t lease.Table }

func newOurs(name string, n int) (table, error) {
	t, err := lease.Make(name, lease.Env{Leases: n, Workers: 2})
	return &ours{t}, err
}

func (o *ours) grant(i uint64, until time.Duration) uint64 {
	id, err := o.t.Grant(0, until, int(i))
	if err != nil {
		panic(err) // the table has room for all
	}
	return uint64(id)
}
func (o *ours) renew(k uint64, until time.Duration) bool {
	return o.t.Renew(lease.ID(k), 0, until) == nil
}
func (o *ours) renewAll(keys []uint64, until time.Duration) {
	ids := unsafe.Slice((*lease.ID)(&keys[0]), len(keys))
	_, _ = o.t.RenewAll(ids, 0, until, nil)
}
func (o *ours) revoke(k uint64)              { _ = o.t.Revoke(lease.ID(k)) }
func (o *ours) expire(now time.Duration) int { return o.t.Expire(now, func(lease.ID) {}) }
func (o *ours) close()                       {}

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

func (e *etcdTable) grant(k uint64, until time.Duration) uint64 {
	if _, err := e.l.Grant(etcd.LeaseID(k+1), int64(until/time.Second)); err != nil {
		panic(fmt.Sprintf("etcd grant %d: %v", k, err))
	}
	return k
}
func (e *etcdTable) renew(k uint64, _ time.Duration) bool {
	_, err := e.l.Renew(etcd.LeaseID(k + 1))
	return err == nil
}
func (e *etcdTable) revoke(k uint64)          { _ = e.l.Revoke(etcd.LeaseID(k + 1)) }
func (e *etcdTable) expire(time.Duration) int { return -1 }
func (e *etcdTable) close() {
	e.l.Stop()
	_ = e.b.Close()
	_ = os.RemoveAll(e.dir)
}

// wheel is a hashed timing wheel (G. Varghese and T. Lauck, SOSP 1987) with lazy renewal:
// an entry that comes due before its lease is put in again.
type wheel struct {
	mu    sync.Mutex
	m     map[uint64]*wheelLease
	slots [1 << 12][]*wheelLease
	at    int64
}

type wheelLease struct {
	until time.Duration
	key   uint64
	dead  bool
}

const wheelTick = 10 * time.Millisecond

func newWheel(n int) *wheel { return &wheel{m: make(map[uint64]*wheelLease, n)} }

func (w *wheel) put(l *wheelLease) {
	s := &w.slots[int64(l.until/wheelTick)%int64(len(w.slots))]
	*s = append(*s, l)
}

func (w *wheel) grant(k uint64, until time.Duration) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := &wheelLease{until: until, key: k}
	w.m[k] = l
	w.put(l)
	return k
}

func (w *wheel) renew(k uint64, until time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	l := w.m[k]
	if l == nil {
		return false
	}
	l.until = until
	return true
}

func (w *wheel) revoke(k uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l := w.m[k]; l != nil {
		l.dead = true
		delete(w.m, k)
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

func (t *timers) grant(k uint64, until time.Duration) uint64 {
	l := &t.all[k]
	l.mu.Lock()
	defer l.mu.Unlock()
	l.live = true
	l.t = time.AfterFunc(until, func() {
		l.mu.Lock()
		l.live = false
		l.mu.Unlock()
	})
	return k
}

func (t *timers) renew(k uint64, until time.Duration) bool {
	l := &t.all[k]
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.live && l.t.Reset(until)
}

func (t *timers) revoke(k uint64) {
	l := &t.all[k]
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

func (t *otterTable) grant(k uint64, until time.Duration) uint64 {
	t.c.Set(k, struct{}{})
	t.c.SetExpiresAfter(k, until)
	return k
}
func (t *otterTable) renew(k uint64, until time.Duration) bool {
	if _, ok := t.c.GetIfPresent(k); !ok {
		return false
	}
	t.c.SetExpiresAfter(k, until)
	return true
}
func (t *otterTable) revoke(k uint64)          { t.c.Invalidate(k) }
func (t *otterTable) expire(time.Duration) int { return -1 }
func (t *otterTable) close()                   {}

type ttlTable struct {
	c *ttlcache.Cache[uint64, struct{}]
}

func (t *ttlTable) grant(k uint64, until time.Duration) uint64 {
	t.c.Set(k, struct{}{}, until)
	return k
}
func (t *ttlTable) renew(k uint64, _ time.Duration) bool {
	if t.c.Get(k) == nil {
		return false
	}
	t.c.Touch(k)
	return true
}
func (t *ttlTable) revoke(k uint64)          { t.c.Delete(k) }
func (t *ttlTable) expire(time.Duration) int { return -1 }
func (t *ttlTable) close()                   {}
