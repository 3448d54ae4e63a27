package enactors

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/live/dnsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const region = "dynamodb.us-east-1.leasestorm.test."

var home = []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")}

func wire(t *testing.T) *Wire {
	t.Helper()
	w := &Wire{Zone: "leasestorm.test.", Key: "enactor.", Secret: "c2VjcmV0", TTL: 5}
	s, err := dnsserver.Listen(t.Context(), dnsserver.Config{Addr: ":0", Zones: []string{w.Zone}, Keys: map[string]string{w.Key: w.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	w.Server = s.Addr()
	return w
}

// TestWire makes each change once, and refuses what its prerequisites forbid.
func TestWire(t *testing.T) {
	w := wire(t)
	ctx := t.Context()
	state := func() (int, int) {
		t.Helper()
		active, err := w.Active(ctx, region)
		ips, err2 := w.Addresses(ctx, region)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		return active, len(ips)
	}
	flip := func(plan int, ips []netip.Addr, was int, fence bool) error {
		if err := w.Build(ctx, region, plan, ips); err != nil {
			return err
		}
		return w.Flip(ctx, region, plan, was, fence)
	}
	type is struct{ active, addresses int }
	for _, c := range []struct {
		what    string
		do      func() error
		refused bool
		is
	}{
		{"the first plan", func() error { return flip(1, home, 0, true) }, false, is{1, 2}},
		{"a fence that wants no plan", func() error { return flip(2, home, 0, true) }, true, is{1, 2}},
		{"a fence that holds", func() error { return flip(2, home[:1], 1, true) }, false, is{2, 1}},
		{"a fence that does not", func() error { return flip(3, home, 1, true) }, true, is{2, 1}},
		{"an old plan without a fence", func() error { return flip(1, home, 2, false) }, false, is{1, 2}},
		{"its tree is deleted", func() error { return w.Delete(ctx, region, 1) }, false, is{1, 0}},
		{"a roll-back to nothing", func() error { return flip(3, home, 1, false) }, true, is{1, 0}},
		{"a mend", func() error { return flip(3, home, 0, false) }, false, is{3, 2}},
	} {
		err := c.do()
		if _, refused := errors.AsType[*FencedError](err); refused != c.refused || !refused && err != nil {
			t.Errorf("%s: %v", c.what, err)
		}
		if active, n := state(); (is{active, n}) != c.is {
			t.Errorf("%s: plan %d with %d addresses, want %+v", c.what, active, n, c.is)
		}
	}
	w.Secret = "d3Jvbmc="
	if err := w.Delete(ctx, region, 3); err == nil {
		t.Error("a wrong secret is taken")
	}
}

// TestMirror carries the replay's system through the race on the wire, without and with fencing. The
// mirror itself compares each answer of the server with the model.
func TestMirror(t *testing.T) {
	for _, mends := range []dns.Mend{0, dns.Fencing} {
		for seed := range uint64(3) {
			w := wire(t)
			cfg := dns.Default()
			cfg.Mends, cfg.Seed = mends, seed
			y, err := dns.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var said []string
			m, err := NewMirror(t.Context(), w, cfg.Rules, []string{region, "fips." + region, "dual." + region}, home, func(e Event) { said = append(said, e.What) })
			if err != nil {
				t.Fatal(err)
			}
			look := func(to time.Duration, hands ...dns.Hand) int {
				t.Helper()
				if err := m.Run(t.Context(), y, to, hands); err != nil {
					t.Fatal(err)
				}
				plan, _ := y.Record(to)
				ips, err := w.Addresses(t.Context(), region)
				if active, err2 := w.Active(t.Context(), region); err != nil || err2 != nil || (plan > 0) != (len(ips) > 0) || plan > 0 && plan != active {
					t.Errorf("mends %q, seed %d, %v: the model has plan %d, the server plan %d with %v", mends, seed, to, plan, active, ips)
				}
				return len(ips)
			}
			if n := look(15 * time.Minute); n == 0 {
				t.Errorf("mends %q, seed %d: empty before the race", mends, seed)
			}
			if n := look(25 * time.Minute); (n == 0) != (mends == 0) {
				t.Errorf("mends %q, seed %d: %d addresses after the race", mends, seed, n)
			}
			if n := look(27*time.Minute, dns.Hand{At: 26 * time.Minute}); n == 0 {
				t.Errorf("mends %q, seed %d: empty after the mend", mends, seed)
			}
			text := strings.Join(said, "\n")
			for _, want := range map[dns.Mend][]string{0: {"older than plan", "which is in use", "roll-back would point"}, dns.Fencing: {"by now"}}[mends] {
				if !strings.Contains(text, want) {
					t.Errorf("mends %q, seed %d: nothing says %q:\n%s", mends, seed, want, text)
				}
			}
		}
	}
}
