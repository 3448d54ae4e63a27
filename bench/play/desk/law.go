package desk

import (
	"cmp"
	"fmt"
	"sync"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/law"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

// Law is what follows from the scenario, and what theory says of each contestant.
type Law struct {
	Summary string             `json:"summary"`
	Values  map[string]float64 `json:"values"` // by key, fitted; times in s
	Rho     float64            `json:"rho"`
	Sigma   float64            `json:"sigma"`
	Beta    *float64           `json:"beta"`
	// Capacity is in establishes per second.
	Capacity    *float64   `json:"capacity"`
	Contestants []Expected `json:"contestants"`
	Error       string     `json:"error"` // why there is no such scenario
}

// Expected is what theory says of a contestant.
type Expected struct {
	Name  string `json:"name"`
	Error string `json:"error"` // why it cannot run
	// Covered says whether the fluid law is about this scenario and contestant. If not, the rest is
	// empty, but for Batch.
	Covered bool     `json:"covered"`
	Back    bool     `json:"back"`
	TTR     *float64 `json:"ttr_s"`  // after the return
	Border  *float64 `json:"border"` // β from which on it is lost; nil: it never is
	Batch   float64  `json:"batch"`  // β from which on a fifo is lost, by the batch law
	Command string   `json:"command"`
	TOML    string   `json:"toml"`
}

// shown are the keys whose fitted values the page shows.
var shown = map[string]func(x *scenario.Fitted) float64{
	"leases":       func(x *scenario.Fitted) float64 { return float64(x.Leases) },
	"broken":       func(x *scenario.Fitted) float64 { return float64(x.Broken) },
	"interval":     func(x *scenario.Fitted) float64 { return x.Interval.Seconds() },
	"timeout":      func(x *scenario.Fitted) float64 { return x.Timeout.Seconds() },
	"ttl":          func(x *scenario.Fitted) float64 { return x.TTL.Seconds() },
	"service_time": func(x *scenario.Fitted) float64 { return x.Want[queue.Check].Seconds() },
	"workers":      func(x *scenario.Fitted) float64 { return float64(x.Workers) },
	"spread":       func(x *scenario.Fitted) float64 { return x.Asked.Spread.Seconds() },
	"sigma":        func(x *scenario.Fitted) float64 { return x.Sigma },
	"duration":     func(x *scenario.Fitted) float64 { return x.Duration.Seconds() },
}

func (a *Ask) law() (l Law) {
	s, err := a.Scenario("")
	x, unfit := scenario.Fit(s, 1)
	summary, _ := s.Summary() // its error is Fit's
	if err = cmp.Or(err, unfit); err != nil {
		l.Error = err.Error()
		return l
	}
	l.Summary, l.Values = summary, map[string]float64{}
	for key, of := range shown {
		l.Values[key] = of(&x)
	}
	capacity := x.Capacity(x.Want)
	l.Rho, l.Sigma, l.Beta, l.Capacity = x.Rho, x.Sigma, finite(x.Beta(capacity)), finite(capacity)
	for _, name := range a.Contestants {
		l.Contestants = append(l.Contestants, a.expect(name))
	}
	return l
}

func (a *Ask) expect(name string) Expected {
	e := Expected{Name: name}
	s, err := a.Scenario(name)
	if err == nil {
		err = bench.Check(s)
	}
	if err != nil {
		e.Error = err.Error()
		return e
	}
	e.Command = bench.Command(s, bench.Options{Seed: a.Seed, MaxQueue: MaxQueue}, "virtual")
	e.TOML, e.Batch = s.TOML(), law.Batch(&s)
	f, ok := law.Of(&s)
	beta := s.Beta()
	if !ok || finite(beta) == nil || s.Broken == 0 {
		return e
	}
	e.Covered = true
	ttr, back := f.Recovery(beta * (1 - f.Rho))
	if e.Back = back; back {
		ttr *= s.Timeout.Seconds()
		e.TTR = &ttr
	}
	e.Border = border(f)
	return e
}

// borders remembers the borders of fluids: a border takes a dozen recoveries, and does not change while
// the number of broken leases does.
var borders sync.Map

func border(f law.Fluid) *float64 {
	key := key(f)
	if b, ok := borders.Load(key); ok {
		return b.(*float64)
	}
	b := f.BorderBeta()
	borders.Store(key, b)
	return b
}

// key tells fluids apart.
func key(f law.Fluid) string { return fmt.Sprintf("%+v", f) }
