package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// sys writes a kernel's topology files: the core of each processor.
func sys(t *testing.T, cores ...int) (string, []int) {
	t.Helper()
	dir := t.TempDir()
	for id, core := range cores {
		d := filepath.Join(dir, fmt.Sprintf("cpu%d", id), "topology")
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, x := range map[string]int{"core_id": core % 100, "physical_package_id": core / 100} {
			if err := os.WriteFile(filepath.Join(d, name), fmt.Appendln(nil, x), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return dir, first(len(cores))
}

func TestPlace(t *testing.T) {
	tests := []struct {
		name      string
		cores     []int // 100·package + core
		workers   int
		want      []int
		generator int
		turns     bool
		note      bool
	}{
		{"one processor", []int{0}, 0, []int{0}, 0, true, true},
		{"two cores", []int{0, 1}, 0, []int{0}, 1, false, false},
		{"two siblings", []int{0, 0}, 0, []int{1}, 0, false, true},
		{"four cores", []int{0, 1, 2, 3}, 0, []int{0, 1, 2}, 3, false, false},
		{"four cores with siblings", []int{0, 1, 2, 3, 0, 1, 2, 3}, 0, []int{0, 1, 2}, 3, false, false},
		{"more workers than cores", []int{0, 1, 0, 1}, 3, []int{0, 2, 3}, 1, false, true},
		{"two packages", []int{0, 100, 1, 101}, 0, []int{0, 1, 2}, 3, false, false},
		{"more workers than processors", []int{0, 1}, 3, []int{0, 0, 0}, 1, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			topology := readTopology(sys(t, tt.cores...))
			p := topology.Place(tt.workers)
			if !slices.Equal(p.Workers, tt.want) || p.Generator != tt.generator || p.TakesTurns != tt.turns || (p.Note != "") != tt.note {
				t.Errorf("got %+v, want workers %v, generator %d, turns %v, a note %v", p, tt.want, tt.generator, tt.turns, tt.note)
			}
		})
	}
}

func TestHiddenTopology(t *testing.T) {
	topology := readTopology(t.TempDir(), []int{0, 1, 2})
	if topology.Cores() != 3 || topology.Guessed == "" {
		t.Errorf("%+v: want three cores, and a word that they are guessed", topology)
	}
}

func TestReadTopology(t *testing.T) {
	topology := ReadTopology()
	if len(topology.CPUs) == 0 || topology.Cores() > len(topology.CPUs) {
		t.Fatalf("%+v", topology)
	}
	pinned := make(chan error)
	go func() { pinned <- Pin(topology.CPUs[0].ID) }()
	if err := <-pinned; err != nil {
		t.Error(err)
	}
}
