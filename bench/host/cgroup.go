package host

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// A cgroup also limits its descendants. So the limit of a process is the least of its own group's
// and of the group's ancestors'. Version 2 has one hierarchy of groups, and version 1 one per
// controller. A host may use both versions at once.

// groups are the directories of the process's group and of its ancestors, in this order, in every
// hierarchy that has the controller.
func groups(root, controller string) (dirs []string) {
	mounts := text(root, "proc/self/mountinfo")
	for line := range strings.SplitSeq(text(root, "proc/self/cgroup"), "\n") {
		part := strings.SplitN(line, ":", 3) // hierarchy:controllers:path
		if len(part) != 3 {
			continue
		}
		v2 := part[0] == "0" && part[1] == ""
		if !v2 && !slices.Contains(strings.Split(part[1], ","), controller) {
			continue
		}
		for line := range strings.SplitSeq(mounts, "\n") {
			from, to, ok := mounted(line, v2, controller)
			if !ok {
				continue
			}
			// In a container the mount's root may be the container's group, and the path may
			// be the one outside or the one inside of the container.
			below := path.Clean("/" + part[2])
			if rest, ok := strings.CutPrefix(below, strings.TrimSuffix(from, "/")); ok && (rest == "" || rest[0] == '/') {
				below = path.Clean("/" + rest)
			}
			for ; ; below = path.Dir(below) {
				dirs = append(dirs, path.Join(to, below))
				if below == "/" {
					break
				}
			}
			break
		}
	}
	return dirs
}

// mounted parses a line of mountinfo (proc_pid_mountinfo(5)): the part of the hierarchy that is
// mounted (from), and the mount point (to).
func mounted(line string, v2 bool, controller string) (from, to string, ok bool) {
	mount, fs, _ := strings.Cut(line, " - ")
	m, f := strings.Fields(mount), strings.Fields(fs)
	if len(m) < 5 || len(f) < 3 {
		return "", "", false
	}
	if v2 {
		ok = f[0] == "cgroup2"
	} else {
		ok = f[0] == "cgroup" && slices.Contains(strings.Split(f[2], ","), controller)
	}
	plain := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	return plain.Replace(m[3]), plain.Replace(m[4]), ok
}

// cpuQuota is the processor time that the process may use, in processors; 0: no limit.
func cpuQuota(root string) (least float64) {
	for _, dir := range groups(root, "cpu") {
		q := ratio(strings.Fields(text(root, path.Join(dir, "cpu.max")))) // "max 100000", "150000 100000"
		if q == 0 {
			q = ratio([]string{text(root, path.Join(dir, "cpu.cfs_quota_us")), text(root, path.Join(dir, "cpu.cfs_period_us"))})
		}
		if q > 0 && (least == 0 || q < least) {
			least = q
		}
	}
	return least
}

// ratio is quota over period. It is 0 without a quota: "max" in version 2, −1 in version 1.
func ratio(s []string) float64 {
	if len(s) != 2 {
		return 0
	}
	quota, err1 := strconv.ParseFloat(s[0], 64)
	period, err2 := strconv.ParseFloat(s[1], 64)
	if err1 != nil || err2 != nil || quota <= 0 || period <= 0 {
		return 0
	}
	return quota / period
}

// unlimited is the least memory limit that means no limit. Version 1 has no word for it: it states
// the largest number of whole pages.
const unlimited = 1 << 62

// memoryMax is the memory limit of the process's groups, in bytes; 0: no limit.
func memoryMax(root string) (least int64) {
	for _, dir := range groups(root, "memory") {
		for _, name := range []string{"memory.max", "memory.limit_in_bytes"} {
			n, err := strconv.ParseInt(text(root, path.Join(dir, name)), 10, 64)
			if err == nil && n < unlimited && (least == 0 || n < least) {
				least = n
			}
		}
	}
	return least
}

// throttled is the number of periods that a quota cut short for the process's groups since they
// were made, and the sum of the time lost on all processors, in s.
func throttled(root string) (times int64, seconds float64) {
	for _, dir := range groups(root, "cpu") {
		for line := range strings.SplitSeq(text(root, path.Join(dir, "cpu.stat")), "\n") {
			name, value, _ := strings.Cut(line, " ")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "nr_throttled":
				times += n
			case "throttled_usec": // version 2
				seconds += float64(n) / 1e6
			case "throttled_time": // version 1
				seconds += float64(n) / 1e9
			}
		}
	}
	return times, seconds
}

// Throttling describes the effect of a CPU quota on a run that kept the given number of threads
// busy; u is the usage during the run. It returns "" if a quota had no effect.
func Throttling(u Usage, threads int) string { return throttling(cpuQuota("/"), u, threads) }

func throttling(quota float64, u Usage, threads int) string {
	switch {
	case u.Throttles > 0 && quota > 0:
		return fmt.Sprintf("a cgroup's CPU quota of %.2f processors stopped the process %d times, for %.2f s in all", quota, u.Throttles, u.Throttled)
	case u.Throttles > 0:
		return fmt.Sprintf("a cgroup's CPU quota stopped the process %d times, for %.2f s in all", u.Throttles, u.Throttled)
	case quota > 0 && quota < float64(threads):
		return fmt.Sprintf("a cgroup's CPU quota of %.2f processors is less than the %d threads that are kept busy", quota, threads)
	}
	return ""
}
