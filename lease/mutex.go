package lease

import (
	"sync"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// mutexTable is the plain form: everything under one lock.
type mutexTable struct {
	mu sync.Mutex
	s  store
}

// NewMutex returns a table for up to leases leases that keeps everything under one lock, the
// catalog's "mutex".
func NewMutex(leases int) (Table, error) {
	if err := validate(leases, 0); err != nil {
		return nil, err
	}
	t := &mutexTable{}
	t.s.init(0, leases)
	return t, nil
}

func newMutex(env Env, _ catalog.Values) (Table, error) { return NewMutex(env.Leases) }

func (t *mutexTable) Grant(now, deadline time.Duration, _ int) (ID, error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	t.mu.Lock()
	id, ok := t.s.grant(d)
	t.mu.Unlock()
	if !ok {
		return 0, ErrFull
	}
	return id, nil
}

func (t *mutexTable) Renew(id ID, now, deadline time.Duration) error {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return ErrDeadline
	}
	t.mu.Lock()
	ok = t.s.renew(id, nowTick(now), d)
	t.mu.Unlock()
	return staleUnless(ok)
}

// RenewAll takes the lock once.
func (t *mutexTable) RenewAll(ids []ID, now, deadline time.Duration, renewed []bool) (n int, err error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	tick := nowTick(now)
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, id := range ids {
		ok := t.s.renew(id, tick, d)
		if ok {
			n++
		}
		if renewed != nil {
			renewed[i] = ok
		}
	}
	return n, nil
}

func (t *mutexTable) Verify(id ID, now time.Duration) error {
	t.mu.Lock()
	ok := t.s.verify(id, nowTick(now))
	t.mu.Unlock()
	return staleUnless(ok)
}

func (t *mutexTable) Revoke(id ID) error {
	t.mu.Lock()
	ok := t.s.revoke(id)
	t.mu.Unlock()
	return staleUnless(ok)
}

func (t *mutexTable) Regrant(id ID, now, deadline time.Duration) (ID, error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	t.mu.Lock()
	id, ok = t.s.regrant(id, d)
	t.mu.Unlock()
	return id, staleUnless(ok)
}

// Prefetch does nothing: what it would read is the lock's.
func (t *mutexTable) Prefetch([]ID) {}

func (t *mutexTable) Expire(now time.Duration, lapsed func(ID)) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.s.expire(nowTick(now), lapsed)
}

func (t *mutexTable) Live() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.s.live()
}

func (t *mutexTable) Bytes() int64 { return int64(unsafe.Sizeof(*t)) + t.s.heapBytes() }

func staleUnless(ok bool) error {
	if !ok {
		return ErrStale
	}
	return nil
}
