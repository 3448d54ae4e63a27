package queue

import (
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var fairEntry = catalog.Entry[Wrap]{
	Name:   "fair",
	Doc:    "a discipline of its own for each availability zone, served in turn by what they cost (deficit round robin)",
	Source: "M. Shreedhar and G. Varghese, Efficient Fair Queuing using Deficit Round Robin, SIGCOMM 1995; with codel: RFC 8290",
	New: func(cfg Config, _ catalog.Values, inner func() (Discipline, error)) (Discipline, error) {
		q := &fair{}
		unit := min(cfg.Service[Check], cfg.Service[Establish])
		for class, s := range cfg.Service {
			q.cost[class] = 1
			if unit > 0 {
				q.cost[class] = max(1, int(s/unit))
			}
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
	},
}

// maxZones are told apart; zones beyond share.
const maxZones = 8

// fair lets each zone spend a quantum a round, one of the dearest class, and keep what it
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
