// Package dependency models DynamoDB as the lease manager's clients saw it in the outage of 20
// October 2025: through a name that lost its records, the caches of that name, and pooled
// connections that go on working without it.
//
// A [Client] is one host's view. A state check resolves the name, connects, and makes a
// conditional write. While the name has no records
//
//   - a client that has cached the records may connect until they expire
//   - a connection that is open goes on working until the end of its lifetime
//   - a droplet whose connection has ended fails, and its lease lapses unless the name comes back
//   - the failed look-up is cached as well, so the client comes back some time after the name
//
// Public: the record was empty from 23:48 to 02:25, and caches had expired by 02:40. Inferred:
// that connections outlived the record, which is why leases lapsed slowly. Calibrated: the
// lifetime of connections, so that about a tenth of the leases lapse.
package dependency

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/lease/dwfm"
)

// Failure says what a look-up of the name without records returns.
type Failure string

// The failures.
const (
	Empty    Failure = "empty"    // an answer without records, as in the outage
	ServFail Failure = "servfail" // the name server's own error
	Silent   Failure = "silent"   // no answer
	Refused  Failure = "refused"  // an address that refuses connections
)

// Failures are the failures by name.
var Failures = []Failure{Empty, ServFail, Silent, Refused}

// Retries says how the SDK's client retries a failed call.
type Retries string

// The versions of the AWS SDK for Go v2's retries.
const (
	// Before is the standard mode up to November 2026: 3 attempts, waits of seconds.
	Before Retries = "before-2026"
	// Since is the standard mode since 10 November 2026 (aws-sdk-go-v2 1.48.0): for DynamoDB 4
	// attempts, waits with full jitter from a base of 25 ms.
	Since Retries = "since-2026"
)

// clients are the versions. attempts are the calls that a client makes before it gives up, and waits is the sum of its mean
// waits between them. Those of Before were measured (4.2 s between three attempts on a refused
// connection); those of Since follow from its law: 12.5, 25 and 50 ms.
var clients = map[Retries]struct {
	attempts int
	waits    time.Duration
}{
	Before: {3, 4200 * time.Millisecond},
	Since:  {4, 87500 * time.Microsecond},
}

// perAttempt is the time to the error of one attempt, measured with version 1.73.2 of the SDK's
// DynamoDB client.
var perAttempt = map[Failure]time.Duration{
	ServFail: 70 * time.Millisecond, Silent: 2600 * time.Millisecond, Refused: 0,
}

// Takes returns how long a failing call holds its caller. An empty answer is an error within a
// millisecond that neither version retries, so it counts as 0.
func Takes(f Failure, r Retries) time.Duration {
	if f == Empty {
		return 0
	}
	c := clients[r]
	return time.Duration(c.attempts)*perAttempt[f] + c.waits
}

// Config is the configuration of a Client. Times are run time.
type Config struct {
	Seed   uint64
	Client uint64 // which client; two clients with one seed have other caches and connections

	Away        []dwfm.Window // when the name has no records, in ascending order
	TTL         time.Duration // of a cached record
	NegativeTTL time.Duration // of a cached look-up that failed, at most: each resolver has a limit of its own
	Connections int           // of the pool; a droplet's calls keep to one of them
	Lifetime    time.Duration // of a connection; 0: a new connection for every call
	// Hedge sends each look-up to two resolvers with caches of their own. The first that has
	// records wins.
	Hedge bool
	// CloseAt, if not 0, is when a zone evacuation's "Connection: close" ends all connections.
	CloseAt time.Duration
	Failure Failure
	Retries Retries
}

// Default returns the values of the replay. The TTLs are Route 53's for such names: a minute at
// most for a record, 900 s for a missing one. The lifetime of connections is calibrated.
func Default() Config {
	return Config{
		TTL: time.Minute, NegativeTTL: 15 * time.Minute, Connections: 1000, Lifetime: 24 * time.Hour,
		Failure: Empty, Retries: Before,
	}
}

// Validate returns an error for the first value that is out of range.
func (c *Config) Validate() error {
	switch {
	case c.TTL < 0 || c.NegativeTTL < 0 || c.TTL > day || c.NegativeTTL > day:
		return fmt.Errorf("dependency: TTLs of %v and %v: want 0 to %v", c.TTL, c.NegativeTTL, day)
	case c.Connections < 1 || c.Connections > 1e6:
		return fmt.Errorf("dependency: %d connections: want 1 to 10^6", c.Connections)
	case c.Lifetime < 0 || c.Lifetime > 100*day:
		return fmt.Errorf("dependency: a connection's lifetime of %v: want 0 (a new one for every call) to %v", c.Lifetime, 100*day)
	case c.Failure != Empty && perAttempt[c.Failure] == 0 && c.Failure != Refused:
		return fmt.Errorf("dependency: failure %q: want %s", c.Failure, names(Failures))
	}
	if _, ok := clients[c.Retries]; !ok {
		return fmt.Errorf("dependency: retries %q: want %s or %s", c.Retries, Before, Since)
	}
	return nil
}

const day = 24 * time.Hour

func names[S ~string](all []S) string {
	text := make([]string, len(all))
	for i, s := range all {
		text[i] = string(s)
	}
	return strings.Join(text, ", ")
}

// spell is a time in which a client cannot resolve the name.
type spell struct {
	dwfm.Window
	ends []time.Duration // when each open connection ends
}

// Client is one host's view of the dependency. It implements dwfm.Checked. It does not change, so
// its methods are safe for concurrent use.
type Client struct {
	cfg    Config
	spells []spell
	takes  time.Duration
}

var _ dwfm.Checked = (*Client)(nil)

// New returns a client, or an error if the configuration is out of range.
func New(cfg Config) (*Client, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	c := &Client{cfg: cfg, takes: Takes(cfg.Failure, cfg.Retries)}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0x64796e616d6f+cfg.Client))
	for _, away := range cfg.Away {
		if n := len(c.spells); n > 0 && away.To <= c.spells[n-1].To {
			continue // within what the client still has cached as missing
		}
		w := c.view(away, rng)
		if cfg.Hedge {
			other := c.view(away, rng)
			w.From, w.To = max(w.From, other.From), min(w.To, other.To)
		}
		if w.From < w.To {
			c.spells = append(c.spells, spell{w, c.ends(w.From, rng)})
		}
	}
	return c, nil
}

// view is when one resolver of the client sees no records: from the end of what it has cached to
// its first look-up after the name's return.
func (c *Client) view(away dwfm.Window, rng *rand.Rand) dwfm.Window {
	w := dwfm.Window{From: away.From + upTo(c.cfg.TTL, rng)}
	w.To = max(w.From, away.To)
	// Resolvers cap how long they keep a missing record, each at its own limit.
	if ttl := upTo(c.cfg.NegativeTTL, rng) + time.Second; c.cfg.NegativeTTL > 0 && w.From < away.To {
		for w.To = w.From; c.away(w.To); {
			w.To += ttl
		}
	}
	return w
}

// away reports whether the name has no records at t.
func (c *Client) away(t time.Duration) bool {
	for _, w := range c.cfg.Away {
		if w.Contains(t) {
			return true
		}
	}
	return false
}

// ends draws when the connections that are open at from end. A connection that is found at a random
// time has a uniform part of its lifetime left.
func (c *Client) ends(from time.Duration, rng *rand.Rand) []time.Duration {
	ends := make([]time.Duration, c.cfg.Connections)
	for i := range ends {
		ends[i] = from + upTo(c.cfg.Lifetime, rng)
		if at := c.cfg.CloseAt; at > 0 {
			ends[i] = min(ends[i], max(from, at))
		}
	}
	return ends
}

func upTo(d time.Duration, rng *rand.Rand) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(rng.Int64N(int64(d)))
}

// at returns the spell that contains now; nil: the client resolves the name.
func (c *Client) at(now time.Duration) *spell {
	for i := range c.spells {
		if s := &c.spells[i]; s.Contains(now) {
			return s
		}
	}
	return nil
}

// Ask implements dwfm.Dependency.
func (c *Client) Ask(now time.Duration, droplet uint32) (ok bool, takes time.Duration) {
	s := c.at(now)
	if s == nil || now < s.ends[c.connection(droplet)] {
		return true, 0
	}
	return false, c.takes
}

// connection is the connection of a droplet's calls: a multiplicative hash, so that a zone or a
// block of droplets does not share one (Knuth, TAOCP 3, 6.4).
func (c *Client) connection(droplet uint32) int {
	return int(uint64(droplet*0x9E3779B1) * uint64(c.cfg.Connections) >> 32)
}

// AtOnce implements dwfm.Checked.
func (c *Client) AtOnce() bool { return c.takes == 0 }

// Resume returns when the client resolves the name again, for a call that fails at now; 0 for a
// call that does not fail.
func (c *Client) Resume(now time.Duration, droplet uint32) time.Duration {
	s := c.at(now)
	if s == nil || now < s.ends[c.connection(droplet)] {
		return 0
	}
	return s.To
}

// Back returns when the client resolves the name after it has come back at t: t, or the end of what
// the client has cached as missing.
func (c *Client) Back(t time.Duration) time.Duration {
	if s := c.at(t); s != nil {
		return s.To
	}
	return t
}

// Resolves reports whether the client can make a new connection.
func (c *Client) Resolves(now time.Duration) bool { return c.at(now) == nil }

// Reachable returns the share of the client's connections whose calls succeed at now.
func (c *Client) Reachable(now time.Duration) float64 {
	s := c.at(now)
	if s == nil {
		return 1
	}
	open := 0
	for _, end := range s.ends {
		if now < end {
			open++
		}
	}
	return float64(open) / float64(len(s.ends))
}
