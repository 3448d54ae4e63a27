package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

var apfEntry = catalog.Entry[New]{
	Name:   "apf",
	Doc:    "a priority level for each class, in it short queues that flows are dealt to by shuffle sharding, served fairly; drops what has waited for a quarter of its timeout",
	Source: "Kubernetes API Priority and Fairness, k8s.io/apiserver/pkg/util/flowcontrol and shufflesharding @24a394e; levels and numbers of apis/flowcontrol/bootstrap/default.go",
	Params: []catalog.Param{
		{Name: "check", Unit: "1", Default: 40, Min: 1, Max: 1e6, Doc: "shares of checks (node-high)"},
		{Name: "launch", Unit: "1", Default: 40, Min: 1, Max: 1e6, Doc: "shares of launches (workload-high)"},
		{Name: "establish", Unit: "1", Default: 100, Min: 1, Max: 1e6, Doc: "shares of establishes (workload-low)"},
		{Name: "queues", Unit: "1", Default: 128, Min: 1, Max: 1024, Doc: "queues of a level"},
		{Name: "hand", Unit: "1", Default: 6, Min: 1, Max: 10, Doc: "queues that a flow is dealt; it uses the one in which the fewest wait"},
		{Name: "length", Unit: "attempts", Default: 50, Min: 1, Max: 1000, Doc: "limit of a queue"},
		{Name: "zones", Unit: "1", Default: 0, Min: 0, Max: 1, Doc: "1: a zone is a flow; 0: a droplet is"},
	},
	New: newAPF,
}

func newAPF(cfg Config, v catalog.Values) (Discipline, error) {
	queues, hand, length := v.Int("queues"), v.Int("hand"), v.Int("length")
	if hand > queues || bits.Len(uint(queues-1))*hand > apfHashBits {
		return nil, fmt.Errorf(`queue discipline "apf": %w: a hand of %d of %d queues: want at most as many as queues, and %d bits of hash`, catalog.ErrParam, hand, queues, apfHashBits)
	}
	q := &apf{hand: make([]int, hand), byZone: v["zones"] >= 0.5}
	for class, shares := range [Classes]float64{Check: v["check"], Launch: v["launch"], Establish: v["establish"]} {
		q.levels[class] = apfLevel{
			cost: float64(max(1, cfg.Service[class])) / shares, length: length, last: queues - 1,
			queues: make([]apfQueue, queues), slots: make([]apfSlot, queues*length),
		}
	}
	return q, nil
}

// apf has the levels, queues and limits of Kubernetes' API Priority and Fairness, in the place of a
// discipline.
//
// A flow, a droplet or a zone, is dealt a hand of its level's queues by a hash. Its attempt joins the
// one in which the fewest wait, and is refused if that one is full. Queues and levels are served
// fairly, each by virtual time: of those in which something waits the one whose next attempt would
// end first. A queue that was idle begins at the present, and so does one whose head came later than
// its time (the anti-windup of the source).
//
// A discipline does not hear of a service's end. So a level's seats are its share of the service
// while other levels wait, and what a level leaves is lent at once instead of every ten seconds; an
// attempt has one seat; the present virtual time is that of the last attempt taken (P. Goyal et al.,
// Start-time Fair Queuing, SIGCOMM 1996), where the source integrates the seats in use and corrects a
// guess of 3 ms by the service's real length. A full queue refuses, where the source asks for a level
// without a free seat as well: with one free nothing would wait. What is dropped for its wait is not
// told, where the source answers 429.
type apf struct {
	n      atomic.Int64
	mu     sync.Mutex // guards what follows
	levels [Classes]apfLevel
	now    float64 // virtual time between levels
	hand   []int   // dealt last
	byZone bool
}

// apfLevel is a priority level. All its attempts cost the same, so that its own virtual time counts
// attempts.
type apfLevel struct {
	cost   float64 // of an attempt, in ns of service a share
	next   float64 // the level's virtual time
	length int
	queues []apfQueue
	slots  []apfSlot // length for each queue, a ring
	n      int       // waiting
	pushed int       // attempts so far
	last   int       // queue served last
	now    int64     // virtual time between the queues
}

type apfQueue struct {
	first, n int
	next     int64 // virtual time
}

type apfSlot struct {
	it   Item
	came int64 // virtual time when it came
}

// apfHashBits is how much of a hash may be dealt.
const apfHashBits = 60

// apfMostWait bounds the wait of an attempt whatever its timeout.
const apfMostWait = time.Minute

// Push implements Discipline.
func (q *apf) Push(now time.Duration, items []Item) (kept int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range items {
		it := items[i]
		if given, full := q.push(now, &it); full {
			items[i] = given
			continue
		}
		items[kept], items[i] = items[i], items[kept]
		kept++
	}
	return kept
}

// push adds an attempt to its queue. If that is full, the attempt is given up, or takes the place of
// one that has waited for too long.
func (q *apf) push(now time.Duration, it *Item) (given Item, full bool) {
	level := &q.levels[it.Class]
	apfDeal(q.hand, apfHash(it, q.byZone), len(level.queues))
	at := q.hand[level.pushed%len(q.hand)]
	for i := 1; i < len(q.hand); i++ {
		if other := q.hand[(level.pushed+i)%len(q.hand)]; level.queues[other].n < level.queues[at].n {
			at = other
		}
	}
	queue := &level.queues[at]
	if queue.n == level.length {
		if given = level.slot(at, 0).it; !q.Stale(now, &given) {
			given, full = *it, true
			given.Why = Full
			return given, full
		}
		given.Why, full = Expired, true
		q.remove(level, at)
	}
	level.pushed++
	if level.n == 0 {
		level.next = max(level.next, q.now)
	}
	if queue.n == 0 {
		queue.next = max(queue.next, level.now)
	}
	*level.slot(at, queue.n) = apfSlot{*it, level.now}
	queue.n++
	level.n++
	q.n.Inc()
	return given, full
}

// slot is the i-th of those that wait in a queue.
func (l *apfLevel) slot(at, i int) *apfSlot {
	return &l.slots[at*l.length+(l.queues[at].first+i)%l.length]
}

// remove takes the head of a queue out.
func (q *apf) remove(level *apfLevel, at int) {
	queue := &level.queues[at]
	queue.first = (queue.first + 1) % level.length
	queue.n--
	level.n--
	q.n.Dec()
	if queue.n > 0 {
		queue.next = max(queue.next, level.slot(at, 0).came)
	}
}

// Pop implements Discipline.
func (q *apf) Pop(now time.Duration, dst []Item) (taken, dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	b := batch{dst: dst}
	for b.open() {
		level := q.level()
		if level == nil {
			break
		}
		at := level.queue()
		it := level.slot(at, 0).it
		if q.Stale(now, &it) {
			b.drop(&it, Expired)
		} else {
			b.take(&it)
			q.now, level.now = max(q.now, level.next), max(level.now, level.queues[at].next)
			level.next += level.cost
			level.queues[at].next++
			level.last = at
		}
		q.remove(level, at)
	}
	return b.taken, b.dropped
}

// level is the one whose next attempt would end first.
func (q *apf) level() (least *apfLevel) {
	for i := range q.levels {
		if l := &q.levels[i]; l.n > 0 && (least == nil || l.next+l.cost < least.next+least.cost) {
			least = l
		}
	}
	return least
}

// queue is the one whose next attempt would end first, from the one after the last on.
func (l *apfLevel) queue() int {
	at := -1
	for i := range l.queues {
		if k := (l.last + 1 + i) % len(l.queues); l.queues[k].n > 0 && (at < 0 || l.queues[k].next < l.queues[at].next) {
			at = k
		}
	}
	return at
}

// Stale implements Rechecker: an attempt waits for a quarter of the time that it had when it came,
// and for a minute at most.
func (*apf) Stale(now time.Duration, it *Item) bool {
	most := apfMostWait
	if it.Timeout != Forever {
		most = min(most, max(0, it.Deadline()-it.Offered())/4)
	}
	return now-it.Offered() > most
}

// Len implements Discipline.
func (q *apf) Len() int { return int(q.n.Load()) }

// apfHash is the hash of a flow: the first eight bytes of the SHA-256 of its level's name, a zero
// byte and its own.
func apfHash(it *Item, byZone bool) uint64 {
	flow := uint64(it.Droplet)
	if byZone {
		flow = uint64(it.Zone)
	}
	var space [32]byte
	name := append(append(space[:0], it.Class.String()...), 0)
	sum := sha256.Sum256(strconv.AppendUint(name, flow, 10))
	return binary.LittleEndian.Uint64(sum[:])
}

// apfDeal deals a hand of different cards of a deck by a hash (shuffle sharding).
func apfDeal(hand []int, hash uint64, deck int) {
	var drawn [10]int // each of the cards that are left, by the number of smaller ones
	for i := range hand {
		left := uint64(deck - i)
		drawn[i] = int(hash % left)
		hash /= left
		card := drawn[i]
		for j := i - 1; j >= 0; j-- {
			if card >= drawn[j] {
				card++
			}
		}
		hand[i] = card
	}
}
