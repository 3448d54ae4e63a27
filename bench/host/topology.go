// Package host knows the machine that a run is on: its processors and which of them
// are siblings, pinning, clocks, and what the kernel says of disturbances.
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
	Node    int `json:"node"`    // NUMA node; the socket where the kernel does not say
	// Slow marks the small cores of a hybrid processor.
	Slow bool `json:"slow,omitempty"`
}

// Topology is the processors that this process may run on, in the order of their IDs.
type Topology struct {
	CPUs []CPU
	L2   int64 // bytes of a core's private cache; 0: the kernel does not say
	// Guessed says why core and package are not the kernel's word; empty if they are.
	Guessed string
}

// ReadTopology asks the kernel. It must be called before any goroutine is pinned:
// a pinned thread's mask may outlive the pinning.
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

// cpuList reads the kernel's lists, "0-3,8".
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

// Shards is into how many parts a structure of so many bytes, shared by so many workers,
// is best cut: each part fits in half of a core's private cache, and two workers seldom
// meet in one (8 a worker: a chance below 1/8 for each other worker's lock).
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

// Cores is the number of physical cores.
func (t Topology) Cores() int { return len(t.byCore()) }

// byCore groups the processors: one list a physical core.
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

// Placement says on which processor each thread of a run is pinned.
type Placement struct {
	Workers   []int  `json:"workers"`
	Generator int    `json:"generator"`
	Note      string `json:"note,omitempty"` // what a reader must know of it
	// TakesTurns: a worker and the generator, or two workers, share one processor, so
	// nobody may spin.
	TakesTurns bool `json:"takes_turns,omitempty"`
}

// Place puts workers one a physical core first, fast cores before slow ones, on the
// generator's NUMA node before others; the generator has a core of its own if there is
// one. 0 workers means as many as there are fast cores, less the generator's.
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
	// Processors in the order in which they are given away: the first of each core,
	// then the second of each.
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

// Pause spins for about n turns of an empty loop, a nanosecond or less each.
func Pause(n int) {
	for range n {
		runtime.KeepAlive(nil)
	}
}
