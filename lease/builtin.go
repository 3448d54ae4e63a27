package lease

import (
	"runtime"

	"github.com/leasestorm/leasestorm/queue/catalog"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// maxParts bounds the shards or regions of a table. No host has that many cores.
const maxParts = 1 << 16

var builtin = []catalog.Entry[New]{
	{
		Name:   "mutex",
		Doc:    "one lock; dense slots and a heap of deadlines that renewals leave alone",
		Source: "etcd server/lease/lessor.go (lease queue), kept dense; 4-ary heap as in Go runtime/time.go",
		New:    newMutex,
	},
	{
		Name:   "sharded",
		Doc:    "the mutex table cut into contiguous shards with a lock each",
		Source: "lock striping, as in java.util.concurrent.ConcurrentHashMap (Lea, Java 5)",
		Params: []catalog.Param{{Name: "shards", Unit: "1", Min: 0, Max: maxParts,
			Doc: "locks; 0: what the host suggests, else 8 a worker"}, pad.Param},
		New: newSharded,
	},
	{
		Name:   "lockfree",
		Doc:    "one 64-bit word a lease, renewed by one compare-and-swap; sweeps read only blocks with something due",
		Source: "Treiber, Systems Programming: Coping with Parallelism, 1986 (counted words)",
		Params: []catalog.Param{{Name: "regions", Unit: "1", Min: 0, Max: maxParts,
			Doc: "parts of the free slots; 0: what the host suggests, else one a worker"}, pad.Param},
		New: newLockFree,
	},
}

// processors is the environment of a table that is made without one.
func processors() Env { return Env{Workers: runtime.GOMAXPROCS(0)} }

// parts is the number of parts to cut a table into: what is asked for, else what the host
// suggests, else each parts per worker.
func parts(asked int, env Env, each int) int {
	n := asked
	if n <= 0 {
		n = env.Shards
	}
	if n <= 0 {
		n = each * max(env.Workers, 1)
	}
	return min(n, maxParts)
}
