package lease

import (
	"sync"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// shardsPerWorker makes collisions rare where the host suggests nothing: a caller finds its
// lock taken with a probability of at most (workers-1)/shards < 1/8.
const shardsPerWorker = 8

// BytesSharded is the memory of the sharded table, in bytes per lease. It helps to choose a
// number of shards by the size of a cache ([Env]).
const BytesSharded = 24

// shardedTable is the mutex table cut into contiguous runs of slots with a lock
// each. The ID says which: shard = slot / each. Only Grant may look at several.
type shardedTable struct {
	each   uint32 // slots in each shard; the last may have fewer
	shards []*tableShard
}

type tableShard struct {
	mu sync.Mutex
	s  store // its holder writes the length of the free list
}

// NewSharded returns a table for up to leases leases in shards with a lock each, the catalog's
// "sharded". The number of shards is 0 to 65536; 0 is eight for each processor that Go may use.
func NewSharded(leases, shards int) (Table, error) {
	if err := validate(leases, shards); err != nil {
		return nil, err
	}
	return makeSharded(leases, parts(shards, processors(), shardsPerWorker), true), nil
}

func newSharded(env Env, v catalog.Values) (Table, error) {
	return makeSharded(env.Leases, parts(v.Int("shards"), env, shardsPerWorker), v.Int("pad") == 1), nil
}

func makeSharded(leases, shards int, apart bool) *shardedTable {
	n := min(shards, leases)
	each := (leases + n - 1) / n
	n = (leases + each - 1) / each // rounding up may leave the last ones nothing
	t := &shardedTable{each: uint32(each), shards: pad.Apart[tableShard](n, apart)}
	for i := range t.shards {
		first := i * each
		t.shards[i].s.init(uint32(first), min(each, leases-first))
	}
	return t
}

// of returns the shard that id's slot is in, nil when the table has no such slot.
func (t *shardedTable) of(id ID) *tableShard {
	i := id.Slot() / t.each
	if uint64(i) >= uint64(len(t.shards)) {
		return nil
	}
	return t.shards[i]
}

func (t *shardedTable) Grant(now, deadline time.Duration, worker int) (ID, error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	own := int(uint(worker) % uint(len(t.shards)))
	for i := range t.shards {
		at := own + i
		if at >= len(t.shards) {
			at -= len(t.shards)
		}
		p := t.shards[at]
		p.mu.Lock()
		id, ok := p.s.grant(d)
		p.mu.Unlock()
		if ok {
			return id, nil
		}
	}
	return 0, ErrFull
}

func (t *shardedTable) Renew(id ID, now, deadline time.Duration) error {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return ErrDeadline
	}
	p := t.of(id)
	if p == nil {
		return ErrStale
	}
	p.mu.Lock()
	ok = p.s.renew(id, nowTick(now), d)
	p.mu.Unlock()
	return staleUnless(ok)
}

// RenewAll keeps a shard's lock for as long as the next lease is in the same shard.
func (t *shardedTable) RenewAll(ids []ID, now, deadline time.Duration, renewed []bool) (n int, err error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	tick := nowTick(now)
	var held *tableShard
	for i, id := range ids {
		p := t.of(id)
		if p != held {
			if held != nil {
				held.mu.Unlock()
			}
			if held = p; p != nil {
				p.mu.Lock()
			}
		}
		ok := p != nil && p.s.renew(id, tick, d)
		if ok {
			n++
		}
		if renewed != nil {
			renewed[i] = ok
		}
	}
	if held != nil {
		held.mu.Unlock()
	}
	return n, nil
}

func (t *shardedTable) Verify(id ID, now time.Duration) error {
	p := t.of(id)
	if p == nil {
		return ErrStale
	}
	p.mu.Lock()
	ok := p.s.verify(id, nowTick(now))
	p.mu.Unlock()
	return staleUnless(ok)
}

func (t *shardedTable) Revoke(id ID) error {
	p := t.of(id)
	if p == nil {
		return ErrStale
	}
	p.mu.Lock()
	ok := p.s.revoke(id)
	p.mu.Unlock()
	return staleUnless(ok)
}

func (t *shardedTable) Regrant(id ID, now, deadline time.Duration) (ID, error) {
	d, ok := deadlineTick(now, deadline)
	if !ok {
		return 0, ErrDeadline
	}
	p := t.of(id)
	if p == nil {
		return 0, ErrStale
	}
	p.mu.Lock()
	id, ok = p.s.regrant(id, d)
	p.mu.Unlock()
	return id, staleUnless(ok)
}

// Prefetch does nothing: what it would read is the locks'.
func (t *shardedTable) Prefetch([]ID) {}

func (t *shardedTable) Expire(now time.Duration, lapsed func(ID)) int {
	n := nowTick(now)
	ended := 0
	for i := range t.shards {
		ended += t.shards[i].expire(n, lapsed)
	}
	return ended
}

func (p *tableShard) expire(now uint32, lapsed func(ID)) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.s.expire(now, lapsed)
}

func (t *shardedTable) Live() int {
	n := 0
	for i := range t.shards {
		p := t.shards[i]
		p.mu.Lock()
		n += p.s.live()
		p.mu.Unlock()
	}
	return n
}

func (t *shardedTable) Bytes() int64 {
	n := int64(unsafe.Sizeof(*t)) + int64(len(t.shards))*int64(unsafe.Sizeof(tableShard{})+pad.Bytes)
	for i := range t.shards {
		n += t.shards[i].s.heapBytes()
	}
	return n
}
