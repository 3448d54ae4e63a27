package host

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/klauspost/cpuid/v2"
)

// Info describes the machine. A field is empty if the kernel does not tell.
type Info struct {
	Name        string   `json:"name"`
	OS          string   `json:"os"`
	Arch        string   `json:"arch"`
	Kernel      string   `json:"kernel"`
	CPU         string   `json:"cpu"`
	Virtual     bool     `json:"virtual"` // under a hypervisor, which may make up the topology
	Features    []string `json:"features"`
	CPUs        []CPU    `json:"cpus"`                       // that this process may run on
	Online      int      `json:"online_cpus"`                // processors of the host
	Cores       int      `json:"cores"`                      // physical cores of CPUs
	Guessed     string   `json:"topology_guessed,omitempty"` // see Topology
	SMT         string   `json:"smt"`
	Caches      []Cache  `json:"caches"`
	CacheLine   int      `json:"cache_line_bytes"`
	NUMANodes   int      `json:"numa_nodes"`
	ClockSource string   `json:"clock_source"`
	Governor    string   `json:"governor"`
	Quota       float64  `json:"cgroup_quota_cpus"`   // processors; 0: no limit
	MemoryMax   int64    `json:"cgroup_memory_bytes"` // 0: no limit
	MemoryFree  int64    `json:"memory_available_bytes"`
}

// Cache is a cache of processor 0.
type Cache struct {
	Level  int    `json:"level"`
	Type   string `json:"type"`
	Bytes  int64  `json:"bytes"`
	Shared string `json:"shared_cpus"`
}

// interesting are the CPU features that Info.Features lists, if present.
var interesting = []cpuid.FeatureID{cpuid.SHA, cpuid.AVX2, cpuid.AVX512F, cpuid.AVX512DQ, cpuid.RDTSCP, cpuid.TSXLDTRK, cpuid.HYBRID_CPU}

// ReadInfo reads the Info from kernel and processor.
func ReadInfo() Info { return readInfo("/") }

func readInfo(root string) Info {
	t := ReadTopology()
	i := Info{
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuid.CPU.BrandName, Virtual: cpuid.CPU.VM(), CPUs: t.CPUs, Cores: t.Cores(),
		Guessed: t.Guessed, CacheLine: cpuid.CPU.CacheLine, Online: runtime.NumCPU(),
		Kernel: text(root, "proc/sys/kernel/osrelease"), SMT: text(root, "sys/devices/system/cpu/smt/control"),
		ClockSource: text(root, "sys/devices/system/clocksource/clocksource0/current_clocksource"),
		Governor:    text(root, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
	}
	i.Name, _ = os.Hostname()
	for _, f := range interesting {
		if cpuid.CPU.Supports(f) {
			i.Features = append(i.Features, f.String())
		}
	}
	if online := cpuList(text(root, "sys/devices/system/cpu/online")); len(online) > 0 {
		i.Online = len(online)
	}
	if nodes, err := filepath.Glob(filepath.Join(root, "sys/devices/system/node/node[0-9]*")); err == nil {
		i.NUMANodes = len(nodes)
	}
	caches, _ := filepath.Glob(filepath.Join(root, "sys/devices/system/cpu/cpu0/cache/index*"))
	for _, c := range caches {
		level, err := readInt(filepath.Join(c, "level"))
		if err != nil {
			continue
		}
		i.Caches = append(i.Caches, Cache{Level: level, Type: text(c, "type"), Bytes: size(text(c, "size")), Shared: text(c, "shared_cpu_list")})
	}
	i.Quota, i.MemoryMax = cpuQuota(root), memoryMax(root)
	if runtime.GOARCH == "wasm" {
		i.MemoryMax = 4 << 30 // its addresses have 32 bits
	}
	for line := range strings.SplitSeq(text(root, "proc/meminfo"), "\n") {
		if v, ok := strings.CutPrefix(line, "MemAvailable:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(v, "kB")), 10, 64)
			i.MemoryFree = kb << 10
		}
	}
	return i
}

// text is the content of a kernel file, without space around it; empty if it cannot be read.
func text(dir, name string) string {
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// size parses a size such as "1024K", in bytes.
func size(s string) int64 {
	shift := map[byte]uint{'K': 10, 'M': 20, 'G': 30}
	if s == "" {
		return 0
	}
	sh, ok := shift[s[len(s)-1]]
	if ok {
		s = s[:len(s)-1]
	}
	n, _ := strconv.ParseInt(s, 10, 64)
	return n << sh
}

// Usage holds the kernel's counts of disturbances, since boot or since the process's start. The
// difference of two readings covers the time between them.
type Usage struct {
	Steal       float64 `json:"steal_s"`              // stolen by the hypervisor, all processors
	Waiting     float64 `json:"cpu_waiting_s"`        // time in which a task waited for a processor
	Involuntary int64   `json:"involuntary_switches"` // of this process
	Faults      int64   `json:"major_faults"`         // of this process
	Throttles   int64   `json:"throttled_periods"`    // cut short by a cgroup's CPU quota
	Throttled   float64 `json:"throttled_s"`          // time lost to the quota, all processors
}

// ReadUsage reads the counts.
func ReadUsage() Usage { return readUsage("/") }

func readUsage(root string) Usage {
	var u Usage
	if cpu := strings.Fields(firstLine(text(root, "proc/stat"))); len(cpu) > 8 {
		ticks, _ := strconv.ParseFloat(cpu[8], 64)
		u.Steal = ticks / 100 // USER_HZ
	}
	if _, total, ok := strings.Cut(firstLine(text(root, "proc/pressure/cpu")), "total="); ok {
		us, _ := strconv.ParseFloat(total, 64)
		u.Waiting = us / 1e6
	}
	u.Involuntary, u.Faults = ownUsage()
	u.Throttles, u.Throttled = throttled(root)
	return u
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Sub returns the counts since an earlier reading.
func (u Usage) Sub(earlier Usage) Usage {
	return Usage{
		Steal: u.Steal - earlier.Steal, Waiting: u.Waiting - earlier.Waiting,
		Involuntary: u.Involuntary - earlier.Involuntary, Faults: u.Faults - earlier.Faults,
		Throttles: u.Throttles - earlier.Throttles, Throttled: u.Throttled - earlier.Throttled,
	}
}
