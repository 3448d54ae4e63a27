// Package measure names the figures by which runs are compared and held to requirements.
package measure

// Kind is what values are, and so how they are written and compared.
type Kind int

// The kinds of measures.
const (
	Seconds Kind = iota
	Rate         // per second
	Number       // a count
	Ratio        // from 0 to 1: changes are in points, not in per cent of a value that may be 0
	Share        // of a run it is 0 or 1; over runs it is the share of ones
	Load         // per second, or in shares of capacity
)

// Measure is a figure of a run.
type Measure struct {
	Name   string
	About  string
	Kind   Kind
	Higher bool // better
	Host   bool // tells of the host, not of the contestant
}

// Unit is the unit of a measure's values; empty: they have none.
func (m *Measure) Unit() string {
	return map[Kind]string{Seconds: "s", Rate: "1/s", Load: "1/s"}[m.Kind]
}

// Runs are the figures of a whole run, in the order in which they are shown.
var Runs = []Measure{
	{Name: "collapsed", About: "runs that collapsed", Kind: Share},
	{Name: "lost", About: "runs that did not come back", Kind: Share},
	{Name: "ttr", About: "time to recover, of runs that came back"},
	{Name: "ttr_after_operator", About: "time from the operator's first action to the recovery"},
	{Name: "efficiency", About: "efficiency η", Kind: Ratio, Higher: true},
	{Name: "goodput", About: "good establishes since the return", Kind: Rate, Higher: true},
	{Name: "wasted_work", About: "share of the busy time that went into late attempts", Kind: Ratio},
	{Name: "time_to_lease_p50", About: "median time from the loss of a lease to the next"},
	{Name: "time_to_lease_p99", About: "99th percentile of it"},
	{Name: "launches_ok", About: "share of launches that succeeded", Kind: Ratio, Higher: true},
	{Name: "fairness", About: "Jain's index of the zones", Kind: Ratio, Higher: true},
	{Name: "shed", About: "attempts shed", Kind: Number},
	{Name: "healthy_lost", About: "leases lost that the outage had spared", Kind: Number},
	{Name: "active_min", About: "fewest live leases", Kind: Number, Higher: true},
	{Name: "slip_p999", About: "lateness of the generator", Host: true},
}

// Windows are the figures of a time window of a run: means, but for those that hold in every step.
var Windows = []Measure{
	{Name: "establish_goodput", About: "good establishes, mean", Kind: Load},
	{Name: "check_goodput", About: "good checks, mean", Kind: Load},
	{Name: "launch_goodput", About: "good launches, mean", Kind: Load},
	{Name: "wasted_work", About: "share of the busy time that went into late attempts", Kind: Ratio},
	{Name: "active", About: "live leases, in every step", Kind: Number},
	{Name: "queued", About: "attempts in the queue, in every step", Kind: Number},
	{Name: "sojourn_p99", About: "99th percentile of the sojourn of each step, in every step"},
}

// Find returns the measure of that name.
func Find(all []Measure, name string) (Measure, bool) {
	for _, m := range all {
		if m.Name == name {
			return m, true
		}
	}
	return Measure{}, false
}

// Verdicts are what becomes of a run.
var Verdicts = []string{"healthy", "recovered", "degraded", "collapsed"}
