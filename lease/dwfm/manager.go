// Package dwfm is the lease manager under test, modelled on the DropletWorkflow Manager that keeps
// the leases of EC2's physical servers. A [Manager] joins a lease table, a queue discipline and an
// admission controller, and a [Worker] is the workers' side of the protocol.
//
// The manager is passive: it starts no goroutine, reads no clock and does no work. An engine owns
// all three, and each call has the run time, the time since the run's start, as its argument now.
// To serve an attempt the engine
//
//  1. takes it from the queue: [Worker.Take]
//  2. asks for the amount of work: [Manager.Cost]
//  3. does the work
//  4. reports its end, and receives the answer: [Worker.Complete]
package dwfm

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/pad"
)

// Window is a span of run time, from From up to but not including To.
type Window struct{ From, To time.Duration }

// Contains reports whether now lies in the window.
func (w Window) Contains(now time.Duration) bool { return now >= w.From && now < w.To }

// Dependency is the service that the manager must reach to establish a lease. An establish needs a
// new connection. Checks of live leases go on over open connections, as they did in the outage,
// and do not ask the Dependency.
type Dependency interface {
	// Ask reports whether a call for a droplet at now succeeds, and how long the call takes. It
	// is called twice for an establish: when it is taken up, for the time, and when its work is
	// done, for the success.
	Ask(now time.Duration, droplet uint32) (ok bool, takes time.Duration)
}

// Away is a Dependency that is away in a window of run time. Its calls take no time: they fail in
// the window and succeed outside.
type Away Window

// Ask implements Dependency.
func (a Away) Ask(now time.Duration, _ uint32) (ok bool, takes time.Duration) {
	return !Window(a).Contains(now), 0
}

// atOnce reports whether a dependency is known to answer in no time.
func atOnce(d Dependency) bool {
	_, ok := d.(Away)
	return ok
}

// Costs are the costs of services, in units of one check's service.
type Costs struct {
	Class   [queue.Classes]float64 // of a live attempt, by class
	Dead    float64                // δ: factor for an attempt that is taken up after its deadline
	Backlog float64                // κ: a service takes 1 + κ·queued times as long; 0: no effect

	// Disturbances. In Slowed a share Slow of the capacity, 0 to below 1, is away. A service that
	// begins in Paused first waits for the end of Paused, as for a garbage collector or a lost
	// processor. Check is the service time of a check, which converts that wait to units.
	Slow   float64
	Slowed Window
	// Paused is a window in which no work is done, as in a pause for garbage collection. An
	// attempt that is taken up in the window waits for the window's end first.
	Paused Window
	// Check is the service time of one check. Cost needs it to express a wait as a cost.
	Check time.Duration
}

// Config is the configuration of a Manager. Table, Queue and Admit must be set.
type Config struct {
	Droplets   int           // N; droplets are 0..N-1
	TTL        time.Duration // of a lease, from each check or establish; at least lease.Tick
	Costs      Costs
	Dependency Dependency // nil: every call succeeds at once
	Table      lease.Table
	Queue      queue.Discipline
	Admit      admit.Controller
}

// Manager keeps the droplets' leases. Its methods are safe for concurrent use. Each Worker
// belongs to one goroutine.
type Manager struct {
	cfg    Config
	stale  queue.Rechecker // the discipline; nil: it is no Rechecker
	queued func() int      // cfg.Queue.Len, a method value that is made once
	even   bool            // the cost of an attempt depends on its class and on whether it is dead
	plain  bool            // even, no admission control, and a queue that keeps the order
	waits  bool            // the dependency's answer takes time, in addition to the work

	// The operator's levers. The throttle is a second admission controller, in front of
	// cfg.Admit; nil: off. A worker carries out a restart.
	throttle atomic.Pointer[admit.Controller]
	restart  atomic.Uint64 // share of the queue to empty, as float bits; 0: no restart was ordered

	// holder is each droplet's last granted lease. An establish replaces the lease that the
	// attempt presented by compare-and-swap. This is the epoch check: of two establishes with the
	// same presented lease only the first succeeds.
	holder []atomic.Uint64

	// Live leases are counted where they are made and ended, in one counter per worker and one
	// for the rest. To count them in the table would mean to read the whole table.
	workers []*Worker
	live    atomic.Int64 // leases seeded, less leases expired
}

// New returns a manager without leases, or an error if the configuration is incomplete or out of
// range.
func New(cfg Config) (*Manager, error) {
	switch {
	case cfg.Droplets < 1:
		return nil, fmt.Errorf("dwfm: %d droplets: want at least 1", cfg.Droplets)
	case cfg.TTL < lease.Tick:
		return nil, fmt.Errorf("dwfm: lease time %v: want at least one tick, %v", cfg.TTL, lease.Tick)
	case !(cfg.Costs.Slow >= 0 && cfg.Costs.Slow < 1):
		return nil, fmt.Errorf("dwfm: %g of the capacity away: want 0 to less than 1", cfg.Costs.Slow)
	case cfg.Costs.Paused.To > 0 && cfg.Costs.Check <= 0:
		return nil, errors.New("dwfm: a pause needs to know what a check takes")
	case cfg.Dependency != nil && cfg.Costs.Check <= 0 && !atOnce(cfg.Dependency):
		return nil, errors.New("dwfm: a dependency whose answers take time needs to know what a check takes: set Costs.Check")
	case cfg.Table == nil || cfg.Queue == nil || cfg.Admit == nil:
		return nil, errors.New("dwfm: table, queue and admission controller must all be given")
	}
	if cfg.Dependency == nil {
		cfg.Dependency = Away{}
	}
	m := &Manager{cfg: cfg, queued: cfg.Queue.Len, holder: make([]atomic.Uint64, cfg.Droplets)}
	m.stale, _ = cfg.Queue.(queue.Rechecker)
	q, ok := cfg.Queue.(queue.InOrder)
	m.waits = !atOnce(cfg.Dependency)
	m.even = cfg.Costs.Backlog == 0 && cfg.Costs.Slow == 0 && cfg.Costs.Paused.To == 0 && !m.waits
	m.plain = m.even && ok && q.InOrder() && admit.IsNone(cfg.Admit)
	return m, nil
}

// Table returns the manager's lease table.
func (m *Manager) Table() lease.Table { return m.cfg.Table }

// Queued returns the number of attempts in the queue.
func (m *Manager) Queued() int { return m.cfg.Queue.Len() }

// Live returns the number of leases in the table that have not been expired. It may lag under
// concurrent use. All workers must be made before the first call.
func (m *Manager) Live() int {
	n := m.live.Load()
	for _, w := range m.workers {
		n += w.granted.Load()
	}
	return int(n)
}

// Bytes returns the heap memory of the manager in bytes, without the table and the queue.
func (m *Manager) Bytes() int64 { return 8 * int64(len(m.holder)) }

// Seed grants a lease to a droplet outside the protocol, to set up the state in which a run
// begins.
func (m *Manager) Seed(now, until time.Duration, droplet uint32) (lease.ID, error) {
	id, err := m.cfg.Table.Grant(now, until, 0)
	if err == nil {
		m.holder[droplet].Store(uint64(id))
		m.live.Inc()
	}
	return id, err
}

// Cost returns how much work the attempt is when it is taken up at now, in units of one check's
// service.
func (m *Manager) Cost(now time.Duration, it *queue.Item) float64 {
	cost := m.cfg.Costs.Class[it.Class]
	if now >= it.Deadline() {
		cost *= m.cfg.Costs.Dead
	}
	if m.even {
		return cost
	}
	if m.cfg.Costs.Backlog > 0 {
		cost *= 1 + m.cfg.Costs.Backlog*float64(m.Queued())
	}
	if m.cfg.Costs.Slowed.Contains(now) {
		cost /= 1 - m.cfg.Costs.Slow
	}
	if m.cfg.Costs.Paused.Contains(now) {
		cost += float64(m.cfg.Costs.Paused.To-now) / float64(m.cfg.Costs.Check)
	}
	if m.waits && it.Class == queue.Establish {
		_, takes := m.cfg.Dependency.Ask(now, it.Droplet)
		cost += float64(takes) / float64(max(1, m.cfg.Costs.Check))
	}
	return cost
}

// Expire frees the slots of lapsed leases and returns their number.
func (m *Manager) Expire(now time.Duration) int {
	n := m.cfg.Table.Expire(now, ignore)
	m.live.Sub(int64(n))
	return n
}

func ignore(lease.ID) {}

// Offer brings a batch of attempts to the manager: through the operator's throttle and the
// admission controller into the queue. items[queued:] are shed, with their Why set: throttled,
// refused, or given up by the discipline.
func (m *Manager) Offer(now time.Duration, items []queue.Item) (queued int) {
	for i := range items {
		items[i].SetOffered(now)
		items[i].Door = 0
	}
	passed := len(items)
	if t := m.throttle.Load(); t != nil {
		passed = (*t).Admit(now, items, m.queued)
		for i := range items[passed:] {
			items[passed+i].Why = queue.Throttled
		}
	}
	admitted := m.cfg.Admit.Admit(now, items[:passed], m.queued)
	queued = m.cfg.Queue.Push(now, items[:admitted])
	m.shed(now, items[queued:admitted])
	return queued
}

// Plain reports whether every attempt is admitted into a queue in order and has a cost that does
// not depend on the time. OfferAll may then replace Offer.
func (m *Manager) Plain() bool { return m.plain && m.throttle.Load() == nil && m.restart.Load() == 0 }

// OfferAll is Offer for a plain manager and attempts of several instants. Each attempt is offered
// at its birth, with a Slip of 0.
func (m *Manager) OfferAll(items []queue.Item) { m.cfg.Queue.Push(0, items) }

// Throttle puts the operator's admission controller in front of the run's own. Nil removes it.
func (m *Manager) Throttle(c admit.Controller) {
	if c == nil {
		m.throttle.Store(nil)
		return
	}
	m.throttle.Store(&c)
}

// Restart orders a share of the queue to be emptied, 0 to 1, as the restart of some of the
// manager's hosts did in the outage. The leases stay. The next worker that calls Drain carries
// the order out. Of two orders before that, the second empties its share of what the first
// leaves.
func (m *Manager) Restart(share float64) {
	for {
		old := m.restart.Load()
		both := 1 - (1-math.Float64frombits(old))*(1-share)
		if m.restart.CompareAndSwap(old, math.Float64bits(both)) {
			return
		}
	}
}

// Drain carries out a restart that was ordered. It sheds attempts that wait at now; their droplets
// are not told. It fills dst with them and returns their number. The engine calls Drain with the
// same now until it returns 0. Attempts that are offered meanwhile go back into the queue.
func (w *Worker) Drain(now time.Duration, dst []queue.Item) (shed int) {
	if w.left == 0 && len(w.aside) == 0 && w.m.restart.Load() == 0 {
		return 0
	}
	return w.drain(now, dst)
}

func (w *Worker) drain(now time.Duration, dst []queue.Item) (shed int) {
	if w.left == 0 && len(w.aside) > 0 {
		return w.putBack(now, dst)
	}
	if w.left == 0 {
		share := w.m.restart.Load()
		if share == 0 || !w.m.restart.CompareAndSwap(share, 0) {
			return 0
		}
		// Attempts that come from now on are not part of the restart.
		w.left = int(math.Ceil(math.Float64frombits(share) * float64(w.m.Queued())))
	}
	all := dst
	for shed == 0 && w.left > 0 {
		dst = dst[:min(len(dst), w.left)]
		taken, dropped := w.m.cfg.Queue.Pop(now, dst)
		if taken+dropped == 0 {
			w.left = 0
			break
		}
		for i := range dst[:taken] {
			if dst[i].Offered() > now { // a lifo gives out newcomers first
				w.aside = append(w.aside, dst[i])
				continue
			}
			dst[shed] = dst[i]
			dst[shed].Why = queue.Restarted
			shed++
		}
		shed += copy(dst[shed:], dst[len(dst)-dropped:])
		w.left -= shed
	}
	w.m.shed(now, dst[:shed])
	if w.left == 0 {
		return shed + w.putBack(now, all[shed:])
	}
	return shed
}

// putBack pushes the attempts that a drain set aside, in the order of their offers. Attempts that
// the discipline refuses are shed into dst. What dst cannot hold is left to the next call.
func (w *Worker) putBack(now time.Duration, dst []queue.Item) (shed int) {
	slices.SortFunc(w.aside, func(a, b queue.Item) int {
		return cmp.Or(cmp.Compare(a.Offered(), b.Offered()), cmp.Compare(a.Born, b.Born))
	})
	for len(w.aside) > 0 && shed < len(dst) {
		batch := w.aside[:min(len(w.aside), len(dst)-shed)]
		kept := w.m.cfg.Queue.Push(now, batch)
		given := copy(dst[shed:], batch[kept:])
		w.m.shed(now, dst[shed:shed+given])
		shed += given
		w.aside = w.aside[len(batch):]
	}
	return shed
}

// shed tells the admission controller of admitted attempts that the discipline shed.
func (m *Manager) shed(now time.Duration, items []queue.Item) {
	for i := range items {
		m.cfg.Admit.Done(now, &items[i], max(0, now-items[i].Offered()), queue.Shed)
	}
}

// Answer is the answer to a droplet after a service.
type Answer struct {
	Born    time.Duration // identifies the attempt, with Droplet and Class
	Until   time.Duration // the lease's deadline; 0 unless Good
	Lease   uint64        // the lease that was extended or granted; 0 unless Good
	Droplet uint32
	Class   queue.Class
	Outcome queue.Outcome
}

// Worker is one worker's side of the protocol. One goroutine uses it.
type Worker struct {
	m     *Manager
	index int
	queue queue.Discipline // the manager's, or this worker's view of it
	ids   [32]lease.ID     // for Prefetch
	left  int              // attempts still to be shed by the present restart
	aside []queue.Item     // attempts offered since the restart began

	granted atomic.Int64    // leases granted, less leases revoked
	_       [pad.Bytes]byte // keeps two workers' counts on separate cache lines
}

// Worker makes the side of worker i.
func (m *Manager) Worker(i int) *Worker {
	w := &Worker{m: m, index: i, queue: m.cfg.Queue}
	if s, ok := m.cfg.Queue.(queue.Sharder); ok {
		w.queue = s.View(i)
	}
	m.workers = append(m.workers, w)
	return w
}

// Take pops the next attempts to serve into dst. dst[:taken] are to be served in order.
// dst[len(dst)-dropped:] were shed. Take also prefetches the leases of the taken ones.
func (w *Worker) Take(now time.Duration, dst []queue.Item) (taken, dropped int) {
	taken, dropped = w.queue.Pop(now, dst)
	w.m.shed(now, dst[len(dst)-dropped:])
	if n := min(taken, len(w.ids)); n > 1 {
		for i := range n {
			w.ids[i] = lease.ID(dst[i].Lease)
			w.m.holder[dst[i].Droplet].Load()
		}
		w.m.cfg.Table.Prefetch(w.ids[:n])
	}
	return taken, dropped
}

// Ahead copies to dst some of the attempts that will be taken next and returns their number. It
// prefetches the leases of the live ones. The manager must be Plain.
func (w *Worker) Ahead(now time.Duration, dst []queue.Item) int {
	n := w.m.cfg.Queue.(queue.InOrder).Peek(dst[:min(len(dst), len(w.ids))])
	live := w.ids[:0]
	for i := range dst[:n] {
		if it := &dst[i]; now < it.Deadline() {
			live = append(live, lease.ID(it.Lease))
			w.m.holder[it.Droplet].Load()
		}
	}
	w.m.cfg.Table.Prefetch(live)
	return n
}

// Stale reports whether the discipline would drop an item by now that was taken earlier. If so,
// the item is shed: its Why is set, and it must not be served.
func (w *Worker) Stale(now time.Duration, it *queue.Item) bool {
	if w.m.stale == nil || !w.m.stale.Stale(now, it) {
		return false
	}
	it.Why = queue.Expired
	w.m.cfg.Admit.Done(now, it, max(0, now-it.Offered()), queue.Shed)
	return true
}

// Complete ends a service that was taken up at taken and whose work was done at now. It makes the
// epoch check, does what the attempt asked for, and fills in the answer.
//
// The work has been done by then, whether or not anybody waits for it. Only here does a worker
// find out that an attempt is worth nothing. This sustains the collapse.
func (w *Worker) Complete(taken, now time.Duration, it *queue.Item, a *Answer) {
	*a = Answer{Born: it.Born, Droplet: it.Droplet, Class: it.Class}
	if now >= it.Deadline() {
		a.Outcome = queue.Late
	} else {
		w.apply(now, it, a)
	}
	w.m.cfg.Admit.Done(now, it, max(0, taken-it.Offered()), a.Outcome)
}

// apply carries out the request of a live attempt.
func (w *Worker) apply(now time.Duration, it *queue.Item, a *Answer) {
	until := now + w.m.cfg.TTL
	held := lease.ID(it.Lease)
	switch it.Class {
	case queue.Check:
		if w.m.cfg.Table.Renew(held, now, until) != nil {
			a.Outcome = queue.Late // the lease lapsed, or the epoch moved on
			return
		}
	case queue.Establish:
		if ok, _ := w.m.cfg.Dependency.Ask(now, it.Droplet); !ok {
			a.Outcome = queue.Failed
			return
		}
		if held, a.Outcome = w.establish(now, until, it); a.Outcome != queue.Good {
			return
		}
	default: // a launch works only under a live lease
		if w.m.cfg.Table.Verify(held, now) != nil {
			a.Outcome = queue.Failed
			return
		}
	}
	a.Lease, a.Until = uint64(held), until
}

// establish grants the droplet a new lease, in its old slot if it still has one.
func (w *Worker) establish(now, until time.Duration, it *queue.Item) (lease.ID, queue.Outcome) {
	holder := &w.m.holder[it.Droplet]
	if holder.Load() != it.Lease {
		return 0, queue.Late // another attempt of this droplet was served already
	}
	id, err := w.m.cfg.Table.Regrant(lease.ID(it.Lease), now, until)
	if err != nil {
		if id, err = w.m.cfg.Table.Grant(now, until, w.index); err != nil {
			return 0, queue.Failed
		}
		w.granted.Inc()
	}
	if !holder.CompareAndSwap(it.Lease, uint64(id)) {
		if w.m.cfg.Table.Revoke(id) == nil { // this worker's lease, not yet published
			w.granted.Dec()
		}
		return 0, queue.Late
	}
	return id, queue.Good
}
