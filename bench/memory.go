package bench

import (
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"
	"unsafe"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// ErrMemory is returned, wrapped, for a run that does not fit in this host's memory. It does not
// wrap ErrScenario: the run may fit on another host.
var ErrMemory = errors.New("not enough memory")

const (
	itemBytes    = int64(unsafe.Sizeof(queue.Item{}))
	attemptBytes = 32 + 2*4 // in the fleet: an attempt, and its place in a ring at most half full
	timerBytes   = 12
	holderBytes  = 8        // in the manager, per lease
	orderBytes   = 4        // per lease, while a fleet is made
	rowBytes     = 27 << 10 // per step of the series
	smallRun     = 100_000  // leases below which memory is not checked
	memoryStep   = 64 << 20 // bytes of growth between two checks of the free memory
)

// budget is the memory that this process may use, in bytes. promised is the part that is set
// aside for runs that are being made.
type budget struct {
	mu       sync.Mutex
	limit    func() int64 // bytes; 0: unknown
	inUse    func() int64
	promised int64
}

var memory = &budget{limit: memoryLimitOf(time.Now, host.ReadInfo), inUse: memoryInUse}

// memoryInUse is the memory that the Go runtime holds, in bytes, less what it has released.
func memoryInUse() int64 {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64() - s[1].Value.Uint64())
}

// memoryLimitOf returns a function for the limit in bytes: free memory plus the memory in use,
// at most the limit of the control group. The function reads the host anew if its last reading
// is older than 5 s.
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

// over reports whether bytes more would exceed the limit, and the limit.
func (b *budget) over(bytes int64) (limit int64, yes bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.look(bytes)
}

// look is over with the lock held. It returns garbage to the system before it refuses.
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

// promise sets bytes aside for a run that is being made, until release is called.
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

// bytes is the least memory that the run takes: perLease bytes per lease, and perLook bytes for
// the launches between two samples of the queue. A real run has a second manager, for its
// calibration.
func (x *experiment) bytes(real bool) (perLease, perLook int64, err error) {
	const few = 1 << 12
	var tables [2]int64
	for i := range tables {
		t, err := lease.Make(x.Table, lease.Env{Leases: few << i, Workers: x.Workers, Shards: x.shards})
		if err != nil {
			return 0, 0, err
		}
		tables[i] = t.Bytes()
		if remote, ok := t.(lease.Remote); ok {
			_ = remote.Close() // it was made to be looked at
		}
	}
	manager := (tables[1]-tables[0])/few + holderBytes
	if real {
		manager *= 2
	}
	if x.HedgeAfter > 0 {
		manager += holderBytes // dwfm.Requests
	}
	perLease = manager + fleet.BytesPerDroplet + timerBytes + orderBytes
	most := x.Launch
	for _, load := range x.Loads {
		most = max(most, load-x.Rho)
	}
	look := (x.Timeout / WatchesPerTimeout).Seconds()
	return perLease, int64(x.Launches(most, x.Want)*look) * itemBytes, nil
}

// brokenBytes is the memory that the attempts of the broken leases take.
func (x *experiment) brokenBytes() int64 { return int64(x.Broken) * (attemptBytes + itemBytes) }

// reserve refuses a run that does not fit in memory, before it is made. The caller calls release
// once the run is made.
func (x *experiment) reserve(b *budget, real bool) (release func(), err error) {
	if x.Leases < smallRun && x.Launch <= 1 && len(x.Loads) == 0 {
		return func() {}, nil
	}
	perLease, perLook, err := x.bytes(real)
	if err != nil {
		return nil, err
	}
	broken := x.brokenBytes()
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

// memoryGuard ends a run whose queue outgrows the memory. It checks the memory whenever queue
// and series have grown by another 64 MiB.
type memoryGuard struct {
	b     *budget
	watch func(time.Duration, engine.State) bool
	step  time.Duration // of the series
	next  int64
	err   error
}

func (g *memoryGuard) Watch(now time.Duration, s engine.State) bool {
	queued := int64(s.Queued) * itemBytes
	if grown := queued + int64(now/g.step)*rowBytes; grown > g.next {
		g.next = grown + memoryStep
		// A queue in one array grows by a copy into an array of twice its size.
		if limit, over := g.b.over(queued + memoryStep); over {
			g.err = fmt.Errorf("%w: %d attempts are queued after %v, and this process may have %s: lower --max-queue, leases or duration", ErrMemory, s.Queued, now, gib(limit))
			return true
		}
	}
	return g.watch(now, s)
}

// AtOnce returns how many virtual runs of a scenario fit on this host at the same time: one per
// processor, and not more than memory holds. bytes is the least memory that each takes; a queue
// that grows takes more, and ends its run when there is no more.
func AtOnce(s scenario.Scenario) (runs int, bytes int64) {
	runs = runtime.GOMAXPROCS(0)
	x, err := newExperiment(s, 1, 1)
	if err != nil {
		return runs, 0
	}
	perLease, perLook, err := x.bytes(false)
	if err != nil {
		return runs, 0
	}
	bytes = perLease*int64(x.Leases) + x.brokenBytes() + perLook
	if limit := memory.limit(); limit > 0 && bytes > 0 {
		runs = max(1, min(runs, int(limit/(2*bytes)))) // as much again for queues and series
	}
	return runs, bytes
}
