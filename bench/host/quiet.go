package host

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

// NoisyShare is the share of a processor that others may take from a run before the run is noisy.
// It bounds the drift of capacity after a run as well: time that goes to others is capacity that
// the run lacks.
const NoisyShare = 0.10

const (
	// watchFor is the length of one observation. The kernel counts CPU time in ticks of 10 ms: over
	// a second the error of a share is 1 %.
	watchFor = time.Second
	// waitMost is the default bound of a wait. A build's last step or a page that loads ends within
	// seconds. What still runs after 30 s is a service or a job of minutes, and a suite that waits
	// for it before every run does not end.
	waitMost = 30 * time.Second
)

// Need is what a run needs of the host's processors.
type Need struct {
	CPUs []int // processor IDs that the run will be pinned to; nil: not known
	N    int   // number of processors, if CPUs is nil; 0: all that are allowed
}

// Need returns the processors that the placement uses.
func (p Placement) Need() Need {
	return Need{CPUs: append([]int{p.Generator}, p.Workers...)}
}

// Disturbance describes what others took of the processors that a run needs. Others are all
// processes but this one, the kernel's threads and interrupts, and other guests of a hypervisor.
// Shares are averages over the observation, in processors: 0.5 is half of one processor's time.
type Disturbance struct {
	Watched float64 `json:"watched_s"`
	CPUs    []int   `json:"cpus"`           // processors judged; without a pinned set, the quietest ones
	Others  float64 `json:"other_cpu"`      // taken by others on this system, of all CPUs
	Steal   float64 `json:"steal"`          // taken by the hypervisor, of all CPUs
	Most    float64 `json:"other_cpu_most"` // the largest share taken from one of CPUs, steal included
	MostCPU int     `json:"other_cpu_most_cpu"`
	// By names who took the most: a process, or a kind of others if no process may be named.
	By      string  `json:"by,omitempty"`
	PID     int     `json:"by_pid,omitempty"` // 0: no process
	ByCPU   float64 `json:"by_cpu"`
	Reason  string  `json:"reason,omitempty"`  // why the host is not quiet; empty: it is, or Unknown is set
	Mend    string  `json:"mend,omitempty"`    // what to do about Reason
	Lasts   bool    `json:"lasts,omitempty"`   // waiting does not help
	Unknown string  `json:"unknown,omitempty"` // why the host cannot be judged; empty: it can

	// The rest explains, and is not judged, except for Quota and Throttles.
	Load1     float64 `json:"load_1min"`
	Waiting   float64 `json:"cpu_waiting"`            // share of time in which some task of the host waited for a processor
	MHz       float64 `json:"freq_mhz,omitempty"`     // the lowest of CPUs; idle processors are slow
	MaxMHz    float64 `json:"freq_max_mhz,omitempty"` // the highest that any of CPUs can have
	Quota     float64 `json:"cgroup_quota_cpus"`
	Throttles int64   `json:"throttled_periods"`
	Throttled float64 `json:"throttled_s"`
}

// Since returns what others took of the needed processors since an earlier reading.
func (l Load) Since(earlier Load, need Need) Disturbance {
	span := l.at.Sub(earlier.at).Seconds()
	d := Disturbance{Watched: span, Load1: l.load1, Quota: l.quota, Unknown: cmp.Or(earlier.unknown, l.unknown)}
	if d.Unknown != "" {
		return d
	}
	if span <= 0 {
		d.Unknown = "no time passed between two readings"
		return d
	}
	u := l.usage.Sub(earlier.usage)
	d.Waiting, d.Throttles, d.Throttled = max(0, u.Waiting)/span, max(0, u.Throttles), max(0, u.Throttled)
	cpus := slices.Clone(need.CPUs)
	if len(cpus) == 0 {
		cpus = slices.Clone(l.allowed)
	}
	slices.Sort(cpus)
	all, err := l.losses(earlier, slices.Compact(cpus), span)
	if err != nil {
		d.Unknown = err.Error()
		return d
	}
	slices.SortStableFunc(all, func(a, b loss) int { return cmp.Compare(a.all(), b.all()) })
	if len(need.CPUs) == 0 && need.N > 0 {
		all = all[:min(need.N, len(all))]
	}
	interrupts := 0.0
	for _, x := range all {
		d.CPUs = append(d.CPUs, x.cpu)
		d.Others += x.other
		d.Steal += x.steal
		interrupts += x.interrupts
		d.Most, d.MostCPU = x.all(), x.cpu // the last is the largest
	}
	slices.Sort(d.CPUs)
	d.name(l, earlier, min(interrupts, d.Others), span)
	d.judge(len(l.cpus)-len(d.CPUs), Usage{Throttles: d.Throttles, Throttled: d.Throttled})
	return d
}

// Kinds of others that have no process to name.
const (
	byGuests     = "another guest of the hypervisor (steal)"
	byInterrupts = "the kernel's interrupts"
	byHidden     = "processes that may not be read or ended meanwhile"
)

// name finds who took the most.
func (d *Disturbance) name(l, earlier Load, interrupts, span float64) {
	hidden := d.Others - interrupts
	take := func(by string, pid int, share float64) {
		if share > d.ByCPU || share == d.ByCPU && 0 < pid && pid < d.PID {
			d.By, d.PID, d.ByCPU = by, pid, share
		}
	}
	for id, used := range since(l.others, earlier.others) {
		t := l.others[id]
		// The kernel tells one processor per process, that of its first thread. So a process with
		// more threads may have used any.
		if t.threads < 2 && !slices.Contains(d.CPUs, t.cpu) {
			continue
		}
		hidden -= used / span
		take(fmt.Sprintf("'%s' (pid %d)", t.name, t.id), t.id, used/span)
	}
	take(byHidden, 0, hidden)
	take(byInterrupts, 0, interrupts)
	take(byGuests, 0, d.Steal)
}

// judge sets Reason. spare is the number of processors that the run leaves alone.
func (d *Disturbance) judge(spare int, u Usage) {
	mend := "stop it, or measure with --no-wait"
	switch {
	case d.PID != 0:
	case d.By == byGuests:
		mend = "move to a dedicated host, or measure with --no-wait"
	default:
		mend = "stop what else runs on this host (top shows it there), or measure with --no-wait"
	}
	took := fmt.Sprintf("%.2f by %s", d.ByCPU, d.By)
	needs := fmt.Sprintf("the %d processors", len(d.CPUs))
	if len(d.CPUs) == 1 {
		needs = "the processor"
	}
	switch quota := throttling(d.Quota, u, len(d.CPUs)); {
	case quota != "":
		d.Reason, d.Mend, d.Lasts = quota, liftQuota, d.Throttles == 0
	case d.Most > NoisyShare:
		d.Reason = fmt.Sprintf("%.2f of %s that the run needs were taken in the last %.1f s, %s; of processor %d others took %.2f, more than %.2f",
			d.Others+d.Steal, needs, d.Watched, took, d.MostCPU, d.Most, NoisyShare)
		d.Mend = mend
	case spare <= 0 && d.PID != 0 && d.ByCPU > NoisyShare:
		// The process went from processor to processor, so each lost little. In the run none is
		// free, and the process will take its time from one.
		d.Reason = fmt.Sprintf("%.2f processors were taken in the last %.1f s, %s, and the run leaves no processor free for it", d.Others+d.Steal, d.Watched, took)
		d.Mend = mend
	}
}

// WaitOptions are the options of [WaitForQuiet].
type WaitOptions struct {
	Need Need
	Most time.Duration // bound of the wait; 0: 30 s
	Once bool          // judge once, and do not wait
	// Progress is called after every observation that has to be followed by another one. left is
	// the time until the wait ends.
	Progress func(d Disturbance, left time.Duration)
}

// QuietReport says whether the host was quiet before a run. Its disturbance is the last one seen.
type QuietReport struct {
	Waited float64 `json:"waited_s"` // the observation included, so 1 s on a quiet host
	Quiet  bool    `json:"quiet"`
	Judged bool    `json:"judged"` // false: Unknown says why nothing is known
	Disturbance
}

// String returns the reason and the mend in one sentence; "" if the host was quiet.
func (r QuietReport) String() string {
	switch {
	case r.Quiet:
		return ""
	case !r.Judged:
		return "whether the host is quiet cannot be judged: " + r.Unknown
	case r.Waited > r.Watched:
		return fmt.Sprintf("the host did not become quiet in %.0f s: %s; %s", r.Waited, r.Reason, r.Mend)
	}
	return fmt.Sprintf("the host is not quiet: %s; %s", r.Reason, r.Mend)
}

// WaitForQuiet watches the host for a second, and again each second until others take at most
// [NoisyShare] of every processor that the run needs, or until the wait is over. It does not wait
// if the host cannot be judged or if waiting does not help. A host that is not quiet is no error.
// The error is the context's.
func WaitForQuiet(ctx context.Context, o WaitOptions) (QuietReport, error) { return here.wait(ctx, o) }

func (s system) wait(ctx context.Context, o WaitOptions) (QuietReport, error) {
	most := cmp.Or(o.Most, waitMost)
	start := s.load()
	r := QuietReport{Disturbance: Disturbance{Unknown: start.unknown}}
	for last := start; r.Unknown == ""; {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-s.after(watchFor):
		}
		now := s.load()
		r.Disturbance = now.Since(last, o.Need)
		last = now
		waited := now.at.Sub(start.at)
		r.Waited, r.Judged = waited.Seconds(), r.Unknown == ""
		r.Quiet = r.Judged && r.Reason == ""
		if !r.Judged || r.Quiet || r.Lasts || o.Once || waited+watchFor > most {
			break
		}
		if o.Progress != nil {
			o.Progress(r.Disturbance, most-waited)
		}
	}
	r.MHz, r.MaxMHz = s.frequency(r.CPUs)
	return r, nil
}

// frequency returns the lowest present and the highest possible clock rate of the processors, in
// MHz; 0: not told.
func (s system) frequency(cpus []int) (lowest, highest float64) {
	for _, id := range cpus {
		dir := filepath.Join(s.root, "sys/devices/system/cpu", fmt.Sprintf("cpu%d", id), "cpufreq")
		if khz, err := readInt(filepath.Join(dir, "scaling_cur_freq")); err == nil && khz > 0 && (lowest == 0 || float64(khz)/1e3 < lowest) {
			lowest = float64(khz) / 1e3
		}
		if khz, err := readInt(filepath.Join(dir, "cpuinfo_max_freq")); err == nil {
			highest = max(highest, float64(khz)/1e3)
		}
	}
	return lowest, highest
}
