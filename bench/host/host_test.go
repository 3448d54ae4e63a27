package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// sys writes a kernel's topology files: the core of each processor.
func sys(t *testing.T, cores ...int) (string, []int) {
	t.Helper()
	dir := t.TempDir()
	for id, core := range cores {
		d := filepath.Join(dir, "system/cpu", fmt.Sprintf("cpu%d", id), "topology")
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
		{"two packages", []int{0, 100, 1, 101}, 0, []int{0, 1, 3}, 2, false, false},
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

// write puts a file of the kernel's under dir.
func write(t *testing.T, dir, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name), []byte(content+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The small cores of a hybrid processor come last, and by themselves not at all.
func TestPlaceHybrid(t *testing.T) {
	intel, ids := sys(t, 0, 1, 2, 3)
	write(t, intel, "cpu_atom/cpus", "0,3")
	arm, _ := sys(t, 0, 1, 2, 3)
	for id, capacity := range []string{"446", "1024", "1024", "446"} {
		write(t, arm, fmt.Sprintf("system/cpu/cpu%d/cpu_capacity", id), capacity)
	}
	for _, dir := range []string{intel, arm} {
		topology := readTopology(dir, ids)
		if p := topology.Place(0); !slices.Equal(p.Workers, []int{1}) || p.Generator != 2 || p.Note == "" {
			t.Errorf("%+v", p)
		}
		if p := topology.Place(3); !slices.Equal(p.Workers, []int{1, 0, 3}) || p.Generator != 2 || p.Note == "" {
			t.Errorf("%+v", p)
		}
	}
}

// Workers keep to the generator's node while it has room.
func TestPlaceNodes(t *testing.T) {
	dir, ids := sys(t, 0, 1, 2, 3, 4, 5)
	for id := range ids {
		if err := os.MkdirAll(filepath.Join(dir, fmt.Sprintf("system/cpu/cpu%d/node%d", id, id%2)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if p := readTopology(dir, ids).Place(3); !slices.Equal(p.Workers, []int{0, 2, 1}) || p.Generator != 4 {
		t.Errorf("%+v", p)
	}
}

func TestShards(t *testing.T) {
	dir, ids := sys(t, 0, 1)
	if n := readTopology(dir, ids).Shards(24<<20, 2); n != 16 {
		t.Errorf("%d shards without a word of the cache, want 8 a worker", n)
	}
	write(t, dir, "system/cpu/cpu0/cache/index2/level", "2")
	write(t, dir, "system/cpu/cpu0/cache/index2/size", "1024K")
	topology := readTopology(dir, ids)
	if a, b := topology.Shards(24<<20, 2), topology.Shards(1<<20, 2); a != 48 || b != 16 {
		t.Errorf("%d and %d shards, want 48 of half an L2 each, and 16", a, b)
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

// A machine with every fault is told of each, with the mend; a good one of none.
func TestExamine(t *testing.T) {
	good := Info{OS: "linux", Cores: 8, CPUs: make([]CPU, 8), Online: 8, SMT: "off", Governor: "performance", ClockSource: "tsc", MemoryFree: 8 << 30}
	if f := Examine(good, Usage{}, time.Microsecond, time.Second); len(f) != 0 {
		t.Errorf("a good host: %+v", f)
	}
	bad := Info{
		OS: "plan9", Virtual: true, Cores: 1, CPUs: make([]CPU, 1), Online: 8, Guessed: "no sysfs", SMT: "on", Governor: "powersave",
		ClockSource: "hpet", Quota: 1.5, MemoryMax: 1 << 20, MemoryFree: 1 << 20,
	}
	f := Examine(bad, Usage{Steal: 0.5, Waiting: 0.5}, time.Second, time.Second)
	if len(f) != 14 {
		t.Errorf("%d findings, want 14", len(f))
	}
	for _, x := range f {
		if x.What == "" || x.Why == "" || x.Mend == "" {
			t.Errorf("%+v", x)
		}
	}
}

func TestReadInfo(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{
		"sys/devices/system/cpu/online": "0-1,3\n", "proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   2048 kB\n",
		"sys/devices/system/cpu/cpu0/cache/index2/level": "2\n", "sys/devices/system/cpu/cpu0/cache/index2/size": "1024K\n",
		"proc/stat": "cpu  1 2 3 4 5 6 7 250 0 0\ncpu0 1\n", "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=3000000\n",
		"sys/devices/system/cpu/cpu7/topology/core_id": "7\n", // offline
	} {
		write(t, root, name, text)
	}
	i := readInfo(root)
	if i.Online != 3 || i.Quota != 0 || i.MemoryMax != 0 || i.MemoryFree != 2<<20 || len(i.Caches) != 1 || i.Caches[0].Bytes != 1<<20 {
		t.Errorf("%+v", i)
	}
	if u := readUsage(root); u.Steal != 2.5 || u.Waiting != 3 {
		t.Errorf("%+v", u)
	}
	if i := readInfo(t.TempDir()); i.Quota != 0 || i.OS == "" || len(i.CPUs) == 0 {
		t.Errorf("a host that tells nothing: %+v", i)
	}
}
