package admit

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

var slowStartEntry = catalog.Entry[New]{
	Name:   "slow-start",
	Doc:    "admits establishes at a rate that rises slowly after the dependency's return",
	Source: "slow start of endpoints: Envoy (slow_start_config), HAProxy (slowstart)",
	Params: []catalog.Param{
		{Name: "from", Unit: "1", Default: 0.1, Min: 0.001, Max: 1, Doc: "rate at the return, as a share of the rate in the end"},
		{Name: "ramp", Unit: "timeouts", Default: 5, Min: 0, Max: 1e5, Doc: "how long the rate rises"},
		{Name: "rate", Unit: "1", Default: 0.9, Min: 0.001, Max: 100, Doc: "rate in the end, as a share of the capacity that the steady load leaves"},
		burstParam,
	},
	New: func(cfg Config, v catalog.Values) (Controller, error) {
		return &slowStart{
			bucket: newTokenBucket(v["rate"]*cfg.Capacity*(1-cfg.Rho), v["burst"]*float64(cfg.Timeout), [queue.Classes]float64{queue.Establish: 1}),
			back:   cfg.Return, ramp: nanos(v["ramp"] * float64(cfg.Timeout)), from: v["from"],
		}, nil
	},
}

// slowStart is a token bucket whose tokens get cheaper: linearly, as Envoy's default
// aggression of 1.
type slowStart struct {
	bucket     *tokenBucket
	back, ramp time.Duration
	from       float64
}

// Admit implements Controller.
func (c *slowStart) Admit(now time.Duration, items []queue.Item, _ func() int) int {
	open := 1.0
	if since := now - c.back; since >= 0 && since < c.ramp {
		open = max(c.from, float64(since)/float64(c.ramp))
	}
	return c.bucket.admit(now, items, 1/open)
}

// Done implements Controller.
func (*slowStart) Done(time.Duration, *queue.Item, time.Duration, queue.Outcome) {}
