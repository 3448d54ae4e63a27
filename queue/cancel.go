package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var cancelEntry = catalog.Entry[Wrap]{
	Name:   "cancel",
	Doc:    "a droplet that gives an attempt up takes it out of the queue: none is served that nobody waits for",
	Source: "J. Dean and L. A. Barroso, The Tail at Scale, CACM 56(2), 2013: cancellation of queued requests; context cancellation of gRPC",
	New: func(_ Config, _ catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		d, err := inner()
		return NewCancel(d), err
	},
}

// NewCancel returns inner without the attempts that are past their deadline, the catalog's
// "cancel". Each is given up as Cancelled when inner comes to it.
func NewCancel(inner Discipline) Discipline { return &cancel{inner: inner} }

// cancel removes attempts that their droplets have given up: those past their deadlines. An
// attempt is removed when the line comes to it, at no cost to a worker. It is never served,
// whatever the inner discipline's own rule is.
type cancel struct{ inner Discipline }

func (q *cancel) Push(now time.Duration, items []Item) int { return q.inner.Push(now, items) }

func (q *cancel) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	for taken+dropped < len(dst) {
		free := dst[taken : len(dst)-dropped]
		n, shed := q.inner.Pop(now, free)
		if n+shed == 0 {
			break
		}
		// What the inner one dropped stands at the end of free already; the cancelled go
		// before it.
		dropped += shed
		kept := 0
		for i := range free[:n] {
			if free[i].Deadline() > now {
				free[i], free[kept] = free[kept], free[i]
				kept++
			}
		}
		for i := n - 1; i >= kept; i-- {
			dropped++
			free[i].Why = Cancelled
			dst[len(dst)-dropped] = free[i] // at i, or behind it, where nothing is left
		}
		taken += kept
	}
	return taken, dropped
}

func (q *cancel) Len() int { return q.inner.Len() }

// Stale implements Rechecker.
func (q *cancel) Stale(now time.Duration, it *Item) bool {
	if it.Deadline() <= now {
		return true
	}
	r, ok := q.inner.(Rechecker)
	return ok && r.Stale(now, it)
}
