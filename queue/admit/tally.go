package admit

import (
	"sync"
	"time"

	"go.uber.org/atomic"
)

// tally is the number and the sum of waits, which many workers add to at once. Both lie in
// one word, so that one addition counts a wait and no reader sees a wait without its count:
//
//	63          44 43               0
//	| count : 20  | sum of ns : 44  |
//
// The worker that sees one of the two half full moves them to where there is room, under the
// lock: both are exact at any size.
type tally struct {
	word atomic.Uint64

	mu  sync.Mutex // guards what follows
	n   int64
	sum float64 // ns
}

const (
	tallyBits = 44
	tallyHalf = 1<<63 | 1<<(tallyBits-1)
	// longWait does not go into the word: 512 workers that add at once must not fill the half
	// that is left.
	longWait = 1 << 34 // 17 s
)

func (t *tally) add(wait time.Duration) {
	if wait < 0 || wait > longWait {
		t.mu.Lock()
		t.n++
		t.sum += float64(wait)
		t.mu.Unlock()
		return
	}
	if t.word.Add(1<<tallyBits|uint64(wait))&tallyHalf != 0 {
		t.mu.Lock()
		t.empty()
		t.mu.Unlock()
	}
}

// empty moves the word to n and sum.
func (t *tally) empty() {
	w := t.word.Swap(0)
	t.n += int64(w >> tallyBits)
	t.sum += float64(w & (1<<tallyBits - 1))
}

// any says whether something was added since the last take.
func (t *tally) any() bool {
	if t.word.Load() != 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n > 0
}

// sums is what was added since the last take.
func (t *tally) sums() (n int64, sum float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.empty()
	return t.n, t.sum
}

// take is sums, and begins anew.
func (t *tally) take() (n int64, sum float64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.empty()
	n, sum = t.n, t.sum
	t.n, t.sum = 0, 0
	return n, sum
}
