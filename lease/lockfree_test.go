package lease

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"go.uber.org/atomic"
)

// However grants, renewals, revocations and sweeps interleave: once all calls have returned, no
// bound is after a deadline in its block, and no top after a bound in its group.
func TestBoundsHold(t *testing.T) {
	seed := testseed.Draw(t)
	const blocks, workers, calls = 3 * groupBlocks / 2, 4, 2000
	tab := mustMake(t, "lockfree", blocks*blockWords).(*lockFree)
	seats := make([]atomic.Uint64, 64)
	var clock atomic.Int64
	for range 5 {
		var all sync.WaitGroup
		for w := range workers {
			all.Go(func() {
				rng := rand.New(rand.NewPCG(seed, uint64(w)))
				for range calls {
					now := time.Duration(clock.Load()) * Tick
					until := now + time.Duration(1+rng.IntN(30))*Tick
					seat := &seats[rng.IntN(len(seats))]
					switch id := ID(seat.Load()); rng.IntN(8) {
					case 0:
						tab.Expire(time.Duration(clock.Inc())*Tick, ignoreID)
					case 1:
						_ = tab.Revoke(id)
					case 2:
						_ = tab.Renew(id, now, until)
					case 3:
						if id, err := tab.Regrant(id, now, until); err == nil {
							seat.Store(uint64(id))
						}
					default:
						if id, err := tab.Grant(now, until, rng.IntN(workers)); err == nil {
							seat.Store(uint64(id))
						}
					}
				}
			})
		}
		all.Wait()
		for i := range tab.words {
			d, bound := uint32(tab.words[i].Load()), tab.bounds[i>>blockShift].Load()
			if d != 0 && d < bound {
				t.Fatalf("slot %d is due at %d, its block not before %d", i, d, bound)
			}
		}
		for b := range tab.bounds {
			if bound, top := tab.bounds[b].Load(), tab.tops[b>>groupShift].Load(); bound < top {
				t.Fatalf("block %d may be due at %d, its group not before %d", b, bound, top)
			}
		}
	}
}

// A grant in a block that a sweep of the group has passed is found at its deadline: the sweep
// raises the top before it reads the bounds, not after.
func TestGrantBehindSweep(t *testing.T) {
	tab := mustMake(t, "lockfree", 2*blockWords).(*lockFree)
	put := func(slot, deadline uint32) {
		clearBit(tab.free, slot)
		tab.words[slot].Store(packWord(1, deadline))
		tab.lower(slot>>blockShift, deadline)
	}
	put(blockWords, 5)
	ended := tab.sweepGroup(0, 5, func(ID) { put(0, 10) })
	if ended != 1 {
		t.Fatalf("%d ended at 5, want 1", ended)
	}
	if n := tab.Expire(10*Tick, ignoreID); n != 1 {
		t.Errorf("%d ended at 10, want 1", n)
	}
}
