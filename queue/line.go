package queue

import (
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/chunk"
)

// line is what the disciplines with one unbounded list under one lock have in
// common; each adds its Pop.
type line struct {
	mu    sync.Mutex
	items chunk.Deque[Item] // guarded by mu; in order of arrival
	n     atomic.Int64      // items.Len(), stored under mu and read without
}

// Push implements Discipline: everything is kept.
func (l *line) Push(_ time.Duration, items []Item) int {
	l.mu.Lock()
	l.items.Append(items)
	l.n.Store(int64(l.items.Len()))
	l.mu.Unlock()
	return len(items)
}

// Len implements Discipline.
func (l *line) Len() int { return int(l.n.Load()) }

// batch is the dst of a Pop while a discipline that drops fills it: what is taken from the
// front on, what is dropped from the back on.
type batch struct {
	dst            []Item
	taken, dropped int
}

// open says whether dst has room.
func (b *batch) open() bool { return b.taken+b.dropped < len(b.dst) }

// take and drop run for each item under the discipline's lock. Both are small enough to be
// inlined.

// take adds an item to serve.
func (b *batch) take(it *Item) {
	b.dst[b.taken] = *it
	b.taken++
}

// drop adds an item that is given up.
func (b *batch) drop(it *Item, why Reason) {
	b.dropped++
	at := &b.dst[len(b.dst)-b.dropped]
	*at = *it
	at.Why = why
}
