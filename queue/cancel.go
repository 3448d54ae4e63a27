package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var cancelEntry = catalog.Entry[Wrap]{
	Name:   "cancel",
	Doc:    "a droplet that gives an attempt up takes it out of the queue: none is served that nobody waits for",
	Source: "J. Dean and L. A. Barroso, The Tail at Scale, CACM 56(2), 2013: cancellation of queued requests; context cancellation of gRPC",
	Params: []catalog.Param{
		{Name: "seen", Unit: "1", Default: 1, Min: 0, Max: 1, Doc: "share of the attempts whose cancellation the server sees; the others stay in the queue"},
	},
	New: func(cfg Config, v catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		d, err := inner()
		return &cancel{d, v["seen"], cfg.Answered}, err
	},
}

// NewCancel returns inner without the attempts that are past their deadline, the catalog's
// "cancel". Each is given up as Cancelled when inner comes to it.
func NewCancel(inner Discipline) Discipline { return &cancel{inner, 1, nil} }

// cancel removes attempts that their droplets have given up: those past their deadlines and, where clients
// hedge, those whose request was answered. An attempt is removed when the line comes to it, at no cost to a
// worker. It is never served, whatever the inner discipline's own rule is. An attempt that a worker has taken
// up is finished.
//
// Whether the server sees the cancellation of an attempt goes by the attempt, so that it is the
// same in every run and at every look.
type cancel struct {
	inner    Discipline
	seen     float64 // share of the cancellations
	answered func(*Item) bool
}

// gone reports whether the server knows that nobody waits for the attempt.
func (q *cancel) gone(now time.Duration, it *Item) bool {
	return (it.Deadline() <= now || q.answered != nil && q.answered(it)) && (q.seen >= 1 || share(it) < q.seen)
}

// share is a number in [0, 1) that belongs to an attempt: a finalizer of splitmix64 on what names it.
func share(it *Item) float64 {
	x := uint64(it.Droplet)<<32 ^ uint64(it.Born) + 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

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
			if !q.gone(now, &free[i]) {
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
	if q.gone(now, it) {
		it.Why = Cancelled
		return true
	}
	r, ok := q.inner.(Rechecker)
	return ok && r.Stale(now, it)
}
