//go:build interleave

package queue

import (
	"fmt"
	"strings"
	"testing"
)

// program is what the threads of a walk do. Each word is a call: "+3" pushes a batch of
// three, "-2" pops up to two, "!" switches a Switch.
type program struct {
	before  string   // calls that one thread makes first, alone
	threads []string // calls of each thread
	stall   bool     // see interleave
	kept    int      // how many items are kept, before the queue drains; 0: all
	taken   int      // how many items the threads' pops give at least
}

// player makes a program's calls on a queue and keeps account.
type player struct {
	queue  Discipline
	view   func(thread int) Discipline // nil: all use queue
	kept   [][]uint64                  // by thread; items are named by thread and number
	popped [][]uint64
}

func newPlayer(q Discipline, threads int) *player {
	return &player{queue: q, kept: make([][]uint64, threads+2), popped: make([][]uint64, threads+2)}
}

func (p *player) play(thread int, words string) {
	d := p.queue
	if p.view != nil {
		d = p.view(thread)
	}
	for word := range strings.FieldsSeq(words) {
		if word == "!" {
			p.queue.(*Switch).Do()
			continue
		}
		items := make([]Item, word[1]-'0')
		if word[0] == '-' {
			taken, dropped := d.Pop(0, items)
			for _, it := range append(items[:taken:taken], items[len(items)-dropped:]...) {
				p.popped[thread] = append(p.popped[thread], it.Lease)
			}
			continue
		}
		for i := range items {
			items[i].Lease = uint64(thread)<<32 | uint64(len(p.kept[thread])+i)
		}
		for _, it := range items[:d.Push(0, items)] {
			p.kept[thread] = append(p.kept[thread], it.Lease)
		}
	}
}

// check drains the queue and says what does not hold, whatever the order of the threads was:
// nothing is lost or comes out twice, each producer's items come in their order (if they
// should), and the queue is empty in the end.
func (p *player) check(want program, ordered bool) error {
	n := len(want.threads)
	kept, taken := 0, 0
	for i := range n {
		taken += len(p.popped[i])
	}
	if taken < want.taken {
		return fmt.Errorf("%d items were taken while %d stood ready", taken, want.taken)
	}
	for left := -1; left < len(p.popped[n+1]); {
		left = len(p.popped[n+1])
		p.play(n+1, "-3")
	}
	times := map[uint64]int{}
	for thread := range p.popped {
		last := map[uint64]uint64{}
		for _, id := range p.popped[thread] {
			if times[id]++; ordered && last[id>>32] > id {
				return fmt.Errorf("thread %d took item %d of producer %d before item %d", thread, uint32(last[id>>32]), id>>32, uint32(id))
			}
			last[id>>32] = id
		}
	}
	for thread := range p.kept {
		kept += len(p.kept[thread])
		for _, id := range p.kept[thread] {
			if times[id] != 1 {
				return fmt.Errorf("item %d of producer %d came out %d times", uint32(id), thread, times[id])
			}
			delete(times, id)
		}
	}
	if len(times) > 0 || p.queue.Len() != 0 {
		return fmt.Errorf("%d items came out that were never in; Len is %d", len(times), p.queue.Len())
	}
	if want.kept > 0 && kept != want.kept {
		return fmt.Errorf("%d items were kept, want %d", kept, want.kept)
	}
	return nil
}

// walkProgram walks a program's interleavings over queues that newQueue makes.
func walkProgram(t *testing.T, tt program, preemptions int, ordered bool, newQueue func() Discipline) {
	t.Helper()
	if testing.Short() {
		preemptions-- // the race detector costs ten times as much
	}
	runs, err := interleave(preemptions, tt.stall, func() ([]func(), func() error) {
		p := newPlayer(newQueue(), len(tt.threads))
		p.play(len(tt.threads), tt.before)
		if s, ok := p.queue.(Sharder); ok {
			p.view = func(thread int) Discipline { return s.View(thread) }
		}
		threads := make([]func(), len(tt.threads))
		for i, text := range tt.threads {
			threads[i] = func() { p.play(i, text) }
		}
		return threads, func() error { return p.check(tt, ordered) }
	})
	if err != nil {
		t.Error(err)
	}
	t.Logf("%d runs with up to %d preemptions", runs, preemptions)
}

func TestInterleaveFifo(t *testing.T) {
	for _, tt := range []struct {
		name        string
		sizes       fifoSizes
		preemptions int
		program
	}{
		// Three pushers meet at a place whose segment a stalled popper has yet to put away.
		{"recycled", fifoSizes{4, 2, 1}, 2, program{before: "+4 -3 +3", threads: []string{"-1", "-3", "+2", "+1", "+1"}, stall: true}},
		// Batches cross from a segment that may be spent, and numbered anew, right then.
		{"edges", fifoSizes{4, 2, 1}, 2, program{before: "+3 -3", threads: []string{"+2", "-1", "+1", "+1"}}},
		{"edges of two", fifoSizes{2, 4, 1}, 2, program{before: "+1", threads: []string{"+3", "-2 -2", "+2"}}},
		{"edges of one", fifoSizes{1, 4, 1}, 2, program{threads: []string{"+2", "-1 -1", "+2"}, stall: true}},
		// The directory wraps while a popper has yet to put a segment away.
		{"wrapped", fifoSizes{2, 2, 1}, 2, program{before: "+2 -1", threads: []string{"-1", "+1 -1 +1 -1 +1 -1 +1 -1 +1 -1"}, stall: true}},
		// A popper finds the bits of an earlier round, whose last popper has yet to clear them.
		{"stale", fifoSizes{2, 2, 1}, 2, program{before: "+2 -1", threads: []string{"-1", "+2 -2 -1 +1", "-1"}, stall: true}},
		{"no spares", fifoSizes{2, 2, 0}, 2, program{before: "+2", threads: []string{"-1 -1", "-2 +1", "+2"}}},
		// Batches that pass the limit together: as many are kept as it lets in.
		{"full", fifoSizes{4, 2, 1}, 3, program{threads: []string{"+3", "+3", "+2"}, kept: 4}},
		{"full twice", fifoSizes{2, 2, 1}, 2, program{threads: []string{"+2 +1", "+2 +1", "+1 +1"}, kept: 2}},
		{"full, with a popper", fifoSizes{2, 2, 1}, 2, program{before: "+1", threads: []string{"+2", "-2 -1", "+2"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			walkProgram(t, tt.program, tt.preemptions, true, func() Discipline { return newFifoLockFree(tt.sizes, false) })
		})
	}
}

// A popper reads a segment's place, and then its number. In between the segment is put away,
// and numbered anew by a pusher that comes too late to install it and uses it elsewhere. This is
// one schedule: a walk of five threads would take hours to come to it.
func TestInterleavePassedBy(t *testing.T) {
	q := newFifoLockFree(fifoSizes{2, 4, 2}, false)
	p := newPlayer(q, 5)
	p.play(5, "+2 -1")
	place, seg := &q.dir[0], q.dir[0].Load()
	w := &walk{words: map[any]uint64{}}
	schedule = w.point
	defer func() { schedule = nil }()
	start := func(calls string) int {
		thread := len(w.threads)
		w.start(func() { p.play(thread, calls) })
		return thread
	}
	until := func(thread int, word any, a access) {
		for th := w.threads[thread]; !th.done && (th.word != word || th.access != a); {
			w.step(thread)
		}
	}
	last := start("-1")
	until(last, place, writes) // about to put the segment away
	until(start("+2 -2 +2 -2 +2 -2"), nil, waits)
	popper := start("-1")
	until(popper, &seg.number, reads)
	until(last, nil, waits)
	first, late := start("+1"), start("+1 +1")
	until(first, place, writes) // with another segment
	until(late, place, writes)  // with ours
	until(first, nil, waits)
	w.step(popper)
	if got := seg.number.v.Load(); got != 4 {
		t.Fatalf("the popper read the number %d, want that of its position's segment, 4", got)
	}
	until(late, nil, waits)
	until(popper, nil, waits)
	schedule = nil
	if err := p.check(program{threads: make([]string, 5)}, true); err != nil {
		t.Error(err)
	}
}

func TestInterleaveLifo(t *testing.T) {
	slab := new([slabNodes]stackNode)
	for _, tt := range []struct {
		name        string
		nodes       int
		preemptions int
		program
	}{
		{"recycled", 100, 2, program{before: "+1 +1", threads: []string{"-1", "-2", "+1 +1"}, stall: true}},
		{"parts of a node", 100, 2, program{before: "+3", threads: []string{"-1 -1", "-2", "+4"}}},
		{"full", 4, 2, program{before: "+3", threads: []string{"+4", "+4", "-4"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			walkProgram(t, tt.program, tt.preemptions, false, func() Discipline {
				q := newLifoLockFree(tt.nodes, false)
				q.slabs[0].Store(slab) // its nodes are used: a new one is as good
				return q
			})
		})
	}
}
