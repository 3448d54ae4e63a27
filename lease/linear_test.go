package lease

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/leasestorm/leasestorm/internal/testseed"
	"go.uber.org/atomic"
)

// A history's operations, slot by slot: calls that overlap are ordered so that one order
// explains every answer. An Expire is an operation for each lease that it named.
type opKind uint8

const (
	opGrant opKind = iota
	opRenew
	opRevoke
	opRegrant
	opLapse
)

type opIn struct {
	kind          opKind
	id            ID // asked about; of a grant, granted
	now, deadline uint32
}

type opOut struct {
	ok bool
	id ID // granted anew
}

type slotState struct {
	epoch, deadline uint32 // deadline 0: free
}

// slotModel is one slot in a few obvious lines.
var slotModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		slots := map[uint32][]porcupine.Operation{}
		for _, o := range history {
			s := o.Input.(opIn).id.Slot()
			slots[s] = append(slots[s], o)
		}
		var out [][]porcupine.Operation
		for _, s := range slots {
			out = append(out, s)
		}
		return out
	},
	Init: func() any { return slotState{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(slotState), input.(opIn), output.(opOut)
		holds := s.deadline != 0 && s.epoch == in.id.Epoch()
		switch in.kind {
		case opGrant:
			return s.deadline == 0 && in.id.Epoch() == s.epoch+1, slotState{in.id.Epoch(), in.deadline}
		case opRenew:
			if live := holds && s.deadline > in.now; live {
				return out.ok, slotState{s.epoch, max(s.deadline, in.deadline)}
			}
			return !out.ok, s
		case opRevoke:
			if holds {
				return out.ok, slotState{s.epoch, 0}
			}
			return !out.ok, s
		case opRegrant:
			if holds {
				return out.ok && out.id == MakeID(in.id.Slot(), s.epoch+1), slotState{s.epoch + 1, in.deadline}
			}
			return !out.ok, s
		default:
			return holds && s.deadline <= in.now, slotState{s.epoch, 0}
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v %+v", input, output) },
}

// record lets goroutines call a small table and returns the history.
func recordHistory(t *testing.T, tab Table, seed uint64, calls int) []porcupine.Operation {
	t.Helper()
	const workers = 4
	start := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	seats := make([]atomic.Uint64, 6)
	var clock atomic.Int64
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(w)))
			var mine []porcupine.Operation
			for range calls {
				now := clock.Load()
				seat := &seats[rng.IntN(len(seats))]
				in := opIn{id: ID(seat.Load()), now: uint32(now), deadline: uint32(now) + 1 + rng.Uint32N(4)}
				at, until := time.Duration(now)*Tick, time.Duration(in.deadline)*Tick
				call := time.Since(start).Nanoseconds()
				var out opOut
				var err error
				lapsed := []ID(nil)
				switch in.kind = opKind(rng.IntN(5)); in.kind {
				case opGrant:
					if in.id, err = tab.Grant(at, until, w); err != nil {
						continue // full: seen at no one moment
					}
					seat.Store(uint64(in.id))
				case opRenew:
					out.ok = tab.Renew(in.id, at, until) == nil
				case opRevoke:
					out.ok = tab.Revoke(in.id) == nil
				case opRegrant:
					out.id, err = tab.Regrant(in.id, at, until)
					if out.ok = err == nil; out.ok {
						seat.Store(uint64(out.id))
					}
				case opLapse:
					in.now = uint32(clock.Inc())
					tab.Expire(time.Duration(in.now)*Tick, func(id ID) { lapsed = append(lapsed, id) })
				}
				end := time.Since(start).Nanoseconds()
				if in.kind != opLapse {
					mine = append(mine, porcupine.Operation{ClientId: w, Input: in, Call: call, Output: out, Return: end})
				}
				for _, id := range lapsed {
					in.id = id
					mine = append(mine, porcupine.Operation{ClientId: w, Input: in, Call: call, Output: out, Return: end})
				}
			}
			mu.Lock()
			history = append(history, mine...)
			mu.Unlock()
		})
	}
	all.Wait()
	return history
}

func linearizable(t *testing.T, make func() Table, rounds int) bool {
	t.Helper()
	seed := testseed.Draw(t)
	for round := range rounds {
		h := recordHistory(t, make(), seed+uint64(round), 60)
		if porcupine.CheckOperationsTimeout(slotModel, h, 20*time.Second) == porcupine.Illegal {
			return false
		}
	}
	return true
}

func TestLinearizable(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for _, e := range Catalog.List() {
		t.Run(e.Name, func(t *testing.T) {
			if !linearizable(t, func() Table { return mustMake(t, e.Name, 3) }, rounds) {
				t.Error("no order of the calls explains the answers")
			}
		})
	}
}

func mustMake(t *testing.T, ref string, n int) Table {
	t.Helper()
	tab, err := Make(ref, Env{Leases: n, Workers: 4})
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// noFence is a table that does not look at the epoch of what it revokes.
type noFence struct{ *lockFree }

func (n noFence) Revoke(id ID) error {
	if w := n.at(id); w != nil {
		return n.lockFree.Revoke(MakeID(id.Slot(), uint32(w.Load()>>32)))
	}
	return ErrStale
}

// The check catches a table that is broken.
func TestLinearizableCatches(t *testing.T) {
	if linearizable(t, func() Table { return noFence{mustMake(t, "lockfree", 3).(*lockFree)} }, 40) {
		t.Error("a table without a fence passes")
	}
}

// Why a grant writes its word before it lowers the bound: the other way round a sweep in
// between loses the lease, and it never lapses.
func TestBoundOrder(t *testing.T) {
	for _, tt := range []struct {
		name  string
		steps func(tab *lockFree, write, lower func())
		found int
	}{
		{"word, sweep, bound", func(tab *lockFree, write, lower func()) { write(); tab.sweep(0, 5, ignoreID); lower() }, 1},
		{"word, bound, sweep", func(tab *lockFree, write, lower func()) { write(); lower(); tab.sweep(0, 5, ignoreID) }, 1},
		{"bound, sweep, word: broken", func(tab *lockFree, write, lower func()) { lower(); tab.sweep(0, 5, ignoreID); write() }, 0},
	} {
		tab := mustMake(t, "lockfree", 3).(*lockFree)
		clearBit(tab.free, 1)
		tt.steps(tab, func() { tab.words[1].Store(packWord(1, 10)) }, func() { tab.lower(0, 10) })
		if found := tab.sweepGroup(0, 10, ignoreID); found != tt.found {
			t.Errorf("%s: %d found at the deadline, want %d", tt.name, found, tt.found)
		}
	}
}

func ignoreID(ID) {}
