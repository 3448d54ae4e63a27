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
