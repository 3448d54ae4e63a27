package incident

import (
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/law"
)

// judgement is what the managers together came to. Times are run time.
type judgement struct {
	verdict     bench.Verdict
	lostOut     int           // leases lapsed by the name's return
	lostMost    int           // and at the worst
	collapsedAt time.Duration // 0: never, or only after an action of the operator
	backAt      time.Duration // when the steady state began that lasts to the end
}

// judge judges the sum of all partitions by the definitions of bench.Judge. The managers have
// collapsed when half of the partitions have. back is the name's return, and act the operator's first
// action at the managers; 0: there is none.
func (m *managers) judge(leases int, timeout, back, act time.Duration) judgement {
	var out judgement
	steadyFrom, end, left := time.Duration(0), time.Duration(0), false
	for i, active := range m.Active {
		end = time.Duration(i) * m.Period
		lost := leases - active
		if end <= back {
			out.lostOut = max(out.lostOut, lost)
		}
		out.lostMost = max(out.lostMost, lost)
		if float64(active) < bench.SteadyShare*float64(leases) {
			left, steadyFrom = true, end+m.Period
		}
	}
	collapsed := slices.Sorted(slices.Values(m.Collapsed))
	half := (m.Partitions + 1) / 2
	down := len(collapsed) >= half
	if down && (act == 0 || collapsed[half-1] < act) {
		out.collapsedAt = collapsed[half-1]
	}
	switch {
	case !left:
		out.verdict = bench.Healthy
	case end-steadyFrom >= law.HoldTimeouts*timeout:
		out.verdict, out.backAt = bench.Recovered, max(steadyFrom, back)
	case down:
		out.verdict = bench.Collapsed
	default:
		out.verdict = bench.Degraded
	}
	return out
}
