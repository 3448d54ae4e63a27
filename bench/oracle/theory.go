// Package oracle checks the engines against closed forms of queueing theory. An engine that agrees
// with theory on queues that have a closed form deserves trust on queues that have none.
package oracle

import (
	"fmt"

	"github.com/leasestorm/leasestorm/internal/det"
)

// Names lists the values of Model.Name.
var Names = []string{"mmc", "md1", "mg1", "mmck", "impatient", "repairman", "random", "lifo"}

// Model is a queue with a closed form. Times are in units of the mean service time.
type Model struct {
	Name    string  // one of Names
	Servers int     // c
	Rho     float64 // offered load over capacity
	K       int     // mmck: places, those in service included; repairman: customers
	CV      float64 // mg1: coefficient of variation of the lognormal service
	Timeout float64 // impatient: how long a customer waits, service included
	Think   float64 // repairman: mean time from an answer to the customer's next request
}

// discipline is the queue discipline of the model.
func (m Model) discipline() string {
	switch m.Name {
	case "random", "lifo":
		return m.Name
	}
	return "fifo"
}

// String returns the model's name and parameters.
func (m Model) String() string {
	s := fmt.Sprintf("%s servers=%d rho=%g", m.Name, m.Servers, m.Rho)
	if m.Name == "repairman" {
		return fmt.Sprintf("repairman servers=%d k=%d think=%g", m.Servers, m.K, m.Think)
	}
	switch m.Name {
	case "mmck":
		s += fmt.Sprintf(" k=%d", m.K)
	case "mg1":
		s += fmt.Sprintf(" cv=%g", m.CV)
	case "impatient":
		s += fmt.Sprintf(" timeout=%g", m.Timeout)
	}
	return s
}

// ErlangB returns the share of customers that M/M/c/c loses: c servers without a queue, at an
// offered load of a erlangs (A. K. Erlang, 1917). It uses the recursion that does not overflow.
func ErlangB(c int, a float64) float64 {
	b := 1.0
	for n := 1; n <= c; n++ {
		b = a * b / (float64(n) + float64(a*b))
	}
	return b
}

// ErlangC returns the probability that a customer waits in M/M/c, at an offered load of a < c
// erlangs.
func ErlangC(c int, a float64) float64 {
	b, rho := ErlangB(c, a), a/float64(c)
	return b / (1 - rho + float64(rho*b))
}

// PollaczekKhinchine returns the mean wait in M/G/1, in mean service times. cv is the coefficient
// of variation of the service time.
func PollaczekKhinchine(rho, cv float64) float64 { return rho * (1 + float64(cv*cv)) / (2 * (1 - rho)) }

// LossMMCK returns the share of customers that M/M/c/K loses.
func LossMMCK(c, k int, rho float64) float64 {
	a := float64(c) * rho
	// Probabilities by state, from the top down relative to state K, to avoid overflow.
	sum, p := 1.0, 1.0
	for n := k; n > 0; n-- {
		p = float64(p * (float64(min(n, c)) / a))
		sum += p
	}
	return 1 / sum
}

// Repairman returns the probability that a customer waits and the mean wait, in mean service times,
// in a closed loop: k customers think for a mean time of think and then ask one of c servers. An
// arrival sees the loop with one customer less (the arrival theorem: S. S. Lavenberg and M. Reiser,
// J. Appl. Prob. 17, 1980).
func Repairman(c, k int, think float64) (waits, mean float64) {
	// logs[n] is the logarithm of the weight of the state with n of the k−1 other customers at
	// the servers. The weights themselves would overflow.
	logs := make([]float64, k)
	most := 0.0
	for n := 1; n < k; n++ {
		logs[n] = logs[n-1] + det.Log(float64(k-n)/(think*float64(min(n, c))))
		most = max(most, logs[n])
	}
	sum := 0.0
	for n, l := range logs {
		p := det.Exp(l - most)
		sum += p
		if n >= c { // the arrival waits for n−c+1 departures, at c per mean service time
			waits += p
			mean += p * float64(n-c+1) / float64(c)
		}
	}
	return waits / sum, mean / sum
}

// SquareWait returns the mean square of the wait in M/M/c, in squared mean service times, by the
// order of service. The mean wait is the same in all three. The square is that of fifo times
// 2/(2−ρ) in random order (J. F. C. Kingman, Proc. Camb. Phil. Soc. 58, 1962; L. Takács, Oper. Res.
// 11, 1963), and times 1/(1−ρ) under lifo, where a customer that waits does so for a busy period.
func SquareWait(order string, c int, rho float64) float64 {
	drain := float64(c) * (1 - rho) // customers per mean service time that a busy queue falls by
	fifo := 2 * ErlangC(c, float64(c)*rho) / (drain * drain)
	switch order {
	case "random":
		return fifo * 2 / (2 - rho)
	case "lifo":
		return fifo / (1 - rho)
	}
	return fifo
}

// Quantity is a quantity to compare. Probabilities and shares are from 0 to 1, waits are in mean
// service times.
type Quantity struct {
	Name   string
	Theory float64 // by the closed form
}

// Theory returns the quantities of the model by its closed form.
func (m Model) Theory() []Quantity {
	c := float64(m.Servers)
	switch m.Name {
	case "mmc":
		wait := ErlangC(m.Servers, c*m.Rho)
		return []Quantity{
			{"waiting probability", wait},
			{"mean wait", wait / (c * (1 - m.Rho))},
			{"wait above mean wait", wait * det.Exp(-wait)}, // P(W > t) = C·exp(−(cμ−λ)t)
		}
	case "random", "lifo":
		wait := ErlangC(m.Servers, c*m.Rho)
		return []Quantity{
			{"waiting probability", wait},
			{"mean wait", wait / (c * (1 - m.Rho))},
			{"mean square wait", SquareWait(m.Name, m.Servers, m.Rho)},
		}
	case "md1":
		return []Quantity{{"waiting probability", m.Rho}, {"mean wait", PollaczekKhinchine(m.Rho, 0)}}
	case "mg1":
		return []Quantity{{"waiting probability", m.Rho}, {"mean wait", PollaczekKhinchine(m.Rho, m.CV)}}
	case "repairman":
		waits, mean := Repairman(m.Servers, m.K, m.Think)
		return []Quantity{{"waiting probability", waits}, {"mean wait", mean}}
	case "mmck":
		return []Quantity{{"loss", LossMMCK(m.Servers, m.K, m.Rho)}}
	default: // impatient: the response of M/M/1 is exponential
		return []Quantity{{"goodput over capacity", m.Rho * (1 - det.Exp(-(1-m.Rho)*m.Timeout))}}
	}
}

// Defaults returns the models by which "leasestorm validate" checks the virtual engine.
func Defaults() []Model {
	var all []Model
	for _, c := range []int{1, 2, 8, 64} {
		for _, rho := range []float64{0.5, 0.8, 0.95} {
			all = append(all, Model{Name: "mmc", Servers: c, Rho: rho})
		}
	}
	return append(all,
		Model{Name: "md1", Servers: 1, Rho: 0.5}, Model{Name: "md1", Servers: 1, Rho: 0.9},
		Model{Name: "mg1", Servers: 1, Rho: 0.8, CV: 2},
		Model{Name: "mmck", Servers: 1, Rho: 0.9, K: 20}, Model{Name: "mmck", Servers: 1, Rho: 2, K: 10},
		Model{Name: "mmck", Servers: 10, Rho: 0.8, K: 10}, Model{Name: "mmck", Servers: 100, Rho: 1.2, K: 100},
		Model{Name: "impatient", Servers: 1, Rho: 0.8, Timeout: 10}, Model{Name: "impatient", Servers: 1, Rho: 0.95, Timeout: 10},
		Model{Name: "repairman", Servers: 1, K: 10, Think: 8}, Model{Name: "repairman", Servers: 4, K: 100, Think: 20}, Model{Name: "repairman", Servers: 1, K: 1000, Think: 2000},
		Model{Name: "random", Servers: 1, Rho: 0.5}, Model{Name: "random", Servers: 1, Rho: 0.8}, Model{Name: "random", Servers: 4, Rho: 0.8},
		Model{Name: "lifo", Servers: 1, Rho: 0.5}, Model{Name: "lifo", Servers: 1, Rho: 0.8}, Model{Name: "lifo", Servers: 4, Rho: 0.5},
	)
}

// RealDefaults returns the models by which "leasestorm validate" checks the real engine. Each has
// one server.
func RealDefaults() []Model {
	return []Model{
		{Name: "mmc", Servers: 1, Rho: 0.5}, {Name: "mmc", Servers: 1, Rho: 0.8}, {Name: "md1", Servers: 1, Rho: 0.8},
		{Name: "mg1", Servers: 1, Rho: 0.5, CV: 1.5}, {Name: "impatient", Servers: 1, Rho: 0.8, Timeout: 10}, {Name: "repairman", Servers: 1, K: 10, Think: 8},
	}
}
