package controllershield

import (
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// What a Queue does with its entries. q.mu is held in all of it.

// add adds one item.
func (q *Queue[T]) add(item T, priority int, after time.Duration) {
	e := q.entries[item]
	if after > 0 {
		q.metrics.retried()
	}
	if e == nil {
		e = &entry[T]{item: item, priority: priority, slot: -1}
		q.entries[item] = e
		if after > 0 {
			q.wait(e, after)
		} else {
			q.due(e)
		}
		return
	}
	before := e.priority
	e.priority = max(priority, before)
	switch {
	case e.timer != nil && after <= 0:
		e.timer.Stop()
		q.due(e)
	case e.timer != nil:
		if at := q.now() + after; at < e.at {
			e.at = at
			e.timer.Reset(after)
		}
	case e.priority > before:
		q.metrics.raised(before, e.priority)
		if e.slot >= 0 {
			q.move(e)
		}
	}
}

// wait gives an entry a time at which it is due.
func (q *Queue[T]) wait(e *entry[T], after time.Duration) {
	e.at = q.now() + after
	e.timer = time.AfterFunc(after, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if e.timer != nil && q.entries[e.item] == e {
			q.due(e)
		}
	})
}

// due makes an entry ready, now or after its Done.
func (q *Queue[T]) due(e *entry[T]) {
	e.timer, e.at = nil, q.now()
	q.metrics.added(e.priority)
	if _, busy := q.processing[e.item]; !busy {
		q.push(e, e.at+q.cfg.Timeout(e.priority))
	}
}

// move gives an entry of a higher priority its new place, unless the discipline cannot tell the two apart. The
// discipline cannot take out the old one, which stays behind as a slot without an entry.
func (q *Queue[T]) move(e *entry[T]) {
	deadline := min(e.deadline, q.now()+q.cfg.Timeout(e.priority))
	if q.class(e) == e.class && deadline == e.deadline {
		return
	}
	q.slots[e.slot] = nil
	q.ready--
	q.push(e, deadline)
}

func (q *Queue[T]) class(e *entry[T]) queue.Class { return min(q.cfg.Class(e.priority), queue.Launch) }

// push gives an entry to the discipline.
func (q *Queue[T]) push(e *entry[T], deadline time.Duration) {
	if n := len(q.unused); n > 0 {
		e.slot, q.unused = int(q.unused[n-1]), q.unused[:n-1]
		q.slots[e.slot] = e
	} else {
		e.slot = len(q.slots)
		q.slots = append(q.slots, e)
	}
	now := q.now()
	e.class, e.deadline = q.class(e), deadline
	born := min(now, deadline) // of what is overdue and raised the deadline
	q.buffer[0] = queue.Item{Born: born, Timeout: queue.ToMicros(deadline - born), Droplet: uint32(e.slot), Class: e.class}
	if q.cfg.Zone != nil {
		q.buffer[0].Zone = q.cfg.Zone(e.item)
	}
	q.ready++
	if q.order.Push(now, q.buffer[:]) == 0 {
		why := q.buffer[0].Why
		if up := q.take(q.buffer[0].Droplet); up != nil {
			q.giveUp(up, why)
		}
	}
	q.work.Signal()
}

// take is the entry of an item that the discipline has given back; nil: it has moved on.
func (q *Queue[T]) take(slot uint32) *entry[T] {
	e := q.slots[slot]
	q.slots[slot] = nil
	q.unused = append(q.unused, slot)
	if e != nil {
		e.slot = -1
		q.ready--
	}
	return e
}

// giveUp ends the wait of an entry that the discipline has given up.
func (q *Queue[T]) giveUp(e *entry[T], why queue.Reason) {
	q.metrics.gaveUp(e.priority)
	if q.cfg.Dropped == nil && !q.shutdown {
		q.metrics.retried()
		q.wait(e, q.limiter.When(e.item))
		return
	}
	delete(q.entries, e.item)
	q.idle.Broadcast()
	if q.cfg.Dropped != nil {
		q.mu.Unlock()
		defer q.mu.Lock()
		q.cfg.Dropped(e.item, why)
	}
}

// look sets the gauges of unfinished work, and again every half a second while there is some.
func (q *Queue[T]) look() {
	if q.metrics == nil || q.looking || len(q.processing) == 0 {
		return
	}
	q.looking = true
	time.AfterFunc(500*time.Millisecond, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		var all, longest time.Duration
		for _, since := range q.processing {
			d := time.Since(since)
			all, longest = all+d, max(longest, d)
		}
		q.metrics.unfinished(all, longest)
		q.looking = false
		q.look()
	})
}
