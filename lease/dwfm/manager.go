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
	"errors"
	"fmt"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/huge"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Costs are the costs of services, in units of one check's service.
type Costs struct {
	Class   [queue.Classes]float64 // of a live attempt, by class
	Dead    float64                // δ: factor for an attempt that is taken up after its deadline
	Backlog float64                // κ: a service takes 1 + κ·queued times as long; 0: no effect

	// What costs the workers something beside the services. The service that begins next bears
	// it, so that it delays all that wait. Refuse is for each attempt that is refused and told so
	// (reading it, authentication). Reconnect is for each attempt that comes over a new connection
	// (TLS), since its client's last one timed out: see queue.Item.SetReconnects.
	Refuse, Reconnect float64

	// Disturbances. In Slowed a share Slow of the capacity, 0 to below 1, is away. A service that
	// begins in Paused first waits for the end of Paused, as for a garbage collector or a lost
	// processor. Check is the service time of a check, which converts that wait to units.
	// SlowArrivals slows the attempts that arrive in Slowed instead of the services that begin in it.
	Slow         float64
	Slowed       Window
	SlowArrivals bool
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
	// Requests, if set, makes an attempt late whose request was answered before: clients hedge. nil: each
	// request has one attempt.
	Requests *Requests
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
	checks bool            // checks ask the dependency, too

	refused atomic.Int64 // attempts whose refusal no service has borne yet
	opened  atomic.Int64 // connections that were opened, likewise
	door    bool         // Costs has Refuse or Reconnect

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
	m := &Manager{cfg: cfg, queued: cfg.Queue.Len, holder: huge.Make[atomic.Uint64](cfg.Droplets)}
	m.stale, _ = cfg.Queue.(queue.Rechecker)
	q, ok := cfg.Queue.(queue.InOrder)
	m.waits = !atOnce(cfg.Dependency)
	_, m.checks = cfg.Dependency.(Checked)
	m.door = cfg.Costs.Refuse > 0 || cfg.Costs.Reconnect > 0
	m.even = !m.door && cfg.Costs.Backlog == 0 && cfg.Costs.Slow == 0 && cfg.Costs.Paused.To == 0 && !m.waits
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

// Prefetch loads what Seed will write for these droplets into the cache, so that their cache misses
// overlap.
func (m *Manager) Prefetch(droplets []uint32) {
	for _, i := range droplets {
		m.holder[i].Load()
	}
}

// Cost returns how much work the attempt is when it is taken up at now, in units of one check's
// service. It is called once for each: the attempt bears what refusals and time-outs have cost since
// the last call.
func (m *Manager) Cost(now time.Duration, it *queue.Item) float64 {
	cost := m.cfg.Costs.Class[it.Class]
	if now >= it.Deadline() {
		cost = float64(cost * m.cfg.Costs.Dead)
	}
	if m.even {
		return cost
	}
	if m.cfg.Costs.Backlog > 0 {
		cost = float64(cost * (1 + float64(m.cfg.Costs.Backlog*float64(m.Queued()))))
	}
	from := now
	if m.cfg.Costs.SlowArrivals {
		from = it.Offered()
	}
	if m.cfg.Costs.Slowed.Contains(from) {
		cost /= 1 - m.cfg.Costs.Slow
	}
	if m.cfg.Costs.Paused.Contains(now) {
		cost += float64(m.cfg.Costs.Paused.To-now) / float64(m.cfg.Costs.Check)
	}
	if m.door {
		cost += float64(float64(m.refused.Swap(0))*m.cfg.Costs.Refuse) + float64(float64(m.opened.Swap(0))*m.cfg.Costs.Reconnect)
	}
	if m.waits && (it.Class == queue.Establish || m.checks && it.Class == queue.Check) {
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
	opened := int64(0)
	for i := range items {
		items[i].SetOffered(now)
		if items[i].Reconnects() {
			opened++
		}
		items[i].Door = 0
	}
	if opened > 0 && m.door {
		m.opened.Add(opened)
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
	if m.door {
		m.refused.Add(int64(len(items) - admitted))
	}
	return queued
}

// Plain reports whether every attempt is admitted into a queue in order and has a cost that does
// not depend on the time. OfferAll may then replace Offer.
func (m *Manager) Plain() bool { return m.plain && m.throttle.Load() == nil && m.restart.Load() == 0 }

// OfferAll is Offer for a plain manager and attempts of several instants. Each attempt is offered
// at its birth, with a Slip of 0.
func (m *Manager) OfferAll(items []queue.Item) { m.cfg.Queue.Push(0, items) }

// shed tells the admission controller of admitted attempts that the discipline shed.
func (m *Manager) shed(now time.Duration, items []queue.Item) {
	for i := range items {
		m.cfg.Admit.Done(now, &items[i], max(0, now-items[i].Offered()), queue.Shed)
	}
	if !m.door {
		return
	}
	for i := range items {
		if items[i].Why.Told() {
			m.refused.Inc()
		}
	}
}
