package bench

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Text returns the result as lines for a person.
func (res *Result) Text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-15s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("verdict", "%s", strings.ToUpper(string(res.Verdict)))
	if !res.Valid {
		line("invalid", "%s", res.Because)
	}
	if s := res.Storm; s != nil {
		line("service", "%s", s.URL)
		line("scenario", "%s, retry %s, %s leases, %s broken, seed %d", res.Scenario, res.Retry, show.Count(res.Leases), show.Count(res.Broken), res.Seed)
		line("capacity", "%s establishes/s, ρ %.2f, σ %.1f, β %.2f (from %s)", show.Rate(res.Capacity), s.Rho, s.Sigma, res.Beta, s.CapacityFrom)
	} else {
		line("contestant", "%s / %s / %s / %s (table / queue / admit / retry)", res.Table, res.Queue, res.Admit, res.Retry)
		line("scenario", "%s, %s leases, %s broken, %s workers, seed %d", res.Scenario, show.Count(res.Leases), show.Count(res.Broken), show.Count(res.Workers), res.Seed)
		line("capacity", "%s establishes/s, β %.2f", show.Rate(res.Capacity), res.Beta)
	}
	line("recovery", "TTR %s, queue drained %s, efficiency %s", show.Dash(res.TTR, "%.2f s"), show.Dash(res.Drain, "%.2f s"), show.Dash(res.Efficiency, "%.2f"))
	line("goodput", "%s establishes/s, %s checks/s; wasted work %s; %s shed", show.Rate(res.Goodput["establish"]), show.Rate(res.Goodput["check"]), show.Percent(res.WastedWork), show.Count(res.Shed))
	line("active leases", "%s at least, %s at the end", show.Count(res.ActiveMin), show.Count(res.ActiveEnd))
	if h := res.Hedges; h != nil {
		line("hedges", "%s sent, %s answered first, %s held back; checks answered: p50 %s, p99 %s, p99.9 %s", show.Count(h.Sent), show.Count(h.Won), show.Count(h.Held), show.Dash(millis(h.Checks.P50), "%.2f ms"), show.Dash(millis(h.Checks.P99), "%.2f ms"), show.Dash(millis(h.Checks.P999), "%.2f ms"))
	}
	q := res.TimeToLease
	line("time to lease", "p50 %s, p99 %s, p99.9 %s, max %s (%s)", show.Dash(q.P50, "%.2f s"), show.Dash(q.P99, "%.2f s"), show.Dash(q.P999, "%.2f s"), show.Dash(q.Max, "%.2f s"), show.Count(q.N))
	line("slip", "p50 %s, p99.9 %s (the host's own gaps: %s, %s)", show.Dash(res.Slip.P50, "%.3f ms"), show.Dash(res.Slip.P999, "%.2f ms"), show.Dash(res.HostGap.P50, "%.3f ms"), show.Dash(res.HostGap.P999, "%.2f ms"))
	for _, n := range res.Noisy {
		line("noisy", "%s", n)
	}
	if res.Placement != "" {
		line("placement", "%s", res.Placement)
	}
	if s := res.Storm; s != nil {
		line("calls", "%s requests, %s connections opened, %s open at most; mean answer %s", show.Count(s.Requests), show.Count(s.Dials), show.Count(s.Most), show.Dash(millis(s.Mean), "%.2f ms"))
		line("ends of calls", "%s", s.kinds())
		for _, a := range s.Agents {
			line("agent", "%s on %s: droplets %d to %d, %s requests, slip p99.9 %s, run clock off by %s ± %s", a.Name, a.Host, a.Droplets.From, int(a.Droplets.To)-1, show.Count(a.Requests), show.Dash(a.Slip.P999, "%.2f ms"), show.Dash(a.Offset, "%.2f ms"), show.Dash(a.Error, "%.2f ms"))
		}
	}
	if res.Engine == "virtual" {
		line("time", "%.1f s, for %.1f s of virtual time", res.Elapsed, res.Run)
	} else if res.Storm != nil {
		line("time", "%.1f s, of which %.1f s the run itself", res.Elapsed, res.Run)
	} else {
		line("time", "%.1f s, of which %.1f s the run itself; capacity drift %+.1f %%", res.Elapsed, res.Run, 100*res.Drift)
	}
	if res.Folder != "" {
		line("files", "%s", res.Folder)
	}
	return b.String()
}

// millis is a time in s in ms; nil stays nil.
func millis(seconds *float64) *float64 {
	if seconds == nil {
		return nil
	}
	ms := 1e3 * *seconds
	return &ms
}

// kinds lists how the calls ended, the most frequent first, and the statuses of the answers.
func (r *TargetReport) kinds() string {
	list := func(all map[string]uint64, form string) (parts []string) {
		names := slices.SortedFunc(maps.Keys(all), func(a, b string) int {
			return cmp.Or(cmp.Compare(all[b], all[a]), strings.Compare(a, b))
		})
		for _, name := range names {
			parts = append(parts, fmt.Sprintf(form, show.Count(all[name]), name))
		}
		return parts
	}
	text := strings.Join(list(r.Kinds, "%s %s"), ", ")
	if len(r.Statuses) > 0 {
		text += " (statuses: " + strings.Join(list(r.Statuses, "%s × %s"), ", ") + ")"
	}
	return text
}
