package queue

import (
	"fmt"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var fairEntry = catalog.Entry[Wrap]{
	Name:   "fair",
	Doc:    "a discipline of its own for each availability zone, served in turn by what they cost (deficit round robin)",
	Source: "M. Shreedhar and G. Varghese, Efficient Fair Queuing using Deficit Round Robin, SIGCOMM 1995; with codel: RFC 8290",
	New: func(cfg Config, _ catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		var o FairOptions
		if unit := min(cfg.Service[Check], cfg.Service[Establish]); unit > 0 {
			for class, s := range cfg.Service {
				o.Cost[class] = int(s / unit)
			}
		}
		return NewFair(o, inner)
	},
}

// FairOptions are the options of [NewFair]. With the zero value each attempt costs the same.
type FairOptions struct {
	// Cost is what an attempt of each class costs, in any unit; 0 is 1.
	Cost [Classes]int
}

// Validate returns an error if a cost is negative.
func (o *FairOptions) Validate() error {
	for class, c := range o.Cost {
		if c < 0 {
			return catalog.OutOfRange(fmt.Sprintf("FairOptions.Cost[%v]", Class(class)), c, "0 or more")
		}
	}
	return nil
}

// NewFair returns a queue that keeps a discipline for each availability zone and serves the
// zones in turn by what their attempts cost: deficit round robin, the catalog's "fair".
// inner makes the discipline of one zone. It is called eight times; zones beyond eight share.
func NewFair(o FairOptions, inner func() (Discipline, error)) (Discipline, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	q := &fair{}
	for class, c := range o.Cost {
		q.cost[class] = max(1, c)
		q.quantum = max(q.quantum, q.cost[class])
	}
	for range maxZones {
		d, err := inner()
		if err != nil {
			return nil, err
		}
		q.zones = append(q.zones, zoneQueue{Discipline: d})
	}
	return q, nil
}

// maxZones is how many zones are told apart. Zones beyond share.
const maxZones = 8

// fair gives each zone a quantum per round, the cost of the dearest class. A zone keeps what it
// does not spend as long as it has items waiting.
type fair struct {
	mu      sync.Mutex
	zones   []zoneQueue
	at      int // whose turn it is
	cost    [Classes]int
	quantum int
}

type zoneQueue struct {
	Discipline
	deficit int
}

func (q *fair) Push(now time.Duration, items []Item) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	var parts [maxZones]Discipline
	for i := range q.zones {
		parts[i] = q.zones[i].Discipline
	}
	return pushParts(now, items, func(it *Item) int { return int(it.Zone) % maxZones }, parts[:]...)
}

func (q *fair) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for empty := 0; taken+dropped < len(dst) && empty < len(q.zones); {
		z := &q.zones[q.at]
		if z.Len() == 0 {
			empty++
			q.next()
			continue
		}
		if z.deficit <= 0 {
			z.deficit += q.quantum
		}
		// One at a time: what it costs is known when it is seen.
		room := dst[taken : len(dst)-dropped]
		t, d := z.Pop(now, room[:1])
		switch {
		case t == 1:
			z.deficit -= q.cost[room[0].Class]
			taken++
			empty = 0
		case d == 1: // dropping costs nothing
			it := room[0]
			dropped++
			dst[len(dst)-dropped] = it
			empty = 0
		default:
			empty++
		}
		switch {
		case z.Len() == 0: // at once: what it saved must not outlast its turn
			z.deficit = 0
			q.next()
		case z.deficit <= 0 || t+d == 0:
			q.next()
		}
	}
	return taken, dropped
}

func (q *fair) next() { q.at = (q.at + 1) % len(q.zones) }

func (q *fair) Len() (n int) {
	for i := range q.zones {
		n += q.zones[i].Len()
	}
	return n
}

// Stale implements Rechecker.
func (q *fair) Stale(now time.Duration, it *Item) bool {
	r, ok := q.zones[0].Discipline.(Rechecker)
	return ok && r.Stale(now, it)
}
