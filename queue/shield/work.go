package shield

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// Queue is a work queue for a manager's own workers: a discipline decides which work is done next, and
// which is not worth doing any more. It is safe for concurrent use and starts no goroutine.
type Queue[T any] struct {
	began   time.Time
	timeout time.Duration
	dropped func(T, queue.Reason)

	mu     sync.Mutex // guards what follows
	queue  queue.Discipline
	work   []T // by Item.Droplet
	unused []uint32
	closed bool
	bell   chan struct{} // closed when something was pushed, or the queue closed; then made anew
	buffer [1]queue.Item
}

// NewQueue makes a Queue with a discipline, as queue.Make takes it. Work that names no deadline has timeout.
// dropped, if not nil, receives the work that is given up, with the reason; Push and Pop call it.
func NewQueue[T any](discipline string, timeout, service time.Duration, workers int, dropped func(T, queue.Reason)) (*Queue[T], error) {
	if timeout <= 0 || service < 0 || service >= timeout || workers < 1 {
		return nil, fmt.Errorf("shield: timeout %v, service %v, %d workers: want more than 0, 0 to below the timeout, and at least 1", timeout, service, workers)
	}
	if strings.Contains(discipline, "slack") {
		return nil, errors.New("shield: slack orders by leases, which a Queue does not know: take deadline")
	}
	cfg := queue.Config{Timeout: timeout, TTL: 3 * timeout, MaxWait: timeout, Workers: workers}
	for class := range cfg.Service {
		cfg.Service[class] = service
	}
	d, err := queue.Make(discipline, cfg)
	if err != nil {
		return nil, fmt.Errorf("shield: %w", err)
	}
	return &Queue[T]{began: time.Now(), timeout: timeout, dropped: dropped, queue: d, bell: make(chan struct{})}, nil
}

// Push adds work whose result is worth something until the deadline; zero: for the queue's timeout. It
// returns an error if the queue is closed. What the discipline gives up goes to dropped.
func (q *Queue[T]) Push(work T, class queue.Class, deadline time.Time) error {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return errClosed
	}
	now := time.Since(q.began)
	timeout := q.timeout
	if !deadline.IsZero() {
		timeout = max(0, deadline.Sub(q.began)-now)
	}
	at := uint32(len(q.work))
	if n := len(q.unused); n > 0 {
		at, q.unused = q.unused[n-1], q.unused[:n-1]
		q.work[at] = work
	} else {
		q.work = append(q.work, work)
	}
	q.buffer[0] = queue.Item{Born: now, Timeout: queue.ToMicros(timeout), Droplet: at, Class: class}
	var given T
	kept, why := q.queue.Push(now, q.buffer[:]), queue.NotShed
	if kept == 0 {
		given, why = q.free(q.buffer[0].Droplet), q.buffer[0].Why
	}
	close(q.bell)
	q.bell = make(chan struct{})
	q.mu.Unlock()
	q.give(given, why)
	return nil
}

// free takes the work out of its place. q.mu is held.
func (q *Queue[T]) free(at uint32) (work T) {
	work, q.work[at] = q.work[at], work
	q.unused = append(q.unused, at)
	return work
}

func (q *Queue[T]) give(work T, why queue.Reason) {
	if why != queue.NotShed && q.dropped != nil {
		q.dropped(work, why)
	}
}

// Pop waits for work and returns the next that is still worth doing, with its deadline. The error is that
// of ctx, or says that the queue is closed and empty.
func (q *Queue[T]) Pop(ctx context.Context) (work T, deadline time.Time, err error) {
	for {
		q.mu.Lock()
		now := time.Since(q.began)
		taken, dropped := q.queue.Pop(now, q.buffer[:])
		bell, closed := q.bell, q.closed
		it := q.buffer[0]
		if taken+dropped > 0 {
			work = q.free(it.Droplet)
		}
		q.mu.Unlock()
		switch {
		case dropped > 0:
			q.give(work, it.Why)
			continue
		case taken > 0 && now >= it.Deadline():
			q.give(work, queue.Expired)
			continue
		case taken > 0:
			return work, q.began.Add(it.Deadline()), nil
		case closed:
			return work, deadline, errClosed
		}
		select {
		case <-bell:
		case <-ctx.Done():
			return work, deadline, ctx.Err()
		}
	}
}

// Len is the number of works that wait.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.queue.Len()
}

// Close refuses further work. What waits can still be popped.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		close(q.bell)
		q.bell = make(chan struct{})
	}
}
