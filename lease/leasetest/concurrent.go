package leasetest

import (
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/lease"
)

// concurrent lets goroutines fight over the same leases. Invariants:
//
//  1. No ID is granted twice.
//  2. Each lease ends exactly once, by one Expire, Revoke or Regrant.
//  3. A lease is never freed by an Expire before its deadline.
//  4. Afterwards Live is what was granted less what ended, and a table from which
//     all was expired takes its whole capacity again.
func (s *suite) concurrent(t *testing.T, size int) {
	seed := testseed.Draw(t)
	const workers = 4
	tab := table(t, s.newTable, lease.Env{Leases: size, Workers: workers})
	shared := make([]atomic.Uint64, 2*size) // IDs that anybody may use
	var clock atomic.Int64                  // in ticks
	started := make([]tally, workers)       // by the goroutine that granted
	ended := make([]tally, workers)
	var all sync.WaitGroup
	for w := range workers {
		started[w], ended[w] = tally{}, tally{}
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			for range s.calls {
				s.step(t, tab, rng, w, shared, &clock, started[w], ended[w])
			}
		})
	}
	all.Wait()
	last := tally{}
	end := at(int(clock.Load()) + 100)
	if s.ownClock { // none lapsed: what is left is revoked
		for _, m := range started {
			for id := range m {
				if tab.Revoke(id) == nil {
					last[id]++
				}
			}
		}
	} else if n := tab.Expire(end, func(id lease.ID) { last[id]++ }); n != len(last) {
		t.Errorf("the last sweep says %d and named %d", n, len(last))
	}
	granted := tally{}
	for _, m := range started {
		for id, n := range m {
			granted[id] += n
		}
	}
	for _, m := range append(ended, last) {
		for id, n := range m {
			granted[id] -= n
			if _, known := granted[id]; !known {
				t.Errorf("%v ended and was never granted", id)
			}
		}
	}
	for id, n := range granted {
		if n != 0 {
			t.Errorf("%v: granted %+d times more than it ended", id, n)
		}
	}
	if n := tab.Live(); n != 0 {
		t.Errorf("%d live after everything ended", n)
	}
	for i := range size {
		if _, err := tab.Grant(end, end+at(s.life(rand.New(rand.NewPCG(seed, 9)), 1)), i); err != nil {
			t.Fatalf("grant %d of %d after everything ended: %v", i, size, err)
		}
	}
}

type tally map[lease.ID]int

// step is one random call of one goroutine.
func (s *suite) step(t *testing.T, tab lease.Table, rng *rand.Rand, w int, shared []atomic.Uint64, clock *atomic.Int64, started, ended tally) {
	now := int(clock.Load())
	seat := &shared[rng.IntN(len(shared))]
	id := lease.ID(seat.Load())
	life := at(s.life(rng, 20))
	switch rng.IntN(8) {
	case 0, 1, 2:
		got, err := tab.Grant(at(now), at(now)+life, w)
		if err == nil {
			started[got]++
			seat.Store(uint64(got))
		} else if !errors.Is(err, lease.ErrFull) {
			t.Errorf("grant: %v", err)
		}
	case 3, 4:
		if err := tab.Renew(id, at(now), at(now)+life); err != nil && !errors.Is(err, lease.ErrStale) {
			t.Errorf("renew: %v", err)
		}
	case 5:
		if tab.Revoke(id) == nil {
			ended[id]++
		}
	case 6:
		if got, err := tab.Regrant(id, at(now), at(now)+life); err == nil {
			ended[id]++
			started[got]++
			seat.Store(uint64(got))
		}
	default:
		now = int(clock.Inc())
		tab.Expire(at(now), func(id lease.ID) { ended[id]++ })
	}
	if rng.IntN(4) == 0 {
		if got, err := tab.Grant(at(now), at(now+long), w); err == nil {
			started[got]++
			if tab.Verify(got, at(now)) != nil {
				t.Errorf("%v is not live right after its grant", got)
			}
			if tab.Revoke(got) == nil {
				ended[got]++
			} else {
				t.Errorf("%v, which nobody else knew and whose deadline is far, had ended", got)
			}
		}
	}
}
