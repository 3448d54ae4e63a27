package host

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// proc is a process or a thread of a machine, and what it uses in each second.
type proc struct {
	id      int
	name    string
	cpu     int     // the processor that it says it was on
	uses    float64 // s per second
	threads int     // 0: 1
	from    int     // the second in which it starts
	until   int     // the second from which it uses nothing; 0: never
	hidden  bool    // its stat file may not be read
}

func (p proc) used(second int) float64 {
	to := second
	if p.until > 0 {
		to = min(to, p.until)
	}
	return p.uses * float64(max(0, to-p.from))
}

// machine is a made-up /proc and /sys, and a clock that steps from second to second.
type machine struct {
	busy, irq, steal []float64 // s per second, by processor; busy ends at until
	until            int       // 0: never
	procs            []proc
	self             proc
	threads          []proc // of self
	quota            string // of the process's group, as in cpu.max
	throttles        int    // periods per second
	files            map[string]string
	second           int
}

// at is the time that a rate has summed up to.
func (m *machine) at(rates []float64, cpu int) int {
	if cpu >= len(rates) {
		return 0
	}
	return int(math.Round(userHz * proc{uses: rates[cpu], until: m.until}.used(m.second)))
}

func statLine(p proc, second int) string {
	ticks := int(math.Round(userHz * p.used(second))) // a third of it in the kernel
	return fmt.Sprintf("%d (%s) S 1 1 1 0 -1 4194304 99 0 0 0 %d %d 0 0 20 0 %d 0 %d 1 1%s 17 %d 0 0 0",
		p.id, p.name, ticks-ticks/3, ticks/3, max(1, p.threads), 1000+p.from, strings.Repeat(" 0", 13), p.cpu)
}

func (m *machine) system(t *testing.T) system {
	root := t.TempDir()
	draw := func() {
		stat := "cpu  1 1 1 1 1 1 1 1 0 0\n"
		for id := range m.busy {
			busy, irq, steal := m.at(m.busy, id), m.at(m.irq, id), m.at(m.steal, id)
			stat += fmt.Sprintf("cpu%d %d 0 0 %d 0 0 %d %d 0 0\n", id, 100+busy, 5000+userHz*m.second-busy-irq-steal, irq, steal)
		}
		write(t, root, "proc/stat", stat+"intr 5 0 0\nctxt 9")
		write(t, root, "proc/loadavg", "0.63 0.39 1.18 2/96 23440")
		write(t, root, "proc/self/stat", statLine(m.self, m.second))
		for _, p := range append([]proc{m.self}, m.procs...) {
			if p.hidden || m.second < p.from {
				write(t, root, fmt.Sprintf("proc/%d/comm", p.id), p.name)
				continue
			}
			write(t, root, fmt.Sprintf("proc/%d/stat", p.id), statLine(p, m.second))
		}
		for _, p := range m.threads {
			write(t, root, fmt.Sprintf("proc/self/task/%d/stat", p.id), statLine(p, m.second))
		}
		if m.quota != "" {
			write(t, root, "proc/self/cgroup", "0::/a")
			write(t, root, "proc/self/mountinfo", v2Mount)
			write(t, root, "sys/fs/cgroup/a/cpu.max", m.quota)
			write(t, root, "sys/fs/cgroup/a/cpu.stat", fmt.Sprintf("nr_throttled %d\nthrottled_usec %d", m.throttles*m.second, 50000*m.throttles*m.second))
		}
		for name, text := range m.files {
			write(t, root, name, text)
		}
	}
	draw()
	return system{
		root: root, os: "linux",
		allowed: func() []int { return first(len(m.busy)) },
		now:     func() time.Time { return time.Unix(1000+int64(m.second), 0) },
		after: func(d time.Duration) <-chan time.Time {
			m.second += int(d / time.Second)
			draw()
			c := make(chan time.Time, 1)
			c <- time.Time{}
			return c
		},
	}
}

// idle are n processors with nothing to do.
func idle(n int) []float64 { return make([]float64, n) }

// One second tells whether others take what the run needs, how much, and who they are.
func TestQuietOnce(t *testing.T) {
	self := proc{id: 77, name: "leasestorm"}
	own := func(uses float64, cpu int) (proc, proc) {
		return proc{id: 77, name: "leasestorm", uses: uses}, proc{id: 78, name: "leasestorm", uses: uses, cpu: cpu}
	}
	busySelf, busyThread := own(1, 1)
	chrome := proc{id: 1234, name: "chrome", cpu: 1, uses: 0.9}
	tests := []struct {
		name   string
		m      machine
		need   Need
		other  float64
		steal  float64
		by     string
		reason string // a part of it; "": quiet
		mend   string
	}{
		{"idle", machine{busy: idle(2)}, Need{}, 0, 0, "", "", ""},
		{"background", machine{busy: []float64{0.02, 0.05}, procs: []proc{{id: 5, name: "init", uses: 0.06}}}, Need{N: 2}, 0.07, 0, "init", "", ""},
		{
			"a process on a processor that is needed", machine{busy: []float64{0, 0.95}, procs: []proc{chrome, {id: 9, name: "b", cpu: 1, uses: 0.05}}},
			Need{CPUs: []int{1, 0}}, 0.95, 0, "'chrome' (pid 1234)",
			"0.95 of the 2 processors that the run needs were taken in the last 1.0 s, 0.90 by 'chrome' (pid 1234); of processor 1 others took 0.95, more than 0.10", "stop it",
		},
		{"a process beside the pinned set", machine{busy: []float64{0, 0.9, 0}, procs: []proc{chrome}}, Need{CPUs: []int{0, 2}}, 0, 0, "", "", ""},
		{"a process, and room for it", machine{busy: []float64{0, 0.9, 0}, procs: []proc{chrome}}, Need{N: 2}, 0, 0, "", "", ""},
		{"a process, and one processor too few", machine{busy: []float64{0, 0.9, 0}, procs: []proc{chrome}}, Need{N: 3}, 0.9, 0, "chrome", "of the 3 processors", "stop it"},
		{
			"one processor", machine{busy: []float64{0.9}, procs: []proc{{id: 6, name: "x", uses: 0.9}}}, Need{N: 1}, 0.9, 0, "'x' (pid 6)", "of the processor that the run needs", "stop it",
		},
		{
			"a process that goes round", machine{busy: []float64{0.09, 0.09, 0.09, 0.09}, procs: []proc{{id: 6, name: "x", uses: 0.36}}},
			Need{CPUs: []int{0, 1, 2, 3}}, 0.36, 0, "'x' (pid 6)", "the run leaves no processor free for it", "stop it",
		},
		{
			"a process that goes round, and room for it", machine{busy: []float64{0.09, 0.09, 0.09, 0.09}, procs: []proc{{id: 6, name: "x", uses: 0.36}}},
			Need{CPUs: []int{0, 1, 2}}, 0.27, 0, "'x' (pid 6)", "", "",
		},
		{
			"many threads elsewhere count", machine{busy: []float64{0, 0.5, 0}, procs: []proc{{id: 6, name: "java", cpu: 2, uses: 0.5, threads: 9}}},
			Need{CPUs: []int{0, 1}}, 0.5, 0, "'java' (pid 6)", "java", "stop it",
		},
		{"this process itself", machine{busy: []float64{0.02, 1}, self: busySelf, threads: []proc{busyThread}}, Need{}, 0.02, 0, byHidden, "", ""},
		{"this process's ended threads", machine{busy: []float64{0.02, 1}, self: busySelf}, Need{}, 0.02, 0, byHidden, "", ""},
		{"this process's thread that moved", machine{busy: []float64{0.5, 0.5}, self: busySelf, threads: []proc{busyThread}}, Need{}, 0, 0, "", "", ""},
		{"this process elsewhere", machine{busy: []float64{0.5, 1}, self: busySelf, threads: []proc{busyThread}}, Need{CPUs: []int{0}}, 0.5, 0, byHidden, byHidden, "top shows it"},
		{
			"this process and another", machine{busy: []float64{0.5, 1}, self: busySelf, threads: []proc{busyThread}, procs: []proc{{id: 6, name: "x", uses: 0.5}}},
			Need{}, 0.5, 0, "'x' (pid 6)", "0.50 by 'x'", "stop it",
		},
		{"hidden", machine{busy: []float64{0.9, 0}, procs: []proc{{id: 6, name: "x", uses: 0.9, hidden: true}, {id: 7, name: "y", uses: 0.02}}}, Need{}, 0.9, 0, byHidden, byHidden, "top shows it"},
		{"interrupts", machine{busy: idle(2), irq: []float64{0.4, 0}}, Need{}, 0.4, 0, byInterrupts, byInterrupts, "top shows it"},
		{"steal", machine{busy: []float64{0.05, 0}, steal: []float64{0.1, 0.2}}, Need{}, 0.05, 0.3, byGuests, "others took 0.20", "dedicated host"},
		{"steal of a processor that is not needed", machine{busy: idle(2), steal: []float64{0, 0.2}}, Need{CPUs: []int{0}}, 0, 0, "", "", ""},
		{"a quota", machine{busy: idle(2), quota: "150000 100000"}, Need{N: 2}, 0, 0, "", "1.50 processors is less than the 2 threads", "cpu.max"},
		{"a quota that is large enough", machine{busy: idle(2), quota: "150000 100000"}, Need{N: 1}, 0, 0, "", "", ""},
		{"a quota that is used up", machine{busy: idle(2), quota: "900000 100000", throttles: 4}, Need{N: 2}, 0, 0, "", "stopped the process 4 times, for 0.20 s", "cpu.max"},
		{
			"a name that would break a line", machine{busy: []float64{0.9}, procs: []proc{{id: 6, name: "a) \x1b[2J(b", uses: 0.9}}},
			Need{}, 0.9, 0, "'a) ?[2J(b' (pid 6)", "'a) ?[2J(b'", "stop it",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.m.self.id == 0 {
				tt.m.self = self
			}
			r, err := tt.m.system(t).wait(t.Context(), WaitOptions{Need: tt.need, Once: true})
			if err != nil || !r.Judged || r.Unknown != "" || r.Waited != 1 || r.Load1 != 0.63 {
				t.Fatalf("%+v, %v", r, err)
			}
			if math.Abs(r.Others-tt.other) > 1e-9 || math.Abs(r.Steal-tt.steal) > 1e-9 {
				t.Errorf("others %g, steal %g; want %g and %g", r.Others, r.Steal, tt.other, tt.steal)
			}
			if (r.By == "") != (tt.by == "") || !strings.Contains(r.By, tt.by) {
				t.Errorf("by %q, want %q", r.By, tt.by)
			}
			if r.Quiet != (tt.reason == "") || (r.Reason == "") != r.Quiet || !strings.Contains(r.Reason, tt.reason) || !strings.Contains(r.Mend, tt.mend) {
				t.Errorf("quiet %v, %q, %q; want %q, %q", r.Quiet, r.Reason, r.Mend, tt.reason, tt.mend)
			}
			if s := r.String(); r.Quiet != (s == "") || !strings.HasSuffix(s, r.Mend) {
				t.Errorf("%q", s)
			}
		})
	}
}

// This process's time is taken off the processor that its thread used, and off no other.
func TestQuietOwnProcessor(t *testing.T) {
	m := machine{
		busy: []float64{0.5, 0.4}, self: proc{id: 77, name: "x", uses: 0.3},
		threads: []proc{{id: 78, name: "x", cpu: 1, uses: 0.3}},
	}
	r, err := m.system(t).wait(t.Context(), WaitOptions{Once: true})
	if err != nil || r.MostCPU != 0 || math.Abs(r.Most-0.5) > 1e-9 || math.Abs(r.Others-0.6) > 1e-9 {
		t.Errorf("%+v, %v; want 0.5 of processor 0 and 0.1 of processor 1", r, err)
	}
}

// A process with the number of one that ended is another process: all of its time is new.
func TestQuietReusedPID(t *testing.T) {
	m := machine{busy: []float64{0.9}, self: proc{id: 77, name: "x"}, second: 5, procs: []proc{{id: 6, name: "old", uses: 0.9}}}
	s := m.system(t)
	after := s.after
	s.after = func(d time.Duration) <-chan time.Time {
		m.procs = []proc{{id: 6, name: "new", uses: 0.9, from: 5}}
		return after(d)
	}
	r, err := s.wait(t.Context(), WaitOptions{Once: true})
	if err != nil || r.By != "'new' (pid 6)" || math.Abs(r.ByCPU-0.9) > 1e-9 {
		t.Errorf("%+v, %v", r, err)
	}
}

// Without a pinned set the quietest processors are judged.
func TestQuietest(t *testing.T) {
	m := machine{busy: []float64{0.9, 0.01, 0.9, 0.02, 0}, self: proc{id: 77, name: "x"}}
	r, err := m.system(t).wait(t.Context(), WaitOptions{Need: Need{N: 3}})
	if err != nil || !r.Quiet || !slices.Equal(r.CPUs, []int{1, 3, 4}) || r.MostCPU != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

// The wait ends when the host is quiet, or at its bound; it tells of each second before.
func TestWaitForQuiet(t *testing.T) {
	busy := func(until int) machine {
		return machine{
			busy: []float64{0, 0.9}, until: until, self: proc{id: 77, name: "leasestorm"},
			procs: []proc{{id: 1234, name: "chrome", cpu: 1, uses: 0.9, until: until}},
		}
	}
	quota, throttled := busy(0), busy(0)
	quota.quota = "50000 100000"
	throttled.quota, throttled.throttles = "900000 100000", 2
	for _, tt := range []struct {
		name   string
		m      machine
		o      WaitOptions
		waited float64
		asked  int // reports of progress
		quiet  bool
	}{
		{"quiet at once", machine{busy: idle(2), self: proc{id: 77, name: "x"}}, WaitOptions{}, 1, 0, true},
		{"quiet later", busy(4), WaitOptions{}, 5, 4, true},
		{"never", busy(0), WaitOptions{}, 30, 29, false},
		{"never, another bound", busy(0), WaitOptions{Most: 7 * time.Second}, 7, 6, false},
		{"a bound below a second", busy(0), WaitOptions{Most: time.Millisecond}, 1, 0, false},
		{"once", busy(4), WaitOptions{Once: true}, 1, 0, false},
		{"a quota stays", quota, WaitOptions{}, 1, 0, false},
		{"a quota's use may end", throttled, WaitOptions{}, 30, 29, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked := 0
			most := tt.o.Most
			if most == 0 {
				most = waitMost
			}
			tt.o.Progress = func(d Disturbance, left time.Duration) {
				asked++
				if d.Reason == "" || left != most-time.Duration(asked)*time.Second {
					t.Errorf("report %d: %+v, %v left", asked, d, left)
				}
			}
			r, err := tt.m.system(t).wait(t.Context(), tt.o)
			if err != nil || r.Waited != tt.waited || asked != tt.asked || r.Quiet != tt.quiet || !r.Judged {
				t.Errorf("%+v, %v, %d reports", r, err, asked)
			}
			if waited := strings.Contains(r.String(), fmt.Sprintf("did not become quiet in %.0f s", tt.waited)); waited != (tt.waited > 1 && !tt.quiet) {
				t.Errorf("%q", r.String())
			}
		})
	}
}

func TestWaitForQuietCancelled(t *testing.T) {
	m := machine{busy: idle(2), self: proc{id: 77, name: "x"}}
	s := m.system(t)
	s.after = func(time.Duration) <-chan time.Time { return nil }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := s.wait(ctx, WaitOptions{}); !errors.Is(err, context.Canceled) || r.Quiet {
		t.Errorf("%+v, %v", r, err)
	}
}

// What the kernel does not tell, or tells wrongly, is unknown: no wait, no verdict, no panic.
func TestQuietUnknown(t *testing.T) {
	self := proc{id: 77, name: "x"}
	good := machine{busy: idle(2), self: self}
	with := func(name, text string) machine {
		return machine{busy: idle(2), self: self, files: map[string]string{name: text}}
	}
	for _, tt := range []struct {
		name string
		m    machine
		need Need
		os   string
		want string
	}{
		{"another system", good, Need{}, "plan9", "this is plan9"},
		{"no /proc/stat", with("proc/stat", ""), Need{}, "linux", "/proc/stat tells no"},
		{"nonsense in /proc/stat", with("proc/stat", "cpu0 a b c d e f g h\ncpu1 1 2\ncpux 1 1 1 1 1 1 1 1\n\x00"), Need{}, "linux", "/proc/stat tells no"},
		{"zeros in /proc/stat", with("proc/stat", "cpu0 0 0 0 0 0 0 0 0 0 0\ncpu1 0 0 0 0 0 0 0 0 0 0"), Need{}, "linux", "counts no time on processor 0"},
		{"a processor that is missing", good, Need{CPUs: []int{0, 5}}, "linux", "does not list processor 5"},
		{"nonsense of this process", with("proc/self/stat", "77 (x S"), Need{}, "linux", "/proc/self/stat does not"},
		{"half a line of this process", with("proc/self/stat", "77 (x) S 1 1 1"), Need{}, "linux", "/proc/self/stat does not"},
		{"letters of this process", with("proc/self/stat", strings.Replace(statLine(self, 0), "S 1 1 1 0 -1 4194304 99 0 0 0 0", "S 1 1 1 0 -1 4194304 99 0 0 0 q", 1)), Need{}, "linux", "/proc/self/stat does not"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := tt.m.system(t)
			s.os = tt.os
			r, err := s.wait(t.Context(), WaitOptions{Need: tt.need, Progress: func(d Disturbance, _ time.Duration) { t.Errorf("waits: %+v", d) }})
			if err != nil || r.Judged || r.Quiet || r.Waited > 1 || !strings.Contains(r.Unknown, tt.want) || !strings.Contains(r.String(), tt.want) {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
	s := good.system(t)
	if d := s.load().Since(s.load(), Need{}); !strings.Contains(d.Unknown, "no time passed") {
		t.Errorf("%+v", d)
	}
}

// Nonsense about other processes, quota and frequency leaves these unknown, and the host judged.
func TestQuietNonsense(t *testing.T) {
	m := machine{busy: []float64{0.5, 0}, self: proc{id: 77, name: "x"}, files: map[string]string{
		"proc/5/stat": "5", "proc/6/stat": ") (", "proc/7/stat": "", "proc/loadavg": "0.63", "proc/pressure/cpu": "some total=x",
		"proc/self/cgroup": "0::/a", "proc/self/mountinfo": v2Mount, "sys/fs/cgroup/a/cpu.max": "x y", "sys/fs/cgroup/a/cpu.stat": "nr_throttled many",
		"sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "fast", "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "",
	}}
	r, err := m.system(t).wait(t.Context(), WaitOptions{Once: true})
	if err != nil || !r.Judged || r.Quiet || r.By != byHidden || r.Quota != 0 || r.Throttles != 0 || r.MHz != 0 || r.MaxMHz != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestQuietFrequency(t *testing.T) {
	m := machine{busy: idle(3), self: proc{id: 77, name: "x"}, files: map[string]string{}}
	for id, khz := range []string{"1800000", "2400000", "800000"} {
		dir := fmt.Sprintf("sys/devices/system/cpu/cpu%d/cpufreq/", id)
		m.files[dir+"scaling_cur_freq"], m.files[dir+"cpuinfo_max_freq"] = khz, "3500000"
	}
	r, err := m.system(t).wait(t.Context(), WaitOptions{Need: Placement{Workers: []int{0}, Generator: 1}.Need()})
	if err != nil || !r.Quiet || r.MHz != 1800 || r.MaxMHz != 3500 || !slices.Equal(r.CPUs, []int{0, 1}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// A reading of the host that the test runs on has this process's own time, and does not list this
// process among the others.
func TestReadLoad(t *testing.T) {
	l := ReadLoad()
	if l.unknown != "" {
		t.Skip(l.unknown)
	}
	if len(l.allowed) == 0 || l.self.id != os.Getpid() || len(l.threads) == 0 || l.threads[l.self.taskID].name != l.self.name {
		t.Errorf("%+v", l)
	}
	if _, ok := l.others[l.self.taskID]; ok {
		t.Error("this process is one of the others")
	}
	if name, err := os.ReadFile(filepath.FromSlash("/proc/self/comm")); err != nil || strings.TrimSpace(string(name)) != l.self.name {
		t.Errorf("%q is called %q, %v", name, l.self.name, err)
	}
}
