package queue

import "testing"

// A wait is tried where head says so, kept up while it brings items, and given up otherwise.
func TestPatience(t *testing.T) {
	var p patience
	for i, tt := range []struct {
		head  uint64
		ready []int // what each look finds
		waits bool  // what is advised from then on
	}{
		{1, []int{1}, false},
		{tryEvery, []int{0}, false},                      // nothing there: no try
		{tryEvery, []int{worthwhile}, false},             // enough there: no try
		{tryEvery, []int{1, worthwhile}, false},          // one too few came
		{tryEvery, []int{1, worthwhile + 1}, true},       // it pays
		{1, []int{worthwhile}, true},                     // and goes on to
		{2 * tryEvery, []int{3, worthwhile + 3}, true},   // at the next try, too
		{2 * tryEvery, []int{3, worthwhile + 2}, false},  // no longer
		{3 * tryEvery, []int{1, 2 * worthwhile}, true},   // again
		{3*tryEvery + 1, []int{worthwhile - 1}, false},   // until a wait brings too few
		{3*tryEvery + 2, []int{worthwhile, 0, 0}, false}, // one look
	} {
		looks := 0
		got := p.before(tt.head, func() int { looks++; return tt.ready[looks-1] })
		if got != tt.ready[looks-1] || p.waits.Load() != tt.waits || tt.head%tryEvery == 0 && looks != len(tt.ready) {
			t.Errorf("step %d: it found %d in %d looks, and waits is %v", i, got, looks, p.waits.Load())
		}
	}
}
