package queue

import (
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var randomEntry = catalog.Entry[New]{
	Name:   "random",
	Doc:    "in random order, without bound: no place in the line, for the dead as little as for the living",
	Source: "J. F. C. Kingman, On queues in which customers are served in random order, Proc. Camb. Phil. Soc. 58(1), 1962",
	Params: []catalog.Param{
		{Name: "drop", Default: 0, Min: 0, Max: 1, Doc: "1: drops what cannot be done before its deadline, when it is drawn; 0: serves it"},
		{Name: "seed", Default: 1, Min: 0, Max: 1 << 53, Doc: "of the draws"},
		marginParam,
	},
	New: func(cfg Config, v catalog.Values) (Discipline, error) {
		var rule Rechecker
		if v["drop"] >= 0.5 {
			m := margins(cfg, v)
			if err := m.Validate(); err != nil {
				return nil, err
			}
			rule = &m
		}
		return NewRandom(uint64(v["seed"]), rule), nil
	},
}

// NewRandom returns an unbounded queue that serves the waiting attempts in random order, each with the same
// chance: SIRO, the catalog's "random". It drops, as Expired, each drawn attempt that rule calls stale. A nil
// rule drops nothing; a [Margin] is the usual one. In M/M/1 the mean wait is that of first come, first served,
// and the second moment 2/(2−ρ) times as large.
func NewRandom(seed uint64, rule Rechecker) Discipline {
	return &random{rng: rand.New(rand.NewPCG(seed, 0x7369726f)), rule: rule}
}

type random struct {
	mu    sync.Mutex
	items []Item // guarded by mu, as is rng
	rng   *rand.Rand
	n     atomic.Int64
	rule  Rechecker // nil: nothing is dropped
}

// Push implements Discipline: everything is kept.
func (q *random) Push(_ time.Duration, items []Item) int {
	q.mu.Lock()
	q.items = append(q.items, items...)
	q.n.Store(int64(len(q.items)))
	q.mu.Unlock()
	return len(items)
}

// Pop implements Discipline. What is drawn leaves its place to the last.
func (q *random) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	if q.n.Load() == 0 {
		return 0, 0
	}
	q.mu.Lock()
	b := batch{dst: dst}
	for b.open() && len(q.items) > 0 {
		last := len(q.items) - 1
		at := &q.items[q.rng.Uint64N(uint64(last)+1)]
		if q.Stale(now, at) {
			b.drop(at, Expired)
		} else {
			b.take(at)
		}
		*at = q.items[last]
		q.items = q.items[:last]
	}
	if len(q.items) == 0 && cap(q.items) > 1<<16 {
		q.items = nil // the memory of a surge
	}
	q.n.Store(int64(len(q.items)))
	q.mu.Unlock()
	return b.taken, b.dropped
}

// Len implements Discipline.
func (q *random) Len() int { return int(q.n.Load()) }

// Stale implements Rechecker.
func (q *random) Stale(now time.Duration, it *Item) bool {
	return q.rule != nil && q.rule.Stale(now, it)
}
