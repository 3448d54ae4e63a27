package queue

import (
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var boundedEntry = catalog.Entry[New]{
	Name:   "bounded",
	Doc:    "first come, first served, up to a limit; newcomers that find it full are turned away (drop-tail)",
	Source: "drop-tail; S. Floyd and V. Jacobson, Random Early Detection Gateways, IEEE/ACM ToN 1(4), 1993 (what it is compared with)",
	Params: []catalog.Param{
		{Name: "depth", Unit: "timeouts", Default: 0.5, Min: 0, Max: 1000, Doc: "limit, as the time in which the workers serve so many establishes"},
		{Name: "limit", Unit: "attempts", Default: 0, Min: 0, Max: 1e9, Doc: "limit in attempts, of each part behind percore, fair or priority; 0: by depth"},
	},
	New: newBounded,
}

type bounded struct {
	fifo
	limit int
}

// NewBounded returns a queue that serves in order of arrival and holds at most limit
// attempts, the catalog's "bounded". A newcomer that finds the queue full is given up as
// Full. The limit is at least 1.
func NewBounded(limit int) (Discipline, error) {
	if limit < 1 {
		return nil, catalog.OutOfRange("limit", limit, "at least 1 attempt")
	}
	return &bounded{limit: limit}, nil
}

func newBounded(cfg Config, v catalog.Values) (Discipline, error) {
	limit := v.Int("limit")
	if limit == 0 {
		limit = int(v["depth"] * float64(cfg.Timeout) * float64(max(1, cfg.Workers)) / float64(max(1, cfg.Service[Establish])))
	}
	return NewBounded(max(1, limit))
}

func (q *bounded) Push(_ time.Duration, items []Item) int {
	q.mu.Lock()
	kept := min(len(items), max(0, q.limit-q.items.Len()))
	q.items.Append(items[:kept])
	q.n.Store(int64(q.items.Len()))
	q.mu.Unlock()
	for i := range items[kept:] {
		items[kept+i].Why = Full
	}
	return kept
}

// InOrder implements InOrder. It is false: a newcomer that finds no room is not kept.
func (*bounded) InOrder() bool { return false }
