// Package host describes the machine of a run: its processors and their topology, clocks, memory,
// and the disturbances that the kernel counts. It also pins threads to processors.
//
// A processor is a logical one, as the kernel counts them. Linux tells all of this; other systems
// tell less, and fields stay empty.
package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// CPU is one logical processor that this process may run on.
type CPU struct {
	ID      int `json:"id"`
	Core    int `json:"core"`    // physical core, unique within its package
	Package int `json:"package"` // socket
	Node    int `json:"node"`    // NUMA node; the socket if the kernel does not tell
	// Slow marks the small cores of a hybrid processor.
	Slow bool `json:"slow,omitempty"`
}

// Topology lists the processors that this process may run on, in the order of their IDs.
type Topology struct {
	CPUs []CPU
	L2   int64 // size of a core's private cache, in bytes; 0: unknown
	// Guessed says why Core and Package are guesses; empty if the kernel told them.
	Guessed string
}

// ReadTopology reads the topology from the kernel. It must be called before any goroutine is
// pinned, because it reads the affinity mask of the calling thread.
func ReadTopology() Topology { return readTopology("/sys/devices", allowed()) }

func readTopology(devices string, ids []int) Topology {
	var t Topology
	small := cpuList(text(devices, "cpu_atom/cpus")) // Intel's; Arm has a capacity for each core
	most := 0
	for _, id := range ids {
		dir := filepath.Join(devices, "system/cpu", fmt.Sprintf("cpu%d", id))
		core, err1 := readInt(filepath.Join(dir, "topology/core_id"))
		pkg, err2 := readInt(filepath.Join(dir, "topology/physical_package_id"))
		if err := errors.Join(err1, err2); err != nil {
			t.Guessed = "each processor is taken for a core of its own: " + err.Error()
			core, pkg = id, 0
		}
		c := CPU{ID: id, Core: core, Package: pkg, Node: pkg, Slow: slices.Contains(small, id)}
		if nodes, _ := filepath.Glob(filepath.Join(dir, "node[0-9]*")); len(nodes) > 0 {
			c.Node, _ = strconv.Atoi(strings.TrimPrefix(filepath.Base(nodes[0]), "node"))
		}
		t.CPUs = append(t.CPUs, c)
		if capacity, err := readInt(filepath.Join(dir, "cpu_capacity")); err == nil {
			most = max(most, capacity)
		}
	}
	for i := range t.CPUs {
		dir := filepath.Join(devices, "system/cpu", fmt.Sprintf("cpu%d", t.CPUs[i].ID))
		if capacity, err := readInt(filepath.Join(dir, "cpu_capacity")); err == nil && capacity < most {
			t.CPUs[i].Slow = true
		}
		caches, _ := filepath.Glob(filepath.Join(dir, "cache/index*"))
		for _, c := range caches {
			if level, _ := readInt(filepath.Join(c, "level")); level == 2 && i == 0 {
				t.L2 = size(text(c, "size"))
			}
		}
	}
	return t
}

// cpuList parses a list of processors in the kernel's format, as in "0-3,8".
func cpuList(s string) (ids []int) {
	for part := range strings.SplitSeq(s, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		a, err1 := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err1 == nil && err2 == nil {
			for id := a; id <= b; id++ {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// Shards returns the number of shards for a structure of the given size in bytes that is shared by
// the given number of workers. A shard fits in half of a core's private cache. There are at least
// 8 shards per worker, so that two workers seldom need the same one.
func (t Topology) Shards(bytes int64, workers int) int {
	n := 8 * max(1, workers)
	if t.L2 > 0 {
		n = max(n, int((bytes+t.L2/2-1)/(t.L2/2)))
	}
	return n
}

func readInt(file string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// Cores returns the number of physical cores.
func (t Topology) Cores() int { return len(t.byCore()) }

// byCore groups the processors by physical core.
func (t Topology) byCore() [][]CPU {
	var cores [][]CPU
	for _, c := range t.CPUs {
		at := slices.IndexFunc(cores, func(core []CPU) bool { return core[0].Package == c.Package && core[0].Core == c.Core })
		if at < 0 {
			cores = append(cores, []CPU{c})
		} else {
			cores[at] = append(cores[at], c)
		}
	}
	return cores
}

// Placement assigns each thread of a run to a processor.
type Placement struct {
	Workers   []int  `json:"workers"`        // processor ID by worker
	Generator int    `json:"generator"`      // processor ID
	Note      string `json:"note,omitempty"` // limits of the placement; empty: none
	// TakesTurns is set if two threads share a processor. No thread may spin then.
	TakesTurns bool `json:"takes_turns,omitempty"`
}

// Place assigns the generator and the given number of workers to processors:
//
//  1. The generator has a physical core of its own, if there are enough cores.
//  2. Each worker has a physical core of its own, as far as possible.
//  3. Fast cores come before slow ones, and cores of the first NUMA node, the generator's, before
//     those of other nodes.
//
// 0 workers means one per fast core, less the generator's, and at least one.
func (t Topology) Place(workers int) Placement {
	cores := t.byCore()
	slices.SortStableFunc(cores, func(a, b []CPU) int {
		if a[0].Slow != b[0].Slow {
			if b[0].Slow {
				return -1
			}
			return 1
		}
		return a[0].Node - b[0].Node
	})
	fast := len(cores)
	if i := slices.IndexFunc(cores, func(c []CPU) bool { return c[0].Slow }); i > 0 {
		fast = i
	}
	asked := workers
	if workers == 0 {
		workers = max(1, fast-1)
	}
	// The generator takes the last fast core of the first node.
	gen := 0
	for gen+1 < fast && cores[gen+1][0].Node == cores[0][0].Node {
		gen++
	}
	p := Placement{Generator: cores[gen][0].ID, Workers: make([]int, workers)}
	own := cores[gen]
	// free lists the processors in the order of their assignment: the first of each core, then
	// the second of each core.
	var free []CPU
	for round, left := 0, len(t.CPUs)-1; left > 0; round++ {
		for _, core := range cores {
			if round < len(core) && core[round].ID != p.Generator {
				free = append(free, core[round])
				left--
			}
		}
	}
	if len(free) == 0 {
		free = own
	}
	var notes []string
	shares, slow := false, false
	for i := range p.Workers {
		c := free[i%len(free)]
		p.Workers[i] = c.ID
		shares = shares || c.ID != p.Generator && slices.Contains(own, c)
		slow = slow || c.Slow
	}
	switch {
	case workers > len(free) || free[0].ID == p.Generator:
		p.TakesTurns = true
		notes = append(notes, fmt.Sprintf("%d workers and the generator take turns on %d processors", workers, len(t.CPUs)))
	case shares && len(cores) == 1:
		notes = append(notes, "the generator shares a physical core with a worker: there is no other")
	case workers >= len(cores):
		notes = append(notes, "workers share physical cores with each other or the generator")
	}
	if slow && fast < len(cores) {
		notes = append(notes, "some workers are on slow cores of a hybrid processor")
	}
	if asked == 0 && fast < len(cores) {
		notes = append(notes, fmt.Sprintf("%d slow cores of a hybrid processor are left alone: --workers takes them too", len(cores)-fast))
	}
	p.Note = strings.Join(notes, "; ")
	return p
}

// Pause busy-waits for n turns of an empty loop. A turn takes 1 ns or less.
func Pause(n int) {
	for range n {
		runtime.KeepAlive(nil)
	}
}
