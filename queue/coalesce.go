package queue

import (
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var coalesceEntry = catalog.Entry[Wrap]{
	Name:   "coalesce",
	Doc:    "at most one queued attempt a droplet and class: the newest takes the old one's place in the line",
	Source: "k8s.io/client-go/util/workqueue (its dirty set); the newest wins",
	New: func(_ Config, _ catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		d, err := inner()
		return NewCoalesce(d), err
	},
}

// NewCoalesce returns a queue that holds at most one attempt per droplet and class and keeps
// its place in inner, the catalog's "coalesce". A newer attempt takes the place of the one
// that waits, which is given up as Displaced.
func NewCoalesce(inner Discipline) Discipline {
	return &coalesce{inner: inner, waiting: map[coalesceKey]Item{}}
}

// coalesce keeps each droplet's first attempt in the inner discipline, as its place in the
// line, and the newest attempt beside it. The newest is served. A droplet that asks again
// therefore neither goes to the end of the line nor leaves dead work behind.
type coalesce struct {
	mu      sync.Mutex
	inner   Discipline
	waiting map[coalesceKey]Item // guarded by mu: the newest attempt of each place in inner
}

type coalesceKey struct {
	droplet uint32
	class   Class
}

func keyOf(it *Item) coalesceKey { return coalesceKey{it.Droplet, it.Class} }

func (q *coalesce) Push(now time.Duration, items []Item) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	// Newcomers go to the front; those that took a place leave the displaced item behind.
	fresh := 0
	for i := range items {
		it := items[i]
		old, queued := q.waiting[keyOf(&it)]
		if !queued {
			q.waiting[keyOf(&it)] = it
			items[i], items[fresh] = items[fresh], it
			fresh++
			continue
		}
		if it.Born >= old.Born {
			q.waiting[keyOf(&it)] = it
		} else {
			old = it // an older one that comes late is itself what is displaced
		}
		old.Why = Displaced
		items[i] = old
	}
	kept := q.inner.Push(now, items[:fresh])
	for i := range items[kept:fresh] {
		it := &items[kept+i]
		if newest, ok := q.waiting[keyOf(it)]; ok { // a later item of the batch may have taken its place
			newest.Why = it.Why
			*it = newest
			delete(q.waiting, keyOf(it))
		}
	}
	return kept
}

func (q *coalesce) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken, dropped = q.inner.Pop(now, dst)
	for i := range dst[:taken] {
		dst[i] = q.take(dst[i])
	}
	// If the queued attempt has expired but the same droplet has asked again since, serve the
	// newer attempt.
	rule, _ := q.inner.(Rechecker)
	tail := dst[len(dst)-dropped:]
	for i := 0; i < len(tail); {
		newest := q.take(tail[i])
		if newest.Born == tail[i].Born || rule == nil || rule.Stale(now, &newest) {
			newest.Why = tail[i].Why
			tail[i] = newest
			i++
			continue
		}
		// The first of the dropped moves here, and its room goes to the taken: the next to
		// look at is at i again.
		tail[i] = tail[0]
		tail = tail[1:]
		dropped--
		dst[taken] = newest
		taken++
	}
	return taken, dropped
}

// take ends a place and returns the attempt that it stands for.
func (q *coalesce) take(place Item) Item {
	k := keyOf(&place)
	newest := q.waiting[k]
	delete(q.waiting, k)
	return newest
}

func (q *coalesce) Len() int { return q.inner.Len() }

// Stale implements Rechecker.
func (q *coalesce) Stale(now time.Duration, it *Item) bool {
	r, ok := q.inner.(Rechecker)
	return ok && r.Stale(now, it)
}
