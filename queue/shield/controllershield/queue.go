// Package controllershield is a work queue for controllers of sigs.k8s.io/controller-runtime in which a
// discipline of this project decides what is reconciled next. It is a module of its own.
//
//	newQueue, err := controllershield.NewQueue(controllershield.Config[reconcile.Request]{})
//	// …
//	ctrl.NewControllerManagedBy(mgr).WithOptions(controller.Options{NewQueue: newQueue})
//
// The default discipline serves priorities from 0 on before those below it, with which controller-runtime adds
// what it lists at the start and resyncs. These have a tenth of the turns while both wait, so that they do not
// starve.
package controllershield

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"

	"github.com/leasestorm/leasestorm/queue"
)

// Config says how a Queue orders its items. The zero value is ready to use.
type Config[T comparable] struct {
	// Queue is the discipline, as queue.Make takes it; "": "priority+edf". slack orders by leases, which a
	// Queue does not know, and is refused.
	Queue string
	// Class is what a priority is to the discipline; nil: an establish below 0, and else a check, which the
	// discipline priority serves first. A class that is none counts as a launch.
	Class func(priority int) queue.Class
	// Timeout is how long an item of a priority should wait at the most, by which edf orders and deadline
	// drops; nil: ten seconds, and one second above 0. It is up to 71 minutes.
	Timeout func(priority int) time.Duration
	// Zone is the group of an item, such as one for each namespace, which the discipline fair serves in turn;
	// nil: all are of one.
	Zone func(T) uint8
	// Service is the time that an item takes, as disciplines expect it; 0: unknown.
	Service time.Duration
	// Workers is MaxConcurrentReconciles; 0: 1.
	Workers int
	// Dropped, if set, receives what the discipline gives up, with the reason. nil: such an item is added
	// again by the rate limiter, as after a failure: a controller must not lose what it was told.
	Dropped func(item T, why queue.Reason)
	// Metrics is where the queue's metrics go; nil: to controller-runtime's own, workqueue_depth and the others.
	Metrics workqueue.MetricsProvider
}

func (c Config[T]) withDefaults() Config[T] {
	c.Queue, c.Workers = cmp.Or(c.Queue, "priority+edf"), cmp.Or(c.Workers, 1)
	if c.Class == nil {
		c.Class = func(priority int) queue.Class {
			if priority < 0 {
				return queue.Establish
			}
			return queue.Check
		}
	}
	if c.Timeout == nil {
		c.Timeout = func(priority int) time.Duration {
			if priority > 0 {
				return time.Second
			}
			return 10 * time.Second
		}
	}
	return c
}

// NewQueue returns what controller.Options.NewQueue takes. The error names the field that is wrong.
func NewQueue[T comparable](cfg Config[T]) (func(string, workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T], error) {
	if _, err := New("", nil, cfg); err != nil {
		return nil, err
	}
	if cfg.Metrics == nil {
		if _, err := ofControllerRuntime(); err != nil {
			return nil, fmt.Errorf("controllershield: Metrics: %w", err)
		}
	}
	return func(name string, limiter workqueue.TypedRateLimiter[T]) workqueue.TypedRateLimitingInterface[T] {
		q, err := New(name, limiter, cfg)
		if err != nil {
			panic(err) // the same Config has made one before
		}
		return q
	}, nil
}

// Queue is a priorityqueue.PriorityQueue. An item that waits is there once, with the highest of its priorities
// and the earliest of its times. An item that is being processed is handed out again only after Done. After
// ShutDown what is ready is still handed out, as by client-go's queues. A Queue is safe for concurrent use, starts
// no goroutine, and costs nothing while it is empty.
type Queue[T comparable] struct {
	cfg     Config[T]
	limiter workqueue.TypedRateLimiter[T]
	began   time.Time

	mu         sync.Mutex // guards what follows
	work, idle sync.Cond  // something is ready, or the queue is shut down; something has ended
	order      queue.Discipline
	slots      []*entry[T] // by Item.Droplet; nil: its entry has moved on, and the discipline still has the item
	unused     []uint32
	entries    map[T]*entry[T] // added and not handed out yet
	processing map[T]time.Time // since when
	ready      int             // entries with a slot
	shutdown   bool
	drain      bool
	buffer     [1]queue.Item
	metrics    *instruments // nil: none
	looking    bool         // a timer will look at what is being processed
}

var _ priorityqueue.PriorityQueue[int] = (*Queue[int])(nil)

// entry is an item that was added and not handed out yet. It has a timer until it is due. Then it has a slot, unless
// it has to wait for its own Done.
type entry[T comparable] struct {
	item     T
	priority int
	timer    *time.Timer
	at       time.Duration // when it is due; then: when it became ready
	slot     int           // -1: none
	class    queue.Class   // as the discipline has it
	deadline time.Duration // likewise
}

// New makes a Queue. The name is that of its metrics; "": it has none. A nil limiter is controller-runtime's
// default. The error names the field that is wrong.
func New[T comparable](name string, limiter workqueue.TypedRateLimiter[T], cfg Config[T]) (*Queue[T], error) {
	cfg = cfg.withDefaults()
	if limiter == nil {
		limiter = workqueue.NewTypedItemExponentialFailureRateLimiter[T](5*time.Millisecond, 1000*time.Second)
	}
	timeout := cfg.Timeout(0)
	switch {
	case timeout <= 0 || timeout >= queue.Forever.Duration():
		return nil, fmt.Errorf("controllershield: Timeout(0) is %v: want more than 0, below 71 minutes", timeout)
	case cfg.Service < 0 || cfg.Service >= timeout:
		return nil, fmt.Errorf("controllershield: Service %v: want at least 0, below Timeout(0), %v", cfg.Service, timeout)
	case cfg.Workers < 1:
		return nil, fmt.Errorf("controllershield: Workers %d: want at least 1", cfg.Workers)
	case strings.Contains(cfg.Queue, "slack"):
		return nil, errors.New("controllershield: Queue: slack orders by leases, which a Queue does not know: take priority+edf")
	}
	facts := queue.Config{Timeout: timeout, TTL: 3 * timeout, MaxWait: timeout, Workers: cfg.Workers}
	for class := range facts.Service {
		facts.Service[class] = cfg.Service
	}
	order, err := queue.Make(cfg.Queue, facts)
	if err != nil {
		return nil, fmt.Errorf("controllershield: Queue: %w", err)
	}
	q := &Queue[T]{
		cfg: cfg, limiter: limiter, began: time.Now(), order: order,
		entries: map[T]*entry[T]{}, processing: map[T]time.Time{},
	}
	q.work.L, q.idle.L = &q.mu, &q.mu
	if name != "" {
		if q.metrics, err = newInstruments(name, cfg.Metrics); err != nil {
			return nil, fmt.Errorf("controllershield: Metrics: %w", err)
		}
	}
	return q, nil
}

func (q *Queue[T]) now() time.Duration { return time.Since(q.began) }

// Add implements workqueue.TypedInterface.
func (q *Queue[T]) Add(item T) { q.AddWithOpts(priorityqueue.AddOpts{}, item) }

// AddAfter implements workqueue.TypedDelayingInterface.
func (q *Queue[T]) AddAfter(item T, after time.Duration) {
	q.AddWithOpts(priorityqueue.AddOpts{After: after}, item)
}

// AddRateLimited implements workqueue.TypedRateLimitingInterface.
func (q *Queue[T]) AddRateLimited(item T) {
	q.AddWithOpts(priorityqueue.AddOpts{RateLimited: true}, item)
}

// AddWithOpts implements priorityqueue.PriorityQueue. After a shutdown it does nothing.
func (q *Queue[T]) AddWithOpts(o priorityqueue.AddOpts, items ...T) {
	priority := 0
	if o.Priority != nil {
		priority = *o.Priority
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, item := range items {
		if q.shutdown {
			return
		}
		after := o.After
		if o.RateLimited {
			if when := q.limiter.When(item); after <= 0 || when < after {
				after = when
			}
		}
		q.add(item, priority, after)
	}
}

// Get implements workqueue.TypedInterface.
func (q *Queue[T]) Get() (item T, shutdown bool) {
	item, _, shutdown = q.GetWithPriority()
	return item, shutdown
}

// GetWithPriority implements priorityqueue.PriorityQueue. It waits until something is ready. The caller must call
// Done with the item. shutdown is true if the queue is shut down and nothing is ready.
func (q *Queue[T]) GetWithPriority() (item T, priority int, shutdown bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		for q.ready == 0 {
			for q.order.Len() > 0 { // places that were left behind, which take room in a bounded discipline
				q.order.Pop(q.now(), q.buffer[:])
				q.take(q.buffer[0].Droplet)
			}
			if q.shutdown {
				return item, 0, true
			}
			q.work.Wait()
		}
		now := q.now()
		_, dropped := q.order.Pop(now, q.buffer[:])
		why := q.buffer[0].Why
		e := q.take(q.buffer[0].Droplet)
		switch {
		case e == nil:
			continue
		case dropped > 0 && (q.cfg.Dropped != nil || !q.shutdown): // nothing comes again after a shutdown
			q.giveUp(e, why)
			continue
		}
		delete(q.entries, e.item)
		q.processing[e.item] = time.Now()
		q.metrics.got(e.priority, now-e.at)
		q.look()
		return e.item, e.priority, false
	}
}

// Done implements workqueue.TypedInterface.
func (q *Queue[T]) Done(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	since, busy := q.processing[item]
	if !busy {
		return
	}
	delete(q.processing, item)
	q.metrics.done(time.Since(since))
	if e := q.entries[item]; e != nil && e.timer == nil {
		q.push(e, q.now()+q.cfg.Timeout(e.priority))
	}
	q.idle.Broadcast()
}

// Forget implements workqueue.TypedRateLimitingInterface.
func (q *Queue[T]) Forget(item T) { q.limiter.Forget(item) }

// NumRequeues implements workqueue.TypedRateLimitingInterface.
func (q *Queue[T]) NumRequeues(item T) int { return q.limiter.NumRequeues(item) }

// Len returns the number of items that are ready: neither those that are not due yet, nor those that wait for
// their own Done.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ready
}

// ShutDown implements workqueue.TypedInterface: nothing more is added, what is not due yet is forgotten, and what
// is ready is still handed out. It ends a drain. A second call has no effect.
func (q *Queue[T]) ShutDown() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drain = false
	q.stop()
}

// ShutDownWithDrain is ShutDown, and waits until all that was ready has been handed out and is Done, or ShutDown
// is called.
func (q *Queue[T]) ShutDownWithDrain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.drain = true
	q.stop()
	for q.drain && len(q.processing)+len(q.entries) > 0 {
		q.idle.Wait()
	}
}

func (q *Queue[T]) stop() {
	q.shutdown = true
	for item, e := range q.entries {
		if e.timer != nil {
			e.timer.Stop()
			delete(q.entries, item)
		}
	}
	q.work.Broadcast()
	q.idle.Broadcast()
}

// ShuttingDown implements workqueue.TypedInterface.
func (q *Queue[T]) ShuttingDown() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.shutdown
}
