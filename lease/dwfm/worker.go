package dwfm

import (
	"errors"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/pad"
	"go.uber.org/atomic"
)

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
			if dst[i].Class == queue.Establish { // others do not ask who holds
				w.m.holder[dst[i].Droplet].Load()
			}
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
			if it.Class == queue.Establish {
				w.m.holder[it.Droplet].Load()
			}
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
	if it.Why == queue.NotShed {
		it.Why = queue.Expired
	}
	w.m.cfg.Admit.Done(now, it, max(0, now-it.Offered()), queue.Shed)
	return true
}

// Complete ends a service that was taken up at taken and whose work was done at now. It makes the
// epoch check, does what the attempt asked for, and fills in the answer.
//
// The work has been done by then, whether or not anybody waits for it. Only here does a worker
// find out that an attempt is worth nothing. This sustains the collapse.
//
// An attempt that lost to another one of its request is late: its work was for nothing. The admission
// controller hears that it is good, since the manager answered it in time.
func (w *Worker) Complete(taken, now time.Duration, it *queue.Item, a *Answer) {
	*a = Answer{Born: it.Born, Droplet: it.Droplet, Class: it.Class}
	lost := false
	if now >= it.Deadline() {
		a.Outcome = queue.Late
	} else if lost = w.lost(it); !lost {
		w.apply(now, it, a)
		switch a.Outcome {
		case queue.Good:
			lost = w.m.cfg.Requests != nil && !w.m.cfg.Requests.Claim(it)
		case queue.Late:
			lost = w.lost(it) // another worker was faster
		}
	}
	told := a.Outcome
	if lost {
		*a = Answer{Born: it.Born, Droplet: it.Droplet, Class: it.Class, Outcome: queue.Late}
		told = queue.Good
	}
	w.m.cfg.Admit.Done(now, it, max(0, taken-it.Offered()), told)
}

// lost reports whether another attempt of the request was answered.
func (w *Worker) lost(it *queue.Item) bool {
	return w.m.cfg.Requests != nil && w.m.cfg.Requests.Answered(it)
}

// apply carries out the request of a live attempt.
func (w *Worker) apply(now time.Duration, it *queue.Item, a *Answer) {
	until := now + w.m.cfg.TTL
	held := lease.ID(it.Lease)
	switch it.Class {
	case queue.Check:
		if w.m.checks && !w.m.reaches(now, it) {
			a.Outcome = queue.Failed
			return
		}
		if err := w.m.cfg.Table.Renew(held, now, until); err != nil {
			a.Outcome = queue.Late // the lease lapsed, or the epoch moved on
			if errors.Is(err, lease.ErrFailed) {
				a.Outcome = queue.Failed
			}
			return
		}
	case queue.Establish:
		if !w.m.reaches(now, it) {
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

// reaches reports whether the dependency answers the call of an attempt whose work is done.
func (m *Manager) reaches(now time.Duration, it *queue.Item) bool {
	ok, _ := m.cfg.Dependency.Ask(now, it.Droplet)
	return ok
}

// establish grants the droplet a new lease, in its old slot if it still has one.
func (w *Worker) establish(now, until time.Duration, it *queue.Item) (lease.ID, queue.Outcome) {
	holder := &w.m.holder[it.Droplet]
	if holder.Load() != it.Lease {
		return 0, queue.Late // another attempt of this droplet was served already
	}
	id, err := w.m.cfg.Table.Regrant(lease.ID(it.Lease), now, until)
	if errors.Is(err, lease.ErrFailed) {
		return 0, queue.Failed
	}
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
