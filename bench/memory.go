package bench

import (
	"errors"
	"fmt"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// ErrMemory is returned, wrapped, for a run that this host cannot hold. It is no ErrScenario: on
// another host there is such a run.
var ErrMemory = errors.New("not enough memory")

const (
	itemBytes    = int64(unsafe.Sizeof(queue.Item{}))
	attemptBytes = 32 + 2*4 // in the fleet, with its place in a ring that is twice as long at worst
	timerBytes   = 12
	holderBytes  = 8 // the manager's, a lease
	orderBytes   = 4 // in which a fleet is made
	rowBytes     = 27 << 10
	smallRun     = 100_000  // leases; below, memory is no matter
	memoryStep   = 64 << 20 // of growth, between two looks at what is left
)

// budget is what this process may take, and what runs that are being made will.
type budget struct {
	mu       sync.Mutex
	limit    func() int64 // bytes; 0: unknown
	inUse    func() int64
	promised int64
}

var memory = &budget{limit: memoryLimitOf(time.Now, host.ReadInfo), inUse: memoryInUse}

// memoryInUse is what Go has of the system.
func memoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// memoryLimitOf is what is free, what is in use already, and no more than the control group
// has. It is read again when it is older than 5 s.
func memoryLimitOf(now func() time.Time, read func() host.Info) func() int64 {
	var at time.Time
	var limit int64
	return func() int64 {
		if limit > 0 && now().Sub(at) < 5*time.Second {
			return limit
		}
		info := read()
		if at, limit = now(), info.MemoryFree; limit > 0 {
			limit += memoryInUse()
		}
		if info.MemoryMax > 0 && (limit == 0 || info.MemoryMax < limit) {
			limit = info.MemoryMax
		}
		return limit
	}
}

// over says whether so many bytes more are too many, and what the limit is.
func (b *budget) over(bytes int64) (limit int64, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.look(bytes)
}

// look is over with the lock held. What the collector can give back is given back before
// anything is refused.
func (b *budget) look(bytes int64) (limit int64, yes bool) {
	if limit = b.limit(); limit == 0 {
		return 0, false
	}
	fits := func() bool { return b.inUse()+b.promised+bytes <= limit }
	if fits() {
		return limit, false
	}
	debug.FreeOSMemory()
	return limit, !fits()
}

// promise keeps bytes for a run that is being made, until it is released.
func (b *budget) promise(bytes int64) (limit int64, release func(), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limit, over := b.look(bytes)
	if over {
		return limit, nil, false
	}
	b.promised += bytes
	var once sync.Once
	return limit, func() {
		once.Do(func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.promised -= bytes
		})
	}, true
}

// bytes is the memory that the run surely takes: per lease, and what may be offered between two
// looks at the queue. A real run has a manager for its calibration beside its own.
func (x *experiment) bytes(real bool) (perLease, perLook int64, err error) {
	const few = 1 << 12
	var tables [2]int64
	for i := range tables {
		t, err := lease.Make(x.Table, lease.Env{Leases: few << i, Workers: x.Workers, Shards: x.shards})
		if err != nil {
			return 0, 0, err
		}
		tables[i] = t.Bytes()
	}
	manager := (tables[1]-tables[0])/few + holderBytes
	if real {
		manager *= 2
	}
	perLease = manager + fleet.BytesPerDroplet + timerBytes + orderBytes
	most := x.Launch
	for _, load := range x.Loads {
		most = max(most, load-x.Rho)
	}
	look := (x.Timeout / watchesPerTimeout).Seconds()
	return perLease, int64(x.Launches(most, x.Want)*look) * itemBytes, nil
}

// reserve refuses a run that memory cannot hold, before it is made; release is called once it is.
func (x *experiment) reserve(b *budget, real bool) (release func(), err error) {
	if x.Leases < smallRun && x.Launch <= 1 && len(x.Loads) == 0 {
		return func() {}, nil
	}
	perLease, perLook, err := x.bytes(real)
	if err != nil {
		return nil, err
	}
	broken := int64(x.Broken) * (attemptBytes + itemBytes)
	limit, release, ok := b.promise(perLease*int64(x.Leases) + broken + perLook)
	switch {
	case ok:
		return release, nil
	case perLook > perLease*int64(x.Leases):
		return nil, fmt.Errorf("%w: launch: the launches of a hundredth of the timeout take %s and this process may have %s: lower launch, loads or timeout", ErrMemory, gib(perLook), gib(limit))
	}
	return nil, fmt.Errorf("%w: leases: %d leases take %s (%d bytes each; %d are broken and take %s more) and this process may have %s: lower leases", ErrMemory,
		x.Leases, gib(perLease*int64(x.Leases)), perLease, x.Broken, gib(broken), gib(limit))
}

func gib(bytes int64) string { return fmt.Sprintf("%.3g GiB", float64(bytes)/(1<<30)) }

// memoryGuard ends a run whose queue outgrows the memory. It asks for what is left only when the
// queue and the series have grown by some 64 MiB.
type memoryGuard struct {
	b     *budget
	watch func(time.Duration, engine.State) bool
	next  int64
	err   error
}

func (g *memoryGuard) Watch(now time.Duration, s engine.State) bool {
	queued := int64(s.Queued) * itemBytes
	if grown := queued + int64(now/step)*rowBytes; grown > g.next {
		g.next = grown + memoryStep
		// A queue in one array is copied into one of twice the size.
		if limit, over := g.b.over(queued + memoryStep); over {
			g.err = fmt.Errorf("%w: %d attempts are queued after %v, and this process may have %s: lower --max-queue, leases or duration", ErrMemory, s.Queued, now, gib(limit))
			return true
		}
	}
	return g.watch(now, s)
}
