package host

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Load is a reading of the kernel's counts of CPU time: by processor, by process, and of this
// process's own threads. [Load.Since] compares two readings.
type Load struct {
	at      time.Time
	unknown string // why there are no counts; empty: there are
	allowed []int  // processors that this process may run on
	cpus    map[int]cpuTime
	self    task            // this process, its ended threads included
	threads map[taskID]task // of this process
	others  map[taskID]task // processes that may be read
	usage   Usage
	quota   float64
	load1   float64
}

// cpuTime is what one processor did since boot, in s.
type cpuTime struct{ busy, interrupts, steal, all float64 }

// taskID names a task: the kernel uses an ID again once its task has ended.
type taskID struct{ id, start int }

// task is a process or a thread.
type task struct {
	taskID
	name    string
	cpu     int // the processor that it ran on last; of a process, its first thread's
	threads int
	used    float64 // CPU time since its start, in s
}

// system is where the readings come from.
type system struct {
	root    string
	os      string
	allowed func() []int
	now     func() time.Time
	after   func(time.Duration) <-chan time.Time
}

var here = system{root: "/", os: runtime.GOOS, allowed: allowed, now: time.Now, after: time.After}

// ReadLoad takes a reading. It must not be called from a pinned goroutine, because it reads the
// affinity mask of the calling thread.
func ReadLoad() Load { return here.load() }

func (s system) load() Load {
	l := Load{at: s.now(), allowed: s.allowed(), cpus: map[int]cpuTime{}, threads: map[taskID]task{}, others: map[taskID]task{}}
	if s.os != "linux" {
		l.unknown = "this is " + s.os + ": CPU time by processor is read on Linux only"
		return l
	}
	for line := range strings.SplitSeq(text(s.root, "proc/stat"), "\n") {
		if id, t, ok := parseCPU(line); ok {
			l.cpus[id] = t
		}
	}
	if len(l.cpus) == 0 {
		l.unknown = "/proc/stat tells no CPU time by processor"
		return l
	}
	var ok bool
	if l.self, ok = parseTask(text(s.root, "proc/self/stat")); !ok {
		l.unknown = "/proc/self/stat does not tell this process's CPU time"
		return l
	}
	l.threads = s.tasks("proc/self/task")
	l.others = s.tasks("proc")
	delete(l.others, l.self.taskID)
	l.usage, l.quota = readUsage(s.root), cpuQuota(s.root)
	first, _, _ := strings.Cut(text(s.root, "proc/loadavg"), " ")
	l.load1, _ = strconv.ParseFloat(first, 64)
	return l
}

// tasks reads the tasks below a directory of /proc. A task that may not be read, or that ended
// meanwhile, is left out.
func (s system) tasks(dir string) map[taskID]task {
	all := map[taskID]task{}
	files, _ := filepath.Glob(filepath.Join(s.root, dir, "[0-9]*", "stat"))
	for _, f := range files {
		if t, ok := parseTask(text(filepath.Dir(f), "stat")); ok {
			all[t.taskID] = t
		}
	}
	return all
}

// parseCPU parses the line of one processor in /proc/stat (proc_stat(5)).
func parseCPU(line string) (id int, t cpuTime, ok bool) {
	f := strings.Fields(line)
	if len(f) < 9 || !strings.HasPrefix(f[0], "cpu") {
		return 0, t, false
	}
	id, err := strconv.Atoi(f[0][len("cpu"):])
	if err != nil { // the sum of all processors has no number
		return 0, t, false
	}
	var s [8]float64 // user, nice, system, idle, iowait, irq, softirq, steal; user includes guests
	for i := range s {
		ticks, err := strconv.ParseUint(f[1+i], 10, 64)
		if err != nil {
			return 0, t, false
		}
		s[i] = float64(ticks) / userHz
		t.all += s[i]
	}
	t.busy, t.interrupts, t.steal = s[0]+s[1]+s[2]+s[5]+s[6], s[5]+s[6], s[7]
	return id, t, true
}

// userHz is the number of ticks per second in which /proc counts CPU time.
const userHz = 100

// parseTask parses a stat file of a process or a thread (proc_pid_stat(5)). The name stands in
// parentheses and may contain any character, parentheses too.
func parseTask(stat string) (t task, ok bool) {
	open, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return t, false
	}
	f := strings.Fields(stat[end+1:])
	if len(f) < 37 {
		return t, false
	}
	var bad error
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		bad = cmp.Or(bad, err)
		return n
	}
	// f[0] is the state, field 3 of the manual page.
	t.id, t.start, t.cpu, t.threads = number(strings.TrimSpace(stat[:open])), number(f[19]), number(f[36]), number(f[17])
	t.used = float64(number(f[11])+number(f[12])) / userHz
	// A name goes to the terminal: control characters do not.
	t.name = strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '?'
		}
		return r
	}, stat[open+1:end])
	return t, bad == nil
}

// since is the CPU time that each task used after an earlier reading, in s. A task that is not in
// the earlier reading is new, and all of its time counts.
func since(now, earlier map[taskID]task) map[taskID]float64 {
	used := map[taskID]float64{}
	for id, t := range now {
		used[id] = max(0, t.used-earlier[id].used)
	}
	return used
}

// loss is what others took of one processor, in processors.
type loss struct {
	cpu                      int
	other, interrupts, steal float64
}

func (x loss) all() float64 { return x.other + x.steal }

// losses returns what others took of the given processors between two readings that are span
// seconds apart.
func (l Load) losses(earlier Load, cpus []int, span float64) (all []loss, err error) {
	// own is this process's time by processor, as far as its threads tell; rest is the other part.
	own, rest := map[int]float64{}, max(0, l.self.used-earlier.self.used)
	for id, used := range since(l.threads, earlier.threads) {
		own[l.threads[id].cpu] += used
	}
	for id, used := range own {
		if !slices.Contains(cpus, id) {
			rest -= used
		}
	}
	for _, id := range cpus {
		a, ok1 := earlier.cpus[id]
		b, ok2 := l.cpus[id]
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("/proc/stat does not list processor %d", id)
		}
		if b.all <= a.all {
			return nil, fmt.Errorf("/proc/stat counts no time on processor %d", id)
		}
		busy := max(0, b.busy-a.busy)
		mine := min(busy, own[id])
		rest -= mine
		all = append(all, loss{
			cpu: id, other: (busy - mine) / span,
			interrupts: max(0, b.interrupts-a.interrupts) / span, steal: max(0, b.steal-a.steal) / span,
		})
	}
	// No processor is known for threads that have ended or moved. Their time counts where most of
	// the time is left to explain. So the sum over the processors is right, and no other process is
	// blamed for this one.
	slices.SortStableFunc(all, func(a, b loss) int { return cmp.Compare(b.other, a.other) })
	for i := range all {
		mine := min(all[i].other, max(0, rest)/span)
		all[i].other -= mine
		rest -= mine * span
	}
	return all, nil
}
