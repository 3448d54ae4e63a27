package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sync"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/priority"
	"go.uber.org/atomic"
	"k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing"
	"k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/eventclock"
	"k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/queueset"
	"k8s.io/apiserver/pkg/util/flowcontrol/metrics"
	"k8s.io/apiserver/pkg/util/flowcontrol/request"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// handle asks a library whose callers wait for one attempt. It runs on a goroutine of its own, as a
// server has one for each request. It calls waits when the library has taken the attempt into its
// queue, and serve when the attempt's turn has come. serve returns when the service has ended and
// says whether that was in time. A handle that returns without a call was refused.
type handle func(now time.Duration, it *queue.Item, waits func(), serve func() (inTime bool))

// waiting makes a library whose callers wait a discipline: the library's queue is the manager's.
// The library decides who is served next, and how many are between its queue and the workers. An
// attempt that has its turn is taken by the next worker that is free. Its service has ended when
// the same worker asks again.
//
// What still waits when a run ends keeps its goroutine: some hundreds in each run.
type waiting struct {
	handle  handle
	n       atomic.Int64
	workers []*seat

	mu      sync.Mutex
	ready   []turn       // guarded by mu
	dropped []queue.Item // guarded by mu
}

// turn is an attempt whose turn has come.
type turn struct {
	it  queue.Item
	end chan bool // takes whether the service was in time
}

func newWaiting(workers int, h handle) *waiting {
	q := &waiting{handle: h}
	for range workers {
		q.workers = append(q.workers, &seat{waiting: q})
	}
	return q
}

// Push lets the attempts in one after the other: a library refuses by what waits already.
func (q *waiting) Push(now time.Duration, items []queue.Item) (kept int) {
	for i := range items {
		in := make(chan bool, 1)
		go q.attend(now, items[i], in)
		if !<-in {
			items[i].Why = queue.Full
			continue
		}
		items[i], items[kept] = items[kept], items[i]
		kept++
	}
	return kept
}

// attend is an attempt's goroutine. It says once whether the library has let the attempt in.
func (q *waiting) attend(now time.Duration, it queue.Item, in chan<- bool) {
	entered, served := false, false
	enter := func() {
		if !entered {
			entered = true
			q.n.Inc()
			in <- true
		}
	}
	q.handle(now, &it, enter, func() bool {
		end := make(chan bool, 1)
		enter()
		served = true
		q.mu.Lock()
		q.ready = append(q.ready, turn{it, end})
		q.mu.Unlock()
		return <-end
	})
	switch {
	case !entered:
		in <- false
	case !served:
		it.Why = queue.Expired
		q.mu.Lock()
		q.dropped = append(q.dropped, it)
		q.mu.Unlock()
	}
}

// patience is how often Pop lets the library's goroutines run before it says that nothing is ready.
const patience = 1000

// next takes what was dropped and one attempt whose turn has come.
func (q *waiting) next(dst []queue.Item) (t turn, taken, dropped int) {
	for range patience {
		q.mu.Lock()
		for len(q.dropped) > 0 && dropped < len(dst) {
			dropped++
			last := len(q.dropped) - 1
			dst[len(dst)-dropped] = q.dropped[last]
			q.dropped = q.dropped[:last]
		}
		if len(q.ready) > 0 && dropped < len(dst) {
			t, taken = q.ready[0], 1
			q.ready = append(q.ready[:0], q.ready[1:]...)
			dst[0] = t.it
		}
		q.mu.Unlock()
		if q.n.Sub(int64(taken+dropped)) == 0 || taken+dropped > 0 {
			break
		}
		runtime.Gosched() // a turn that was given wakes a goroutine first
	}
	return t, taken, dropped
}

// Pop serves an attempt that ends at once, as the queue's tests do.
func (q *waiting) Pop(_ time.Duration, dst []queue.Item) (taken, dropped int) {
	t, taken, dropped := q.next(dst)
	if taken > 0 {
		t.end <- true
	}
	return taken, dropped
}

func (q *waiting) Len() int { return int(q.n.Load()) }

// View implements queue.Sharder.
func (q *waiting) View(worker int) queue.Discipline { return q.workers[worker%len(q.workers)] }

// seat is the queue as one worker sees it.
type seat struct {
	*waiting
	serves turn // until the worker asks again
}

func (s *seat) Pop(now time.Duration, dst []queue.Item) (taken, dropped int) {
	if s.serves.end != nil {
		s.serves.end <- now < s.serves.it.Deadline()
		s.serves.end = nil
	}
	t, taken, dropped := s.next(dst)
	s.serves = t
	return taken, dropped
}

// enterWaiting lists a library whose callers wait.
func enterWaiting(name, doc, source string, make func(cfg queue.Config) (handle, error)) {
	queue.Catalog.Register(catalog.Entry[queue.New]{
		Name: name, Doc: doc, Source: source, HostClock: true,
		New: func(cfg queue.Config, _ catalog.Values) (queue.Discipline, error) {
			h, err := make(cfg)
			if err != nil {
				return nil, err
			}
			return newWaiting(max(1, cfg.Workers), h), nil
		},
	})
}

// until is a context that ends when a share of the attempt's time to its deadline is over.
func until(now time.Duration, it *queue.Item, share int) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), (it.Deadline()-now)/time.Duration(share))
}

// levels are failsafe-go's priorities of the classes: as our own wrapper priority has them.
var levels = [queue.Classes]priority.Priority{queue.Check: priority.High, queue.Launch: priority.High, queue.Establish: priority.Medium}

// asked is a context that tells when the semaphore of failsafe-go begins to wait with it.
type asked struct {
	context.Context
	waits func()
}

func (a asked) Done() <-chan struct{} {
	a.waits()
	return a.Context.Done()
}

// failsafeWaits is a limiter of failsafe-go whose callers wait up to their deadline.
func failsafeWaits(acquire func(ctx context.Context, now time.Duration, it *queue.Item) (adaptivelimiter.Permit, error)) handle {
	return func(now time.Duration, it *queue.Item, waits func(), serve func() bool) {
		ctx, cancel := until(now, it, 1)
		defer cancel()
		p, err := acquire(asked{ctx, waits}, now, it)
		switch {
		case err != nil:
		case serve():
			p.Record()
		default:
			p.Drop()
		}
	}
}

func init() {
	enterWaiting("failsafe-queueing", "the adaptive limiter with its defaults, where up to three times the limit wait", failsafe, func(queue.Config) (handle, error) {
		l := adaptivelimiter.NewBuilder[any]().WithQueueing(2, 3).Build()
		return failsafeWaits(func(ctx context.Context, _ time.Duration, _ *queue.Item) (adaptivelimiter.Permit, error) {
			return l.AcquirePermit(ctx)
		}), nil
	})
	enterWaiting("failsafe-prioritized", "the adaptive limiter with its defaults and a prioritizer, checks and launches high, calibrated once a timeout", failsafe, func(cfg queue.Config) (handle, error) {
		p := adaptivelimiter.NewPrioritizer()
		l := adaptivelimiter.NewBuilder[any]().BuildPrioritized(p)
		var calibrate atomic.Duration // when next
		return failsafeWaits(func(ctx context.Context, now time.Duration, it *queue.Item) (adaptivelimiter.Permit, error) {
			if at := calibrate.Load(); now >= at && calibrate.CompareAndSwap(at, now+cfg.Timeout) {
				p.Calibrate()
			}
			return l.AcquirePermitWithPriority(ctx, levels[it.Class])
		}), nil
	})
	enterWaiting("apf-queueset", "one priority level of Kubernetes' API Priority and Fairness: a seat a worker, 128 queues of 50, hands of 6, a droplet a flow, a wait of a quarter of the timeout",
		"k8s.io/apiserver/pkg/util/flowcontrol/fairqueuing/queueset v0.37", func(cfg queue.Config) (handle, error) {
			none := gauge{metrics.NewUnionGauge()}
			completer, err := queueset.NewQueueSetFactory(eventclock.Real{}).BeginConstruction(
				fairqueuing.QueuingConfig{Name: "manager", DesiredNumQueues: 128, QueueLengthLimit: 50, HandSize: 6},
				metrics.RatioedGaugePair{RequestsWaiting: none, RequestsExecuting: none}, none, none)
			if err != nil {
				return nil, err
			}
			seats := max(1, cfg.Workers)
			set := completer.Complete(fairqueuing.DispatchingConfig{ConcurrencyLimit: seats, ConcurrencyDenominator: seats})
			return func(now time.Duration, it *queue.Item, waits func(), serve func() bool) {
				ctx, cancel := until(now, it, 4)
				defer cancel()
				req, _ := set.StartRequest(ctx, &request.WorkEstimate{InitialSeats: 1}, flow(it.Droplet), "", "leases", nil, nil, func(bool) {})
				if req != nil {
					waits()
					req.Finish(func() { serve() })
				}
			}, nil
		})
}

// flow is a flow's hash, as the API server makes it.
func flow(droplet uint32) uint64 {
	var name [4]byte
	binary.LittleEndian.PutUint32(name[:], droplet)
	sum := sha256.Sum256(name[:])
	return binary.LittleEndian.Uint64(sum[:])
}

// gauge is a metric that nobody reads.
type gauge struct{ metrics.Gauge }

func (gauge) SetDenominator(float64) {}
