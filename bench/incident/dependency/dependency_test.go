package dependency

import (
	"math"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// The record is empty from 23:48 to 02:25, in run time from 23:30.
var outage = dwfm.Window{From: 18 * time.Minute, To: 175 * time.Minute}

func client(t *testing.T, change func(*Config)) *Client {
	t.Helper()
	cfg := Default()
	cfg.Seed, cfg.Away = 1, []dwfm.Window{outage}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// What each client sees: calls work until the cached record expires, then on open connections
// only, and again within a negative TTL of the name's return.
func TestClientSees(t *testing.T) {
	for seed := range uint64(20) {
		c := client(t, func(c *Config) { c.Seed = seed + 1 })
		back := c.spells[0].To
		if from := c.spells[0].From; from < outage.From || from >= outage.From+time.Minute {
			t.Errorf("seed %d: the cached record ends at %v", seed, from)
		}
		if back < outage.To || back >= outage.To+15*time.Minute {
			t.Errorf("seed %d: the client is back at %v, the name at %v", seed, back, outage.To)
		}
		if !c.Resolves(outage.From-1) || c.Resolves(outage.From+time.Minute) || c.Resolves(back-1) || !c.Resolves(back) {
			t.Errorf("seed %d: resolves at the wrong time", seed)
		}
		lost, last := 0.0, 1.0
		for now := time.Duration(0); now < back+time.Hour; now += time.Minute {
			share, ok := c.Reachable(now), 0
			for droplet := range uint32(1000) {
				good, takes := c.Ask(now, droplet)
				if takes != 0 {
					t.Fatalf("an empty answer takes %v", takes)
				}
				if good {
					ok++
				}
				if at := c.Resume(now, droplet); good != (at == 0) || !good && at != back {
					t.Fatalf("at %v: a call succeeds: %v; its droplet may ask at %v", now, good, at)
				}
			}
			if math.Abs(float64(ok)/1000-share) > 0.05 {
				t.Errorf("seed %d, at %v: %d of 1000 droplets reach it over %g of the connections", seed, now, ok, share)
			}
			if now < back && share > last {
				t.Errorf("seed %d, at %v: %g of the connections are open, and %g before", seed, now, share, last)
			}
			last, lost = share, max(lost, 1-share)
		}
		if lost < .05 || lost > .3 {
			t.Errorf("seed %d: %.1f %% of the connections ended", seed, 100*lost)
		}
	}
}

func TestOptions(t *testing.T) {
	plain := client(t, nil)
	hedged := client(t, func(c *Config) { c.Hedge = true })
	if a, b := plain.spells[0], hedged.spells[0]; b.To-b.From > a.To-a.From || b.To > a.To {
		t.Errorf("hedged %v, plain %v", b.Window, a.Window)
	}
	closed := client(t, func(c *Config) { c.CloseAt = time.Hour })
	if before, after := closed.Reachable(time.Hour-1), closed.Reachable(time.Hour); before < .9 || after != 0 {
		t.Errorf("the evacuation leaves %g of the connections, of %g", after, before)
	}
	if none := client(t, func(c *Config) { c.Lifetime = 0 }); none.Reachable(30*time.Minute) != 0 {
		t.Error("a call without a pool works without the name")
	}
	short := client(t, func(c *Config) { c.Away[0].To = c.Away[0].From + time.Millisecond })
	if len(short.spells) > 0 {
		t.Errorf("a cached record outlives a millisecond: %v", short.spells)
	}
	two := client(t, func(c *Config) {
		c.Away = []dwfm.Window{{From: time.Hour, To: 2 * time.Hour}, {From: 2*time.Hour + time.Minute, To: 2*time.Hour + 2*time.Minute}, {From: 5 * time.Hour, To: 6 * time.Hour}}
	})
	if n := len(two.spells); n != 2 && n != 3 || two.Resolves(5*time.Hour+time.Minute) {
		t.Errorf("%d spells", n)
	}
}

// An empty answer is no reason to retry for either client; other failures hold the caller.
func TestTakes(t *testing.T) {
	for _, tt := range []struct {
		f             Failure
		before, since time.Duration
	}{
		{Empty, 0, 0},
		{ServFail, 4410 * time.Millisecond, 367500 * time.Microsecond},
		{Silent, 12 * time.Second, 10487500 * time.Microsecond},
		{Refused, 4200 * time.Millisecond, 87500 * time.Microsecond},
	} {
		if b, s := Takes(tt.f, Before), Takes(tt.f, Since); b != tt.before || s != tt.since {
			t.Errorf("%s: %v and %v, want %v and %v", tt.f, b, s, tt.before, tt.since)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"TTL":         func(c *Config) { c.TTL = -1 },
		"connections": func(c *Config) { c.Connections = 0 },
		"lifetime":    func(c *Config) { c.Lifetime = -1 },
		"failure":     func(c *Config) { c.Failure = "slow" },
		"retries":     func(c *Config) { c.Retries = "never" },
	} {
		cfg := Default()
		change(&cfg)
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
