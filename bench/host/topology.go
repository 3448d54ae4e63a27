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
}

// Topology is the processors that this process may run on, in the order of their IDs.
type Topology struct {
	CPUs []CPU
	// Guessed says why core and package are not the kernel's word; empty if they are.
	Guessed string
}

// ReadTopology asks the kernel. It must be called before any goroutine is pinned:
// a pinned thread's mask may outlive the pinning.
func ReadTopology() Topology { return readTopology("/sys/devices/system/cpu", allowed()) }

func readTopology(sys string, ids []int) Topology {
	var t Topology
	for _, id := range ids {
		dir := filepath.Join(sys, fmt.Sprintf("cpu%d", id), "topology")
		core, err1 := readInt(filepath.Join(dir, "core_id"))
		pkg, err2 := readInt(filepath.Join(dir, "physical_package_id"))
		if err := errors.Join(err1, err2); err != nil {
			t.Guessed = "each processor is taken for a core of its own: " + err.Error()
			core, pkg = id, 0
		}
		t.CPUs = append(t.CPUs, CPU{ID: id, Core: core, Package: pkg})
	}
	return t
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

// Place puts workers one a physical core first, and the generator on a core of its
// own if there is one; 0 workers means as many as there are cores, less the
// generator's.
func (t Topology) Place(workers int) Placement {
	cores := t.byCore()
	if workers == 0 {
		workers = max(1, len(cores)-1)
	}
	// Processors in the order in which they are given away: the first of each core,
	// then the second of each.
	var seats []CPU
	for round := 0; len(seats) < len(t.CPUs); round++ {
		for _, core := range cores {
			if round < len(core) {
				seats = append(seats, core[round])
			}
		}
	}
	p := Placement{Generator: seats[len(cores)-1].ID, Workers: make([]int, workers)}
	free := slices.DeleteFunc(slices.Clone(seats), func(c CPU) bool { return c.ID == p.Generator })
	own := slices.IndexFunc(seats, func(c CPU) bool { return c.ID == p.Generator })
	if len(free) == 0 {
		free = seats
	}
	for i := range p.Workers {
		p.Workers[i] = free[i%len(free)].ID
	}
	switch {
	case workers > len(free) || free[0].ID == p.Generator:
		p.TakesTurns = true
		p.Note = fmt.Sprintf("%d workers and the generator take turns on %d processors", workers, len(t.CPUs))
	case workers >= len(cores):
		p.Note = "workers share physical cores with each other or the generator"
	}
	for _, w := range p.Workers {
		for _, c := range seats {
			if c.ID == w && w != p.Generator && c.Core == seats[own].Core && c.Package == seats[own].Package {
				p.Note = "the generator shares a physical core with a worker: there is no other"
			}
		}
	}
	return p
}

// Pause spins for about n turns of an empty loop, a nanosecond or less each.
func Pause(n int) {
	for range n {
		runtime.KeepAlive(nil)
	}
}
