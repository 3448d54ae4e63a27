package host

import (
	"fmt"
	"time"
)

// Finding is a property of the host that spoils measurements.
type Finding struct {
	What string `json:"what"` // the property
	Why  string `json:"why"`  // how it spoils a measurement
	Mend string `json:"mend"` // how to change it
}

const liftQuota = "lift the quota for the run (cpu.max, or cpu.cfs_quota_us of version 1, of the process's group and its ancestors)"

// Watch observes the idle host for the time d. It returns the kernel's counts of disturbances, and
// the longest time for which a spinning thread did not run.
func Watch(d time.Duration) (u Usage, longest time.Duration) {
	before := ReadUsage()
	done := make(chan time.Duration)
	go func() {
		_ = Pin(ReadTopology().CPUs[0].ID) // if pinning fails, the gaps include the scheduler's
		clock := NewClock()
		last, longest := time.Duration(0), time.Duration(0)
		for last < d {
			now := clock.Now()
			longest = max(longest, now-last)
			last = now
		}
		done <- longest
	}()
	longest = <-done
	return ReadUsage().Sub(before), longest
}

// Examine returns the findings on a host. u and longest are the results of [Watch], and watched is
// its length; 0: no Watch was made.
func Examine(i Info, u Usage, longest, watched time.Duration) []Finding {
	var all []Finding
	add := func(bad bool, what, why, mend string) {
		if bad {
			all = append(all, Finding{what, why, mend})
		}
	}
	add(i.OS != "linux", "this is "+i.OS, "threads are not bound to processors, and the kernel's counters are not read", "measure on Linux")
	add(i.Virtual, "virtualised", "topology and caches are the hypervisor's story, two processors may be siblings of one core, and neighbours are felt", "measure on bare metal, or say that it is virtual")
	add(i.Cores < 2, fmt.Sprintf("%d physical core", i.Cores), "generator and worker take turns: slip is milliseconds", "use a host with two cores or more")
	add(i.Cores >= 2 && i.Cores < 4, fmt.Sprintf("%d physical cores", i.Cores), "no core is left for the kernel, the collector of records and everything else", "use a host with four cores or more for what is published")
	add(i.Guessed != "", "the topology is hidden", i.Guessed, "mount /sys, or run outside the sandbox")
	add(i.Online > len(i.CPUs), fmt.Sprintf("%d of %d processors allowed", len(i.CPUs), i.Online), "a cpuset or an affinity mask holds the process", "start it without taskset, or widen the cpuset")
	add(i.Quota > 0, fmt.Sprintf("cgroup quota of %.2f processors", i.Quota), "whoever spins uses it up and is stopped for the rest of each period", liftQuota)
	add(i.SMT == "on", "SMT is on", "a sibling takes up to half of a core's speed", "echo off > /sys/devices/system/cpu/smt/control, or read the placement in the manifest")
	add(i.Governor != "" && i.Governor != "performance", "CPU governor "+i.Governor, "the clock rate follows the load: calibration and run may differ", "cpupower frequency-set -g performance")
	add(i.ClockSource != "" && i.ClockSource != "tsc" && i.ClockSource != "kvm-clock" && i.ClockSource != "arch_sys_counter", "clock source "+i.ClockSource, "reading the clock may be a system call, a microsecond each", "boot with clocksource=tsc, or echo tsc into current_clocksource")
	add(i.MemoryMax > 0 && i.MemoryMax < 1<<30, fmt.Sprintf("cgroup memory limit of %d MiB", i.MemoryMax>>20), "10^6 leases need some 150 MiB, an unbounded queue more", "raise memory.max, or lower --leases and --max-queue")
	add(i.MemoryFree > 0 && i.MemoryFree < 1<<30, fmt.Sprintf("%d MiB of memory available", i.MemoryFree>>20), "an unbounded queue may drive the host into swap", "free memory, or lower --max-queue")
	if watched > 0 {
		// One thread spins: a quota of less than a processor stops it for certain.
		busy, stop := "another process competes with the run", "stop what else runs (top shows it)"
		lost, isolate := "a spinning thread lost its processor that long", "stop what else runs; isolate cores (isolcpus, nohz_full)"
		if why := throttling(i.Quota, u, 1); why != "" {
			busy, stop, lost, isolate = why, liftQuota, why, liftQuota
		}
		add(u.Steal > 0.005*watched.Seconds(), fmt.Sprintf("%.1f %% stolen", 100*u.Steal/watched.Seconds()), "the hypervisor gives this machine's time to others", "move to a dedicated host")
		add(u.Waiting > 0.02*watched.Seconds(), fmt.Sprintf("something waits for a processor %.0f %% of the time", 100*u.Waiting/watched.Seconds()), busy, stop)
		add(longest > 2*time.Millisecond, fmt.Sprintf("gaps up to %.1f ms", float64(longest)/1e6), lost, isolate)
	}
	return all
}
