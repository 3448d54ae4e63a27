//go:build interleave

package queue

import (
	"errors"
	"fmt"
	"iter"
	"strings"
)

// A walk runs a small concurrent program again and again, each time in another
// interleaving, until it has run them all, up to a number of preemptions. One goroutine
// runs at a time; at every scheduling point (words_interleave.go) the walk decides which.
//
// A schedule is a sequence of choices, and the walk is a depth-first search over them. It
// turns back where it has been in the same state before. Two states are the same if every
// thread has made the same accesses and has seen the same writes: a thread's next step
// follows from those. Reads and accesses to different words commute, so that most
// interleavings meet in few states.
type walk struct {
	threads []*thread
	current int
	words   map[any]uint64 // hash of the writes to each word
	seen    map[uint64]int // by state: most preemptions that were left
	path    []choice
	writes  int // of the current run
	runs    int
	stall   int  // see interleave
	stalled bool // thread 0 still had something to do after stall steps
}

type thread struct {
	next   func() (struct{}, bool)
	stop   func()
	yield  func(struct{}) bool
	word   any // next access
	access access
	hash   uint64 // of the accesses so far
	writes int
	waited int // writes of others when it last began to wait again
	done   bool
}

type choice struct{ taken, of int }

type stopped struct{}

func hash(h, x uint64) uint64 {
	h = (h ^ x) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// point is what the scheduling points call.
func (w *walk) point(word any, a access) {
	t := w.threads[w.current]
	t.word, t.access = word, a
	if !t.yield(struct{}{}) {
		panic(stopped{})
	}
}

// start makes a thread and brings it to its first point.
func (w *walk) start(body func()) {
	t := &thread{hash: uint64(len(w.threads) + 1), waited: -1}
	w.current = len(w.threads)
	w.threads = append(w.threads, t)
	t.next, t.stop = iter.Pull(func(yield func(struct{}) bool) {
		defer func() {
			if r := recover(); r != nil && r != (stopped{}) {
				panic(r)
			}
		}()
		t.yield = yield
		body()
	})
	_, ok := t.next()
	t.done = !ok
}

func (w *walk) ready(t *thread) bool {
	return !t.done && (t.access != waits || w.writes-t.writes > t.waited)
}

// step lets a thread make its next access, and go on to the point after it.
func (w *walk) step(i int) {
	t := w.threads[i]
	w.current = i
	switch t.access {
	case reads:
		t.hash = hash(t.hash, w.words[t.word])
	case writes:
		t.hash = hash(t.hash, w.words[t.word]+1)
		w.words[t.word] = t.hash
		w.writes++
		t.writes++
	case plain:
		t.hash = hash(t.hash, 2)
	case waits:
		t.hash = hash(t.hash, 3)
		t.waited = w.writes - t.writes
	}
	_, ok := t.next()
	t.done = !ok
}

// state identifies the state that the run is in.
func (w *walk) state(current int) uint64 {
	h := uint64(current + 1)
	for _, t := range w.threads {
		h = hash(h, t.hash)
		if t.access == waits && w.ready(t) {
			h++
		}
	}
	return h // the words' hashes follow from the threads'
}

// run makes one run, along path as far as it goes. It reports whether the run came to its
// end; if it did not, because the rest is known, there is nothing to check. An error says
// that nobody can go on.
func (w *walk) run(bodies []func(), preemptions int) (complete bool, err error) {
	w.runs++
	w.threads, w.writes = w.threads[:0], 0
	clear(w.words)
	schedule = w.point
	defer func() {
		schedule = nil
		for _, t := range w.threads {
			t.stop()
		}
	}()
	for _, body := range bodies {
		w.start(body)
	}
	if w.stall > 0 {
		for range w.stall {
			if w.ready(w.threads[0]) {
				w.step(0)
			}
		}
		w.stalled = !w.threads[0].done
		for w.ready(w.threads[1]) {
			w.step(1)
		}
	}
	current := -1
	options := make([]int, 0, len(bodies))
	for depth := 0; ; depth++ {
		// Who runs goes on, if it can; to take another is a preemption then.
		options = options[:0]
		on := current >= 0 && w.ready(w.threads[current])
		free := !on || w.threads[current].access == waits
		if on {
			options = append(options, current)
		}
		left := false
		for i, t := range w.threads {
			left = left || !t.done
			if i != current && w.ready(t) && (free || preemptions > 0) {
				options = append(options, i)
			}
		}
		if len(options) == 0 {
			if left {
				return true, errors.New("stuck: every thread that is left waits for another")
			}
			return true, nil
		}
		if depth == len(w.path) {
			if free {
				current = -1
			}
			state := w.state(current)
			if most, known := w.seen[state]; known && most >= preemptions {
				return false, nil
			}
			w.seen[state] = preemptions
			w.path = append(w.path, choice{0, len(options)})
		}
		i := options[w.path[depth].taken]
		if on && !free && i != options[0] {
			preemptions--
		}
		w.step(i)
		current = i
		if depth > 10_000 {
			return true, fmt.Errorf("no end after %d steps", depth)
		}
	}
}

// interleave walks all interleavings of the threads that prepare makes anew for each run,
// with so many preemptions at most, and calls check after each. It returns the first fault,
// with the schedule that shows it, and how many runs there were.
//
// With stall it does so from each state in which thread 0 has made some of its steps, and
// thread 1 then all of its own: what a thread finds that was away for long, for the
// preemptions of one that was not.
func interleave(preemptions int, stall bool, prepare func() (threads []func(), check func() error)) (runs int, fault error) {
	w := &walk{words: map[any]uint64{}, seen: map[uint64]int{}}
	for {
		threads, check := prepare()
		complete, err := w.run(threads, preemptions)
		if err == nil && complete {
			err = check()
		}
		if err != nil {
			return w.runs, fmt.Errorf("%w; run %d, stalled after %d, schedule %s", err, w.runs, w.stall, w.schedule())
		}
		for len(w.path) > 0 && w.path[len(w.path)-1].taken+1 == w.path[len(w.path)-1].of {
			w.path = w.path[:len(w.path)-1]
		}
		switch {
		case len(w.path) > 0:
			w.path[len(w.path)-1].taken++
		case stall && (w.stall == 0 || w.stalled):
			w.stall++
		default:
			return w.runs, nil
		}
	}
}

// schedule writes the choices of the current run: 0 goes on, others take another thread.
func (w *walk) schedule() string {
	var b strings.Builder
	for _, c := range w.path {
		b.WriteByte('0' + byte(c.taken))
	}
	return b.String()
}
