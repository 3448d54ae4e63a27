// Package leasetest is the conformance suite of lease tables. One call runs it on a table of
// another module:
//
//	func TestTable(t *testing.T) { leasetest.Run(t, newMyTable) }
package leasetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/lease"
)

// New makes the table under test.
type New func(env lease.Env) (lease.Table, error)

// sizes are the capacities that the suite runs with: one slot, fewer than a block
// of anything, and some that no power of two divides.
var sizes = []int{1, 7, 64, 513, 5000}

// suite is what a table is held to.
type suite struct {
	newTable New
	sizes    []int
	calls    int  // random calls of a goroutine
	ownClock bool // leases lapse by another clock than the now of the calls
}

// long is the life of the leases of a table with a clock of its own: none lapses in a test.
const long = 1_000_000

// life is a random life of a lease, in ticks.
func (s *suite) life(rng *rand.Rand, most int) int {
	if s.ownClock {
		return long
	}
	return 1 + rng.IntN(most)
}

// RunRemote is Run for a table that another process keeps. It makes fewer calls, since each of them takes
// long, and the table may allocate. ownClock says that leases lapse by another clock than the now of the
// calls: then lapses are not checked, nor renewals to an earlier deadline. RunRemote closes the tables.
func RunRemote(t *testing.T, newTable func(env lease.Env) (lease.Remote, error), ownClock bool) {
	s := &suite{func(env lease.Env) (lease.Table, error) { return newTable(env) }, []int{1, 7, 64}, 300, ownClock}
	if !ownClock {
		t.Run("cases", func(t *testing.T) { cases(t, s.newTable) })
	}
	s.run(t)
}

func (s *suite) run(t *testing.T) {
	t.Run("epochs", func(t *testing.T) { epochs(t, s.newTable) })
	for _, size := range s.sizes {
		t.Run(fmt.Sprintf("model/%d", size), func(t *testing.T) { s.model(t, size) })
		t.Run(fmt.Sprintf("concurrent/%d", size), func(t *testing.T) { s.concurrent(t, size) })
	}
}

// Run checks the table against lease.Table's documentation: by a table of cases, by random calls
// compared with a model, and under concurrent use. Run the tests with -race.
func Run(t *testing.T, newTable New) {
	t.Run("cases", func(t *testing.T) { cases(t, newTable) })
	t.Run("allocates", func(t *testing.T) { allocates(t, newTable) })
	s := &suite{newTable: newTable, sizes: sizes, calls: calls()}
	s.run(t)
}

// allocates lets a full table work: renewals, sweeps, revocations and grants must not
// allocate.
func allocates(t *testing.T, newTable New) {
	tab := table(t, newTable, lease.Env{Leases: 1000, Workers: 1})
	ids := make([]lease.ID, 1000)
	renewed := make([]bool, len(ids))
	now := time.Duration(0)
	for i := range ids {
		var err error
		if ids[i], err = tab.Grant(now, now+at(100+i), 0); err != nil {
			t.Fatal(err)
		}
	}
	lapsed := func(lease.ID) {}
	turn := func() {
		now += tick
		for i := range ids[:100] {
			_ = tab.Renew(ids[i], now, now+at(100))
			_ = tab.Verify(ids[i], now)
		}
		tab.Prefetch(ids)
		_, _ = tab.RenewAll(ids, now, now+at(150), renewed)
		_ = tab.Revoke(ids[0])
		ids[0], _ = tab.Grant(now, now+at(100), 0)
		ids[1], _ = tab.Regrant(ids[1], now, now+at(2))
		tab.Expire(now, lapsed)
	}
	for range 1000 {
		turn()
	}
	if n := testing.AllocsPerRun(1000, turn); n >= 1 {
		t.Errorf("%v allocations a turn, want none", n)
	}
}

// calls is the number of random calls a goroutine makes.
func calls() int {
	if testing.Short() {
		return 2_000
	}
	return 20_000
}

func table(t *testing.T, newTable New, env lease.Env) lease.Table {
	t.Helper()
	tab, err := newTable(env)
	if err != nil {
		t.Fatal(err)
	}
	if remote, ok := tab.(lease.Remote); ok {
		t.Cleanup(func() { want(t, "close", remote.Close(), nil) })
	}
	return tab
}

// A tick of the table's clock, and times on it.
const tick = lease.Tick

func at(ticks int) time.Duration { return time.Duration(ticks) * tick }

func want(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || (want == nil && got != nil) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

// cases says the behaviour in words, one thing after another on one lease.
func cases(t *testing.T, newTable New) {
	tab := table(t, newTable, lease.Env{Leases: 2, Workers: 1})
	none := func(id lease.ID) { t.Errorf("lease %v lapsed, none should", id) }

	if _, err := tab.Grant(at(5), at(5), 0); !errors.Is(err, lease.ErrDeadline) {
		t.Errorf("a deadline that is not after now: got %v, want ErrDeadline", err)
	}
	if _, err := tab.Grant(0, lease.MaxDeadline+1, 0); !errors.Is(err, lease.ErrDeadline) {
		t.Errorf("a deadline past MaxDeadline: got %v, want ErrDeadline", err)
	}
	a, err := tab.Grant(0, at(10), 0)
	want(t, "first grant", err, nil)
	b, err := tab.Grant(0, at(20), 0)
	want(t, "second grant", err, nil)
	if a == b || a == 0 || b == 0 {
		t.Fatalf("two grants are named %v and %v", a, b)
	}
	_, err = tab.Grant(0, at(20), 0)
	want(t, "a third grant in a table of two", err, lease.ErrFull)
	want(t, "verify at the last moment", tab.Verify(a, at(10)-1), nil)
	want(t, "verify at the deadline", tab.Verify(a, at(10)), lease.ErrStale)
	want(t, "renew to an earlier deadline", tab.Renew(a, 0, at(5)), nil)
	want(t, "verify after it", tab.Verify(a, at(9)), nil)
	want(t, "renew", tab.Renew(a, at(9), at(30)), nil)
	if n, err := tab.RenewAll([]lease.ID{a, b}, at(9), at(8), nil); n != 0 || !errors.Is(err, lease.ErrDeadline) {
		t.Errorf("a batch with a deadline before now: %d, %v", n, err)
	}
	want(t, "renew with a deadline before now", tab.Renew(a, at(9), at(8)), lease.ErrDeadline)
	if n := tab.Expire(at(19), none); n != 0 {
		t.Errorf("%d expired, none is due", n)
	}
	var lapsed []lease.ID
	note := func(id lease.ID) { lapsed = append(lapsed, id) }
	if n := tab.Expire(at(20), note); n != 1 || len(lapsed) != 1 || lapsed[0] != b {
		t.Errorf("expire at b's deadline: %d, %v; want b, %v", n, lapsed, b)
	}
	want(t, "renew an expired lease", tab.Renew(b, 0, at(99)), lease.ErrStale)
	want(t, "revoke an expired lease", tab.Revoke(b), lease.ErrStale)
	_, err = tab.Regrant(b, at(20), at(40))
	want(t, "regrant an expired lease", err, lease.ErrStale)
	want(t, "renew a lapsed lease that nothing has expired", tab.Renew(a, at(30), at(99)), lease.ErrStale)
	a2, err := tab.Regrant(a, at(30), at(40))
	want(t, "regrant it", err, nil)
	if a2 == a || a2.Slot() != a.Slot() {
		t.Errorf("regrant of %v made %v; want the same slot and another epoch", a, a2)
	}
	_, err = tab.Regrant(a2, at(30), at(30))
	want(t, "regrant with a deadline that is not after now", err, lease.ErrDeadline)
	want(t, "renew under the old epoch", tab.Renew(a, at(30), at(50)), lease.ErrStale)
	want(t, "revoke under the old epoch", tab.Revoke(a), lease.ErrStale)
	want(t, "verify under the old epoch", tab.Verify(a, at(30)), lease.ErrStale)
	if got := tab.Live(); got != 1 {
		t.Errorf("%d live, want 1", got)
	}
	a3, err := tab.Regrant(a2, at(30), at(35))
	want(t, "regrant with an earlier deadline", err, nil)
	lapsed = nil
	if n := tab.Expire(at(35), note); n != 1 || lapsed[0] != a3 {
		t.Errorf("expire at the earlier deadline: %d, %v; want %v", n, lapsed, a3)
	}
	c, err := tab.Grant(at(35), at(36), 0)
	want(t, "grant after expiry", err, nil)
	want(t, "revoke", tab.Revoke(c), nil)
	want(t, "revoke again", tab.Revoke(c), lease.ErrStale)
	if n := tab.Expire(at(1000), none); n != 0 || tab.Live() != 0 {
		t.Errorf("an empty table: %d expired, %d live", n, tab.Live())
	}
	tab.Prefetch([]lease.ID{0, a, c, lease.MakeID(1<<32-1, 1)})
	if tab.Bytes() <= 0 {
		t.Errorf("a table of two takes %d bytes", tab.Bytes())
	}
	want(t, "a now before the start", tab.Renew(c, -at(5), at(3)), lease.ErrStale)
	if d, err := tab.Grant(-at(5), 1, 0); err != nil || tab.Verify(d, 0) != nil {
		t.Errorf("a lease of 1 ns from the start: %v", err)
	}
}

// epochs says what is true of a lease whether or not it lapses.
func epochs(t *testing.T, newTable New) {
	tab := table(t, newTable, lease.Env{Leases: 2, Workers: 1})
	for _, deadline := range []time.Duration{at(5), at(4), -1, lease.MaxDeadline + 1} {
		if _, err := tab.Grant(at(5), deadline, 0); !errors.Is(err, lease.ErrDeadline) {
			t.Errorf("a grant at %v until %v: got %v, want ErrDeadline", at(5), deadline, err)
		}
	}
	a, err := tab.Grant(0, at(long), 0)
	want(t, "first grant", err, nil)
	b, err := tab.Grant(0, at(long), 1)
	want(t, "second grant", err, nil)
	if a.Slot() == b.Slot() || a.Epoch() == 0 || b.Epoch() == 0 {
		t.Fatalf("two grants are named %v and %v", a, b)
	}
	_, err = tab.Grant(0, at(long), 0)
	want(t, "a third grant in a table of two", err, lease.ErrFull)
	want(t, "verify", tab.Verify(a, 0), nil)
	want(t, "renew", tab.Renew(a, at(1), at(1+long)), nil)
	want(t, "renew until now", tab.Renew(a, at(1), at(1)), lease.ErrDeadline)
	a2, err := tab.Regrant(a, at(1), at(1+long))
	want(t, "regrant", err, nil)
	if a2.Slot() != a.Slot() || a2.Epoch() <= a.Epoch() {
		t.Errorf("regrant of %v made %v; want the same slot and a later epoch", a, a2)
	}
	want(t, "renew under the old epoch", tab.Renew(a, at(1), at(long)), lease.ErrStale)
	want(t, "verify under the old epoch", tab.Verify(a, at(1)), lease.ErrStale)
	want(t, "revoke under the old epoch", tab.Revoke(a), lease.ErrStale)
	_, err = tab.Regrant(a, at(1), at(long))
	want(t, "regrant under the old epoch", err, lease.ErrStale)
	renewed := []bool{true, false, false}
	if n, err := tab.RenewAll([]lease.ID{a, a2, b}, at(1), at(1+long), renewed); n != 2 || err != nil || renewed[0] || !renewed[1] || !renewed[2] {
		t.Errorf("renewing an old lease and two live ones: %d, %v, %v", n, err, renewed)
	}
	if n := tab.Expire(at(2), func(id lease.ID) { t.Errorf("%v lapsed", id) }); n != 0 || tab.Live() != 2 {
		t.Errorf("%d expired and %d live, want 0 and 2", n, tab.Live())
	}
	want(t, "revoke", tab.Revoke(b), nil)
	want(t, "revoke again", tab.Revoke(b), lease.ErrStale)
	want(t, "verify what was revoked", tab.Verify(b, at(1)), lease.ErrStale)
	c, err := tab.Grant(at(1), at(1+long), 0)
	want(t, "a grant of the slot that was freed", err, nil)
	if c.Slot() != b.Slot() || c.Epoch() <= b.Epoch() {
		t.Errorf("the slot of %v was granted as %v", b, c)
	}
	for _, id := range []lease.ID{0, lease.MakeID(2, 1), lease.MakeID(1<<32-1, 1), lease.MakeID(0, 1<<32-1)} {
		want(t, fmt.Sprintf("renew of the foreign ID %v", id), tab.Renew(id, 0, at(5)), lease.ErrStale)
		want(t, fmt.Sprintf("revoke of the foreign ID %v", id), tab.Revoke(id), lease.ErrStale)
		want(t, fmt.Sprintf("verify of the foreign ID %v", id), tab.Verify(id, 0), lease.ErrStale)
	}
}

// model makes random calls to the table and to a map from ID to deadline, and
// compares every answer.
func (s *suite) model(t *testing.T, size int) {
	seed := testseed.Draw(t)
	rng := rand.New(rand.NewPCG(seed, uint64(size)))
	tab := table(t, s.newTable, lease.Env{Leases: size, Workers: 3})
	live := map[lease.ID]int{} // deadline, in ticks
	seen := map[lease.ID]bool{}
	var ids []lease.ID // ever granted, the newest last
	now := 0
	pick := func() lease.ID {
		if len(ids) == 0 || rng.IntN(20) == 0 {
			return lease.MakeID(rng.Uint32N(uint32(size)+2), rng.Uint32N(3))
		}
		return ids[len(ids)-1-rng.IntN(min(len(ids), 2*size))]
	}
	check := func(what string, id lease.ID, got error, ok bool, otherwise error) {
		if !ok {
			want(t, fmt.Sprintf("%s %v at %d", what, id, now), got, otherwise)
		} else {
			want(t, fmt.Sprintf("%s %v at %d", what, id, now), got, nil)
		}
	}
	added := func(id lease.ID, deadline int) {
		if seen[id] {
			t.Errorf("%v was granted twice", id)
		}
		seen[id], live[id] = true, deadline
		ids = append(ids, id)
	}
	for range s.calls {
		if t.Failed() {
			return
		}
		deadline := now + s.life(rng, 50)
		switch id := pick(); rng.IntN(8) {
		case 0, 1, 2:
			got, err := tab.Grant(at(now), at(deadline), rng.IntN(5))
			check("grant", got, err, len(live) < size, lease.ErrFull)
			if err == nil {
				added(got, deadline)
			}
		case 3:
			batch := make([]lease.ID, rng.IntN(40))
			for i := range batch {
				batch[i] = pick()
			}
			renewed := make([]bool, len(batch))
			n, err := tab.RenewAll(batch, at(now), at(deadline), renewed)
			want(t, "renew a batch", err, nil)
			for i, id := range batch {
				if ok := live[id] > now; ok != renewed[i] {
					t.Errorf("renewing a batch at %d: %v is live: %v, renewed: %v", now, id, ok, renewed[i])
				}
				if renewed[i] {
					n--
					live[id] = max(live[id], deadline)
				}
			}
			if n != 0 {
				t.Errorf("renewing a batch at %d: %d more than renewed", now, n)
			}
		case 4:
			check("renew", id, tab.Renew(id, at(now), at(deadline)), live[id] > now, lease.ErrStale)
			if live[id] > now {
				live[id] = max(live[id], deadline)
			}
		case 5:
			_, held := live[id]
			if rng.IntN(2) == 0 {
				check("revoke", id, tab.Revoke(id), held, lease.ErrStale)
			} else {
				got, err := tab.Regrant(id, at(now), at(deadline))
				check("regrant", id, err, held, lease.ErrStale)
				if err == nil {
					added(got, deadline)
				}
			}
			delete(live, id)
		case 6:
			check("verify", id, tab.Verify(id, at(now)), live[id] > now, lease.ErrStale)
		default:
			now += rng.IntN(3)
			n := tab.Expire(at(now), func(id lease.ID) {
				if d, held := live[id]; !held || d > now {
					t.Errorf("%v lapsed at %d; held %v, deadline %d", id, now, held, d)
				}
				delete(live, id)
			})
			for id, d := range live {
				if d <= now {
					t.Errorf("%v with deadline %d is still there after the sweep at %d, which ended %d", id, d, now, n)
				}
			}
		}
		if got := tab.Live(); got != len(live) {
			t.Errorf("%d live, want %d", got, len(live))
		}
	}
}
