package bench

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

// Probe is what a short, careful ramp finds of a service: its capacity and what its work costs.
type Probe struct {
	URL         string  `json:"url"`
	Establishes []Rate  `json:"establishes"` // closed loops with ever more clients
	Checks      []Rate  `json:"checks"`
	Capacity    float64 `json:"capacity_per_s"` // establishes per second
	Sigma       float64 `json:"sigma"`          // σ, cost of an establish in checks
	Rho         float64 `json:"rho"`            // ρ, the share of capacity that the scenario's checks take
	// Workers is the number of establishes that the service works on at a time: capacity times the time of
	// a lone establish (Little's law), the network's share in it included.
	Workers int     `json:"workers"`
	Beta    float64 `json:"beta"` // β of the scenario on this service
	// Scenario has the scenario with these numbers, for the other studies.
	Scenario string `json:"scenario_toml"`
}

// leastRho is the least ρ that a scenario can have.
const leastRho = 0.001

// ProbeService measures a service with closed loops: the number of clients doubles until the rate grows
// no more, an answer takes a quarter of the timeout, or a tenth of the answers is not good. The droplets
// are those of the scenario, which gets the numbers found.
func ProbeService(ctx context.Context, service *Service, s scenario.Scenario, seed uint64) (*Probe, error) {
	if err := (Target{}).Check(&s); err != nil {
		return nil, err
	}
	plain := *service
	plain.Outage = "none"
	w, err := openStorm(ctx, &plain, DrawSeed(seed))
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = w.close() }()
	p := &Probe{URL: service.Client.URL}
	droplet := w.limited(func() (uint32, bool) { return w.rng.Uint32N(uint32(s.Leases)), true })
	if err := settle(ctx, w.protocol, s.Timeout, droplet, func(string, ...any) {}); err != nil {
		return nil, err
	}
	held := holders{fresh: s.TTL / 2, last: map[uint32]time.Time{}}
	if p.Establishes, err = saturate(ctx, w.protocol, queue.Establish, s.Timeout, w.clients(), probeLeast, droplet, held.granted); err != nil {
		return nil, err
	}
	if p.Checks, err = saturate(ctx, w.protocol, queue.Check, s.Timeout, w.clients(), probeLeast, w.limited(held.next), held.granted); err != nil {
		return nil, err
	}
	if w.spent {
		return nil, scenario.Bad("target", fmt.Sprintf("limits.requests: %d requests are spent, and the ramp needs more: raise it", w.used))
	}
	checks := highest(p.Checks).PerSecond
	if checks == 0 {
		return nil, scenario.Bad("ttl", fmt.Sprintf("%v: no lease that was granted is younger than half of it when checks are asked: raise ttl", s.TTL))
	}
	p.Capacity = highest(p.Establishes).PerSecond
	p.Sigma = checks / p.Capacity
	p.Rho = float64(s.Leases) / s.Interval.Seconds() / checks
	p.Workers = max(1, int(math.Round(p.Capacity*p.Establishes[0].Mean)))
	if !(p.Rho < 0.99) {
		return p, scenario.Bad("leases", fmt.Sprintf("the checks of %d leases every %v take %.2f of what the service can do (%s checks/s): lower leases or raise interval", s.Leases, s.Interval, p.Rho, show.Rate(checks)))
	}
	if err := s.Set(fmt.Sprintf("rho=%.4g", max(p.Rho, leastRho)), fmt.Sprintf("sigma=%.4g", p.Sigma), fmt.Sprintf("workers=%d", p.Workers)); err != nil {
		return p, err
	}
	p.Beta, p.Scenario = s.Beta(), s.TOML()
	return p, nil
}

// holders are the droplets that hold a lease. A check without one is another question, with another answer.
type holders struct {
	fresh time.Duration // a lease is not asked for that is older
	last  map[uint32]time.Time
	order []uint32
}

// granted notes a good answer.
func (h *holders) granted(droplet uint32) {
	if _, known := h.last[droplet]; !known {
		h.order = append(h.order, droplet)
	}
	h.last[droplet] = time.Now()
}

// next returns the holders in turns.
func (h *holders) next() (droplet uint32, ok bool) {
	for len(h.order) > 0 {
		droplet, h.order = h.order[0], h.order[1:]
		if time.Since(h.last[droplet]) < h.fresh {
			h.order = append(h.order, droplet)
			return droplet, true
		}
		delete(h.last, droplet)
	}
	return 0, false
}

// Text returns the probe as lines for a person.
func (p *Probe) Text() string {
	var b strings.Builder
	rows := [][]string{{"clients", "establishes/s", "mean (ms)", "not good", "", "checks/s", "mean (ms)", "not good"}}
	cells := func(rates []Rate, i int) []string {
		if i >= len(rates) {
			return []string{"", "", ""}
		}
		r := rates[i]
		return []string{show.Rate(r.PerSecond), fmt.Sprintf("%.2f", 1e3*r.Mean), show.Count(r.Bad)}
	}
	for i := range max(len(p.Establishes), len(p.Checks)) {
		row := append([]string{fmt.Sprint(1 << i)}, cells(p.Establishes, i)...)
		rows = append(rows, append(append(row, ""), cells(p.Checks, i)...))
	}
	b.WriteString(show.Columns(rows))
	fmt.Fprintf(&b, "\ncapacity  %s establishes/s; an establish costs %.2g checks (σ)\n", show.Rate(p.Capacity), p.Sigma)
	fmt.Fprintf(&b, "workers   %d: so many establishes are in work at a time\n", p.Workers)
	fmt.Fprintf(&b, "load      the scenario's checks take %.3g of it (ρ); its surge is %.2f timeouts of what is left (β)\n", p.Rho, p.Beta)
	return b.String()
}
