package incident

import (
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// naming is what DNS did with the endpoint's name.
type naming struct{ empty []dwfm.Window }

func (r *replay) resolve() error {
	at, ok := r.cfg.Runbook.First(operator.MendName)
	if !ok {
		at = r.cfg.End
	}
	r.windows(&naming{[]dwfm.Window{{From: raceAt, To: at}}})
	return nil
}
func (n *naming) at(now time.Duration) (plan, records int) {
	for _, w := range n.empty {
		if w.Contains(now) {
			return 0, 0
		}
	}
	return 1, 100
}
func (n *naming) slowness(time.Duration) float64 { return 1 }
func (r *replay) drawn() bool                    { return false }
func (c *Config) mends() string                  { return "" }

// AddMend adds a mend of the DNS automation.
func (c *Config) AddMend(string) error { return nil }

func (c *Config) dnsChanged() []string                  { return nil }
func (c *Config) SetDNS(race, cause, form string) error { return nil }
func Mends() []string                                   { return []string{"fencing"} }
func Forms() []string                                   { return []string{"delete-active", "apply-emptied"} }
