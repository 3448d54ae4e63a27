package bench

import (
	"fmt"
	"strings"
)

// Text is the result for a person.
func (res *Result) Text() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-15s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("verdict", "%s", strings.ToUpper(string(res.Verdict)))
	if !res.Valid {
		line("invalid", "%s", res.Because)
	}
	line("contestant", "%s / %s / %s / %s (table / queue / admit / retry)", res.Table, res.Queue, res.Admit, res.Retry)
	line("scenario", "%s, %d leases, %d broken, %d workers, seed %d", res.Scenario, res.Leases, res.Broken, res.Workers, res.Seed)
	line("capacity", "%.0f establishes/s, β %.2f", res.Capacity, res.Beta)
	line("recovery", "TTR %s, queue drained %s, efficiency %s", orDash(res.TTR, "%.2f s"), orDash(res.Drain, "%.2f s"), orDash(res.Efficiency, "%.2f"))
	line("goodput", "%.0f establishes/s, %.0f checks/s; wasted work %.0f %%; %d shed", res.Goodput["establish"], res.Goodput["check"], 100*res.WastedWork, res.Shed)
	line("active leases", "%d at least, %d at the end", res.ActiveMin, res.ActiveEnd)
	q := res.TimeToLease
	line("time to lease", "p50 %.2f s, p99 %.2f s, p99.9 %.2f s, max %.2f s (%d)", q.P50, q.P99, q.P999, q.Max, q.N)
	line("slip", "p50 %.3f ms, p99.9 %.2f ms (the host's own gaps: %.3f, %.2f ms)", res.Slip.P50, res.Slip.P999, res.HostGap.P50, res.HostGap.P999)
	for _, n := range res.Noisy {
		line("noisy", "%s", n)
	}
	if res.Placement != "" {
		line("placement", "%s", res.Placement)
	}
	if res.Engine == "virtual" {
		line("time", "%.1f s, for %.1f s of virtual time", res.Elapsed, res.Run)
	} else {
		line("time", "%.1f s, of which %.1f s the run itself; capacity drift %+.1f %%", res.Elapsed, res.Run, 100*res.Drift)
	}
	if res.Folder != "" {
		line("files", "%s", res.Folder)
	}
	return b.String()
}

func orDash(x *float64, format string) string {
	if x == nil {
		return "–"
	}
	return fmt.Sprintf(format, *x)
}
