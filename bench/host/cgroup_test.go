package host

import (
	"math"
	"strings"
	"testing"
	"time"
)

const (
	v2Mount = "30 22 0:27 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate"
	v1CPU   = "31 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct"
	v1Mem   = "34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
)

// The limits of the process are the least of its own group's and its ancestors'.
func TestCgroups(t *testing.T) {
	for _, tt := range []struct {
		name, group, mounts string
		files               map[string]string
		quota               float64
		memory              int64
		times               int64
		seconds             float64
	}{
		{"nothing told", "", "", nil, 0, 0, 0, 0},
		{"version 2, no limits", "0::/user.slice", v2Mount, map[string]string{"sys/fs/cgroup/user.slice/cpu.max": "max 100000", "sys/fs/cgroup/user.slice/memory.max": "max"}, 0, 0, 0, 0},
		{
			"version 2, own group", "0::/a/b", v2Mount,
			map[string]string{
				"sys/fs/cgroup/a/b/cpu.max": "50000 100000", "sys/fs/cgroup/a/b/memory.max": "1000", "sys/fs/cgroup/a/cpu.max": "300000 100000", "sys/fs/cgroup/a/memory.max": "9000",
				"sys/fs/cgroup/a/b/cpu.stat": "usage_usec 7\nnr_periods 9\nnr_throttled 4\nthrottled_usec 1500000", "sys/fs/cgroup/c/cpu.max": "1000 100000",
			},
			0.5, 1000, 4, 1.5,
		},
		{
			"version 2, an ancestor", "0::/a/b", v2Mount,
			map[string]string{"sys/fs/cgroup/a/b/cpu.max": "400000 100000", "sys/fs/cgroup/a/b/memory.max": "max", "sys/fs/cgroup/a/cpu.max": "150000 100000", "sys/fs/cgroup/a/memory.max": "9000"},
			1.5, 9000, 0, 0,
		},
		{"version 2, a namespace", "0::/", v2Mount, map[string]string{"sys/fs/cgroup/cpu.max": "200000 100000"}, 2, 0, 0, 0},
		{"version 2, a mount with a space", "0::/x", `30 22 0:27 / /sys/c\040g rw - cgroup2 cgroup2 rw`, map[string]string{"sys/c g/x/cpu.max": "200000 100000"}, 2, 0, 0, 0},
		{
			"version 1", "4:memory:/m/n\n3:cpu,cpuacct:/a/b\n0::/u", v1CPU + "\n" + v1Mem,
			map[string]string{
				"sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us": "100000",
				"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "25000", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "50000",
				"sys/fs/cgroup/cpu,cpuacct/a/cpu.stat":           "nr_periods 9\nnr_throttled 3\nthrottled_time 2000000000",
				"sys/fs/cgroup/memory/m/n/memory.limit_in_bytes": "5000", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
			},
			0.5, 5000, 3, 2,
		},
		{
			"version 1, no limits", "4:memory:/\n3:cpu,cpuacct:/", v1CPU + "\n" + v1Mem,
			map[string]string{
				"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
				"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
			},
			0, 0, 0, 0,
		},
		{
			"a container of version 1, told its path from outside", "3:cpu,cpuacct:/docker/abc/x",
			"31 30 0:28 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct",
			map[string]string{"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1"},
			1, 0, 0, 0,
		},
		{
			"both versions", "3:cpu,cpuacct:/a\n0::/u", v1CPU + "\n" + strings.Replace(v2Mount, "/sys/fs/cgroup", "/sys/fs/cgroup/unified", 1),
			map[string]string{"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "100000", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000", "sys/fs/cgroup/unified/u/memory.max": "70"},
			1, 70, 0, 0,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, "proc/self/cgroup", tt.group)
			write(t, root, "proc/self/mountinfo", tt.mounts)
			for name, text := range tt.files {
				write(t, root, name, text)
			}
			i, u := readInfo(root), readUsage(root)
			if i.Quota != tt.quota || i.MemoryMax != tt.memory {
				t.Errorf("quota %g, memory %d; want %g and %d", i.Quota, i.MemoryMax, tt.quota, tt.memory)
			}
			if u.Throttles != tt.times || math.Abs(u.Throttled-tt.seconds) > 1e-9 {
				t.Errorf("throttled %d times, %g s; want %d and %g", u.Throttles, u.Throttled, tt.times, tt.seconds)
			}
		})
	}
}

// Where a quota explains what was seen, nobody else is blamed; where none does, it is not.
func TestExamineQuota(t *testing.T) {
	good := Info{OS: "linux", Cores: 8, CPUs: make([]CPU, 8), Online: 8, SMT: "off", ClockSource: "tsc", MemoryFree: 8 << 30}
	for _, tt := range []struct {
		quota     float64
		throttles int64
		explains  bool
	}{{0, 0, false}, {4, 0, false}, {0.5, 0, true}, {1.5, 3, true}, {0, 3, true}} {
		i := good
		i.Quota = tt.quota
		blamed, named := false, 0
		for _, f := range Examine(i, Usage{Waiting: 0.5, Throttles: tt.throttles, Throttled: 0.4}, time.Second, time.Second) {
			blamed = blamed || strings.Contains(f.Why, "another process") || strings.Contains(f.Mend, "what else runs")
			if strings.Contains(f.Why, "CPU quota") {
				named++
			}
		}
		if blamed == tt.explains || (named == 2) != tt.explains {
			t.Errorf("%+v: another process blamed %v, the quota named %d times", tt, blamed, named)
		}
	}
}

func TestThrottling(t *testing.T) {
	for _, tt := range []struct {
		quota     float64
		throttles int64
		threads   int
		want      string
	}{
		{0, 0, 2, ""}, {4, 0, 2, ""}, {0.5, 0, 2, "0.50 processors is less than the 2 threads"}, {1.5, 7, 2, "1.50 processors stopped the process 7 times, for 0.25 s"},
		{0, 7, 2, "stopped the process 7 times"},
	} {
		if got := throttling(tt.quota, Usage{Throttles: tt.throttles, Throttled: 0.25}, tt.threads); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}
