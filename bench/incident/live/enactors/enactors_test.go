package enactors

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leasestorm/leasestorm/bench/incident/live/dnsserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	region = "dynamodb.us-east-1.leasestorm.test."
	fips   = "dynamodb-fips.us-east-1.leasestorm.test."
)

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

// told collects events.
type told struct {
	mu  sync.Mutex
	all []Kind
	on  map[Kind]chan struct{} // closed at the first of the kind
}

func (o *told) say(e Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, e.Kind)
	if c := o.on[e.Kind]; c != nil {
		close(c)
		delete(o.on, e.Kind)
	}
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
	type is struct{ active, addresses int }
	for _, c := range []struct {
		what    string
		do      func() error
		refused bool
		is
	}{
		{"the first plan", func() error { return w.Apply(ctx, region, 1, home, 0, true) }, false, is{1, 2}},
		{"a fence that wants no plan", func() error { return w.Apply(ctx, region, 2, home, 0, true) }, true, is{1, 2}},
		{"a fence that holds", func() error { return w.Apply(ctx, region, 2, home[:1], 1, true) }, false, is{2, 1}},
		{"a fence that does not", func() error { return w.Apply(ctx, region, 1, home, 1, true) }, true, is{2, 1}},
		{"an old plan without a fence", func() error { return w.Apply(ctx, region, 1, home, 2, false) }, false, is{1, 2}},
		{"its tree is deleted", func() error { return w.Delete(ctx, region, 1) }, false, is{1, 0}},
		{"a roll-back to nothing", func() error { return w.Apply(ctx, region, 3, home, 1, false) }, true, is{1, 0}},
		{"a mend", func() error { return w.Apply(ctx, region, 3, home, 0, false) }, false, is{3, 2}},
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

// TestRace lets one enactor be held up until the others have replaced its plan, without and with
// fencing.
func TestRace(t *testing.T) {
	for _, fencing := range []bool{false, true} {
		w, until := wire(t), make(chan struct{})
		said := &told{on: map[Kind]chan struct{}{Held: make(chan struct{})}}
		held := said.on[Held]
		a := New(Config{
			Wire: w, Endpoints: []string{region, fips}, Balancers: func() []netip.Addr { return home }, Keep: 2, Fencing: fencing,
			Pause: time.Nanosecond, Late: 2, Until: until, Say: said.say,
		})
		walk := func(enactor int) {
			t.Helper()
			if err := a.Walk(t.Context(), enactor); err != nil {
				t.Fatal(err)
			}
		}
		walk(1)
		a.Plan()
		ended := make(chan error)
		go func() { ended <- a.Walk(t.Context(), 0) }()
		<-held
		for range 4 {
			a.Plan()
			walk(1)
			walk(2)
		}
		close(until)
		// The walk goes on when the others next pass, which they do until it has ended.
		for over := false; !over; {
			select {
			case err := <-ended:
				if over = true; err != nil {
					t.Fatal(err)
				}
			default:
				a.Plan()
				walk(1)
				walk(2)
			}
		}
		if err := a.clean(t.Context(), 1, a.newest().number); err != nil {
			t.Fatal(err)
		}
		ips, err := w.Addresses(t.Context(), region)
		if err != nil || (len(ips) == 0) == fencing {
			t.Errorf("fencing %v: the addresses are %v: %v", fencing, ips, err)
		}
		other, err := w.Addresses(t.Context(), fips)
		if err != nil || fencing && len(other) == 0 {
			t.Errorf("fencing %v: the other endpoint has %v: %v", fencing, other, err)
		}
		a.Plan()
		walk(1)
		want := map[bool][]Kind{false: {Held, Stale, Deleted, Stuck}, true: {Held, Fenced}}[fencing]
		if !slices.Equal(said.all, want) {
			t.Errorf("fencing %v: %v, want %v", fencing, said.all, want)
		}
		if _, err := a.Mend(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.Plan()
		walk(2)
		active, err := w.Active(t.Context(), region)
		if ips, _ := w.Addresses(t.Context(), region); len(ips) != 2 || active != a.newest().number || err != nil {
			t.Errorf("fencing %v: after the mend plan %d with %v: %v", fencing, active, ips, err)
		}
	}
}

// TestStart runs planner and enactors by themselves, until the end.
func TestStart(t *testing.T) {
	w := wire(t)
	said := &told{}
	a := New(Config{
		Wire: w, Endpoints: []string{region, fips}, Balancers: func() []netip.Addr { return home }, Keep: 3,
		Period: time.Millisecond, Pause: time.Microsecond, Say: said.say,
	})
	ctx, cancel := context.WithCancel(t.Context())
	a.Start(ctx)
	for active := 0; active < 10; {
		var err error
		if active, err = w.Active(t.Context(), fips); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	a.Wait()
	for _, k := range said.all {
		if k == Failed {
			t.Error("an enactor has failed")
		}
	}
}
