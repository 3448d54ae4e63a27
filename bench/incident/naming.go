package incident

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// resolve carries the DNS automation through the day.
func (r *replay) resolve() error {
	cfg := r.cfg.DNS
	cfg.Seed = r.cfg.Seed
	y, err := dns.New(cfg)
	if err != nil {
		return err
	}
	var hands []dns.Hand
	for _, s := range r.cfg.Runbook.Steps {
		switch s.Do {
		case operator.MendName:
			hands = append(hands, dns.Hand{At: s.At})
		case operator.AutomationOff:
			hands = append(hands, dns.Hand{At: s.At, Off: true})
		}
	}
	y.Run(r.cfg.End, hands)
	r.name = y
	for _, s := range y.Empties(r.cfg.End) {
		r.empty = append(r.empty, dwfm.Window(s))
	}
	r.away = dwfm.Window{From: raceAt, To: returnAt} // without an outage: of the day, and nothing is away
	if len(r.empty) == 0 {
		r.cfg.Runbook.Steps = nil // the operator has nothing to do
		return nil
	}
	r.away = r.empty[0]
	r.away.To = min(r.away.To, r.cfg.End-time.Minute)
	return nil
}

// drawn reports whether the race is left to chance.
func (r *replay) drawn() bool { return r.cfg.DNS.RaceAt == 0 }
