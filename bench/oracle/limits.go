package oracle

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/internal/det"
)

// ErrModel is returned, wrapped, for parameters for which the formula does not hold, and for runs
// that are too short to confirm or refute it.
var ErrModel = fmt.Errorf("bad model")

// The ranges of parameters. Below leastLoad a run is mostly empty time. Times below leastTime, a
// thousandth of a service, are not resolved well: the simulation counts in nanoseconds.
const (
	leastLoad, leastTime, mostTime     = 0.001, 0.001, 1e6
	mostServers, mostLoops, mostPlaces = 10_000, 100_000, 1_000_000
	mostArrivals                       = 4e9 // at the least load: 127 of the clock's 292 years
)

// Validate returns an error if the formula does not hold for the model's parameters. The error
// names the condition and wraps [ErrModel].
func (m Model) Validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrModel, m.Name, fmt.Sprintf(format, args...))
	}
	if m.Servers < 1 || m.Servers > mostServers {
		return bad("servers %d is out of range: 1 to %d", m.Servers, mostServers)
	}
	most := 100.0 // of rho
	switch m.Name {
	case "mmc", "md1", "mg1", "impatient", "random", "lifo":
		if m.Rho >= 1 {
			return bad("rho %g: the queue has a steady state only for rho below 1", m.Rho)
		}
		most = 1
	case "mmck":
		if m.K < m.Servers || m.K > mostPlaces {
			return bad("k %d is out of range: at least the %d servers, whose places count, and at most %d", m.K, m.Servers, mostPlaces)
		}
	case "repairman":
		if m.K < 1 || m.K > mostLoops {
			return bad("k %d customers are out of range: 1 to %d", m.K, mostLoops)
		}
		if !(m.Think >= leastTime && m.Think <= mostTime) {
			return bad("think %g is out of range: %g to %g mean services", m.Think, leastTime, mostTime)
		}
		if m.throughput() < leastLoad {
			return bad("k %d customers who think for %g mean services ask %g times in a service: want at least %g", m.K, m.Think, m.throughput(), leastLoad)
		}
		return nil
	default:
		return bad("there are: %s", strings.Join(Names, ", "))
	}
	switch {
	case !(m.Rho >= leastLoad && m.Rho <= most):
		return bad("rho %g is out of range: %g to %g", m.Rho, leastLoad, most)
	case !slices.Contains([]string{"mmc", "mmck", "random", "lifo"}, m.Name) && m.Servers != 1:
		return bad("servers %d: the formula is for one", m.Servers)
	case m.Name == "mg1" && !(m.CV > 0 && m.CV <= 20):
		return bad("cv %g is out of range: above 0 to 20", m.CV)
	case m.Name == "impatient" && !(m.Timeout >= leastTime && m.Timeout <= mostTime):
		return bad("timeout %g is out of range: %g to %g mean services", m.Timeout, leastTime, mostTime)
	}
	return nil
}

// Check returns an error if a run of the given number of customers is too short to confirm or
// refute the theory. The error names the number that is enough and wraps [ErrModel].
func Check(m Model, arrivals int) error {
	if err := m.Validate(); err != nil {
		return err
	}
	need := m.needed()
	switch {
	case need > mostArrivals:
		return fmt.Errorf("%w: %v: %.2g customers are needed to settle it, more than the %g that a run may have: want a smaller load or variation", ErrModel, m, need, mostArrivals)
	case float64(arrivals) < need:
		return fmt.Errorf("%w: %v: %d arrivals cannot settle it: want at least %.0f, for a batch must be long beside the time that the queue takes to forget", ErrModel, m, arrivals, need)
	case float64(arrivals) > mostArrivals:
		return fmt.Errorf("%w: %d arrivals are out of range: up to %g", ErrModel, arrivals, mostArrivals)
	}
	return nil
}

// CheckReal is [Check] for a run of the given length on this host's cores.
func CheckReal(m Model, length time.Duration) error {
	if err := m.Validate(); err != nil {
		return err
	}
	if host.ReadTopology().Place(m.Servers).TakesTurns {
		return fmt.Errorf("%w: %d servers and a source of customers take turns on this host's processors: want fewer servers, or the virtual engine", ErrModel, m.Servers)
	}
	if need := m.needed(); float64(m.arrivals(length)) < need {
		want := math.Ceil(need * realService.Seconds() / m.throughput())
		return fmt.Errorf("%w: %v: a length of %v on the real engine cannot settle it: want at least %.0fs, or the virtual engine", ErrModel, m, length, want)
	}
	return nil
}

// arrivals is the number of customers in a real run of the given length.
func (m Model) arrivals(length time.Duration) int {
	return int(length.Seconds() * m.throughput() / realService.Seconds())
}

// load is the offered load over capacity.
func (m Model) load() float64 {
	if m.Name == "repairman" {
		return float64(m.K) / ((1 + m.Think) * float64(m.Servers))
	}
	return m.Rho
}

// throughput is the number of customers per mean service time; of a loop, an upper bound.
func (m Model) throughput() float64 {
	load := m.load()
	if m.Name == "repairman" { // a waiting customer does not ask
		load = min(load, 1)
	}
	return load * float64(m.Servers)
}

// relaxation is about the relaxation time of the queue, in mean service times: the inverse of its
// spectral gap (J. W. Cohen, The Single Server Queue, 1982, for M/M/1; E. A. van Doorn, Adv. Appl.
// Prob. 17, 1985, for more servers).
func (m Model) relaxation() float64 {
	root, c := math.Sqrt(m.load()), float64(m.Servers)
	gap := float64((1 - root) * (1 - root))
	switch m.Name {
	case "md1": // in heavy traffic a Brownian motion, whose variance is the service's
		return max(1, 1/gap/2)
	case "mg1":
		return 1 / gap * (1 + float64(m.CV*m.CV)) / 2
	case "mmck": // the walls at both ends make it faster
		half := det.Sin(math.Pi / 2 / float64(m.K+1)) // 1 − cos x = 2·sin²(x/2)
		gap += float64(4 * root * half * half)
	case "repairman": // a waiting customer does not ask: the queue relaxes within a time to think
		return max(1, min(1/(gap*c), m.Think))
	}
	return max(1, 1/(gap*c)) // at least one mean service: a customer in service stays that long
}

// relaxations is the length of a batch in relaxation times. It must be so long that neighbouring
// batches are independent. On M/M/1 at ρ = 0.95, 0.4 % of the mean waits lie outside their 99.9 %
// interval, all below it: a run without a long queue underestimates its own variance. With 2
// relaxation times it would be 3 %.
const relaxations = 20

// squares is the relative error to which a run must estimate the mean square of the service time.
// The mean wait in M/G/1 is proportional to it, and the confidence interval does not hold if a few
// services dominate. At 0.05 some 0.6 % of the mean waits lie outside their interval, at 0.1 2 %,
// at 0.7 10 %.
const squares = 0.05

// longWaits is how many times longer a run must be that is to confirm the mean square of the wait, per
// customer that waits: a few long waits dominate it. The relative error is then 0.1 at most (measured
// for c = 1 and 4, ρ = 0.5 and 0.8), and 0.7 % of the rows lie outside their interval. With a fifth of
// the customers it would be 3 %.
const longWaits = 5

// needed is the number of customers that confirms or refutes the theory, rounded up to two digits.
func (m Model) needed() float64 {
	counted := max(90*batches, relaxations*batches*m.throughput()*m.relaxation())
	if m.Name == "mg1" {
		s := 1 + float64(m.CV*m.CV)
		counted = max(counted, s*s*s*s/(squares*squares))
	}
	if m.Name == "random" || m.Name == "lifo" {
		counted = float64(longWaits*counted) / ErlangC(m.Servers, float64(m.Servers)*m.Rho)
	}
	n := counted / 0.9 // a tenth is not counted
	if over := m.load() - 1; m.Name == "mmck" && over > 0 {
		// The tenth is twice the time in which an empty queue fills up, by drift or by
		// chance.
		k, c := float64(m.K), float64(m.Servers)
		n = max(n, 10*2*m.throughput()*min(k/(over*c), k*k/c))
	}
	digit := 1.0
	for n >= 100*digit {
		digit *= 10
	}
	return math.Ceil(n/digit) * digit
}
