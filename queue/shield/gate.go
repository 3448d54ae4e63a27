// Package shield puts the disciplines and controllers of this module around a service of yours. A [Gate]
// lets so many requests run at a time. The others wait in a queue discipline, and leave it when their
// clients have stopped waiting. Who is refused is told when to come again.
//
//	gate, err := shield.New(shield.Config{Concurrency: 8, Timeout: 2 * time.Second})
//	handler = shield.Handler(handler, gate, shield.HTTP{})
//
// [Handler] is a Gate for net/http, [Queue] a work queue for a manager's own workers, and [Client] a
// transport with a retry policy.
package shield

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Config says what a Gate does. The zero value of each field but Concurrency and Timeout has a meaning.
type Config struct {
	// Concurrency is the number of requests that run at a time, at least 1.
	Concurrency int
	// Timeout is how long a client waits that does not say how long it waits; more than 0.
	Timeout time.Duration
	// Queue is the discipline in which requests wait, as queue.Make takes it; "": "deadline", which never
	// starts a request that cannot be done before its client stops waiting. slack orders by leases, which a
	// Gate does not know, and is refused.
	Queue string
	// Admit is the admission controller, as admit.Make takes it, for example "limit+drain" with an estimator that
	// says when all refused clients are to come again; "": "none". One that needs the service's capacity takes
	// Capacity.
	Admit string
	// Capacity is the requests per second that the service does. 'leasestorm probe' measures it. It must
	// be set where Admit is.
	Capacity float64
	// Service is what a request takes that runs alone, as disciplines expect it; 0: it is measured.
	Service time.Duration
	// MostAfter is the longest time after which a refused client is asked to come again; 0: a minute.
	MostAfter time.Duration
}

func (c Config) withDefaults() Config {
	c.Queue, c.Admit = cmp.Or(c.Queue, "deadline"), cmp.Or(c.Admit, "none")
	c.MostAfter = cmp.Or(c.MostAfter, time.Minute)
	return c
}

// Request is what a Gate must know of a request.
type Request struct {
	// Deadline is when the client stops waiting; zero: after Config.Timeout, or when the context ends.
	Deadline time.Time
	Class    queue.Class // some controllers let every Check in, the zero value
	Zone     uint8       // the client's group, which fair goes by
	// Key, if set, coalesces: of the requests that wait with one key only the newest stays.
	Key string
}

// Refusal is the error of a request that was not let in.
type Refusal struct {
	Reason queue.Reason
	// After is how long the client should wait before it asks again: what the estimator of Config.Admit says,
	// or else what the controller says, both at most Config.MostAfter; or else an appointment of its own, at which
	// the service would come to it at the rate of its latest completions. Before the first completion, and
	// beyond Config.MostAfter, that is drawn. 0: the estimator says nothing. Below 0: the client should not ask again.
	After time.Duration
}

func (r *Refusal) Error() string {
	if r.After > 0 {
		return fmt.Sprintf("shield: %s; come again in %v", r.Reason, r.After.Round(time.Millisecond))
	}
	return "shield: " + r.Reason.String()
}

// slot is a request that waits or runs. Item.Droplet is its place in the slab.
type slot struct {
	one   [1]queue.Item // an array, so that a controller's slice of it costs no allocation
	wake  chan verdict  // of one place
	state state
	key   string
	since time.Duration    // when it began to run
	turn  uint32           // counts the uses of the slot
	door  admit.Controller // that admitted it; nil: none

	held           bool  // the discipline has the item
	before, behind *slot // in the list of those that it has
	waiter         bool  // somebody has still to hear of the end of the wait
}

type state uint8

const (
	free state = iota
	waiting
	over // the wait has ended without a place; free once neither discipline nor waiter have it
	running
)

// verdict is the end of a wait.
type verdict struct {
	why   queue.Reason // NotShed: it runs
	after time.Duration
}

// Gate lets requests in. It starts no goroutine, and costs no processor time while there are none. It then keeps the
// memory of Config.Concurrency and 64 requests, and what its discipline keeps.
type Gate struct {
	began time.Time

	mu      sync.Mutex // guards what follows
	cfg     Config
	queue   queue.Discipline
	admit   admit.Controller // nil: none
	slots   []*slot
	first   *slot // of those that the discipline has, in the order in which it got them
	last    *slot
	unused  []uint32
	keys    map[string]uint32 // waiting slots by key
	running int
	live    int        // slots that wait
	length  func() int // of queue, for controllers
	buffer  [1]queue.Item
	told    [1]queue.Item // whom an estimator is asked about
	stats   Stats
	rate    rate
	due     time.Duration // the appointment that was given last
}

// Stats are a Gate's counts since it was made, and what there is now.
type Stats struct {
	Entered  uint64                // requests that came
	Ran      uint64                // that were let in
	Refused  [queue.Reasons]uint64 // by reason
	Waiting  int                   // now
	Running  int                   // now
	PerS     float64               // completions per second while something waited; 0: not known yet
	MeanS    float64               // mean time that a request ran, in s; 0: not known yet
	Canceled uint64                // left while they waited
}

// New makes a Gate. The error names the field of the Config that is wrong.
func New(cfg Config) (*Gate, error) {
	g := &Gate{began: time.Now(), keys: map[string]uint32{}}
	g.length = func() int { return g.live }
	return g, g.Set(cfg)
}

func (g *Gate) now() time.Duration { return time.Since(g.began) }

// Set changes what the Gate does, while it runs. Waiting requests move to the new discipline in the order
// in which they came.
func (g *Gate) Set(cfg Config) error {
	cfg = cfg.withDefaults()
	switch {
	case cfg.Concurrency < 1:
		return fmt.Errorf("shield: Concurrency %d: want at least 1", cfg.Concurrency)
	case cfg.Timeout <= 0:
		return fmt.Errorf("shield: Timeout %v: want more than 0", cfg.Timeout)
	case cfg.MostAfter < 0 || cfg.Service < 0:
		return fmt.Errorf("shield: MostAfter %v and Service %v: want at least 0", cfg.MostAfter, cfg.Service)
	case cfg.Admit != "none" && !(cfg.Capacity > 0):
		return errors.New("shield: Admit needs Capacity, in requests per second: 'leasestorm probe' measures it")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var c admit.Controller
	var err error
	if cfg.Admit != "none" {
		if c, err = admit.Make(cfg.Admit, admit.Config{Timeout: cfg.Timeout, Capacity: cfg.Capacity, Workers: cfg.Concurrency}); err != nil {
			return fmt.Errorf("shield: Admit: %w", err)
		}
	}
	if err := g.rebuild(g.now(), cfg); err != nil {
		return err
	}
	g.cfg, g.admit = cfg, c
	g.fill(g.now())
	return nil
}

// rebuild makes a new discipline of those who wait, in the order in which they came. Who has left is not in
// it. g.mu is held.
func (g *Gate) rebuild(now time.Duration, cfg Config) error {
	if strings.Contains(cfg.Queue, "slack") {
		return errors.New("shield: Queue: slack orders by leases, which a Gate does not know: take deadline")
	}
	service := cmp.Or(cfg.Service, time.Duration(g.rate.mean*1e9))
	var services [queue.Classes]time.Duration
	for class := range services {
		services[class] = min(service, cfg.Timeout/2)
	}
	q, err := queue.Make(cfg.Queue, queue.Config{Timeout: cfg.Timeout, TTL: 3 * cfg.Timeout, MaxWait: cfg.Timeout, Service: services, Workers: cfg.Concurrency})
	if err != nil {
		return fmt.Errorf("shield: Queue: %w", err)
	}
	g.queue = q
	var moved []*slot
	for g.first != nil { // and not all slots: it costs no more than those who have left
		s := g.first
		if g.unhold(s); s.state == waiting {
			moved = append(moved, s)
		}
		g.settle(s)
	}
	slices.SortStableFunc(moved, func(a, b *slot) int { return cmp.Compare(a.one[0].Born, b.one[0].Born) })
	for _, s := range moved {
		g.push(now, s)
	}
	return nil
}

// Config returns what the Gate does now.
func (g *Gate) Config() Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cfg
}

// Ticket is a request that was let in. Done must be called once for each.
type Ticket struct {
	g    *Gate
	s    *slot // perhaps of somebody else by now, or out of the slab
	turn uint32
}

// Enter asks for a place and waits for it until the request's deadline, or until ctx is done. The error is
// a *Refusal, or that of ctx. A request that finds a free place, and nobody who waits, costs no
// allocation.
func (g *Gate) Enter(ctx context.Context, r Request) (Ticket, error) {
	if r.Class >= queue.Classes {
		return Ticket{}, fmt.Errorf("shield: class %d: want one of package queue", r.Class)
	}
	now := g.now()
	g.mu.Lock()
	g.stats.Entered++
	s := g.take()
	s.key = r.Key
	timeout := g.cfg.Timeout
	if !r.Deadline.IsZero() {
		timeout = r.Deadline.Sub(g.began) - now
	}
	if at, ok := ctx.Deadline(); ok {
		timeout = min(timeout, at.Sub(g.began)-now)
	}
	it := &s.one[0]
	*it = queue.Item{Born: now, Timeout: queue.ToMicros(timeout), Droplet: it.Droplet, Class: r.Class, Zone: r.Zone}
	if timeout <= 0 {
		return g.refuse(now, s, queue.Expired)
	}
	if s.door = g.admit; s.door != nil && s.door.Admit(now, s.one[:], g.length) == 0 {
		return g.refuse(now, s, queue.Refused)
	}
	if g.running < g.cfg.Concurrency && g.live == 0 {
		t := g.run(now, s)
		g.mu.Unlock()
		return t, nil
	}
	return g.wait(ctx, now, s, timeout)
}

// refuse ends a request that has not waited. g.mu is held, and is released.
func (g *Gate) refuse(now time.Duration, s *slot, why queue.Reason) (Ticket, error) {
	r := &Refusal{why, g.after(now, s)}
	g.stats.Refused[why]++
	g.release(s)
	g.mu.Unlock()
	return Ticket{}, r
}

// wait lets a request wait. g.mu is held, and is released.
func (g *Gate) wait(ctx context.Context, now time.Duration, s *slot, timeout time.Duration) (Ticket, error) {
	if s.key != "" {
		if old, ok := g.keys[s.key]; ok {
			g.end(now, g.slots[old], queue.Displaced)
		}
		g.keys[s.key] = s.one[0].Droplet
	}
	if g.queue.Len() > 2*g.live { // most of what the discipline has are requests that have left
		if err := g.rebuild(now, g.cfg); err != nil {
			panic(err) // it was made before
		}
	}
	s.state, s.waiter = waiting, true
	g.live++
	g.push(now, s)
	g.fill(now)
	g.mu.Unlock()
	late := time.NewTimer(timeout)
	defer late.Stop()
	var left error
	select {
	case v := <-s.wake:
		return g.woken(s, v)
	case <-ctx.Done():
		if left = ctx.Err(); errors.Is(left, context.DeadlineExceeded) {
			left = nil // that is the request's deadline
		}
	case <-late.C:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case v := <-s.wake: // meanwhile
		if v.why == queue.NotShed && left != nil { // it runs, and nobody waits for it
			s.waiter = false
			g.finish(g.now(), s, queue.Failed)
			return Ticket{}, left
		}
		return g.woke(s, v)
	default:
	}
	now = g.now()
	why := queue.Expired
	if left != nil {
		why = queue.Cancelled
		g.stats.Canceled++
	}
	g.stats.Refused[why]++
	g.forget(s)
	g.ended(now, s, queue.Shed)
	g.live--
	s.state, s.waiter = over, false
	if left == nil {
		left = &Refusal{why, g.after(now, s)}
	}
	g.settle(s)
	return Ticket{}, left
}

func (g *Gate) woken(s *slot, v verdict) (Ticket, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.woke(s, v)
}

// woke is the end of a wait. g.mu is held.
func (g *Gate) woke(s *slot, v verdict) (Ticket, error) {
	if s.waiter = false; v.why == queue.NotShed {
		return Ticket{g, s, s.turn}, nil
	}
	g.settle(s)
	return Ticket{}, &Refusal{v.why, v.after}
}

// Done ends a request that was let in. out is how it ended: queue.Good, queue.Failed if the service failed,
// or queue.Late if the client had stopped waiting. A second call has no effect.
func (t Ticket) Done(out queue.Outcome) {
	if t.g == nil {
		return
	}
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.s.turn == t.turn && t.s.state == running {
		t.g.finish(t.g.now(), t.s, out)
	}
}

// Stats returns the counts.
func (g *Gate) Stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.stats
	s.Running, s.PerS, s.MeanS = g.running, g.rate.perSecond, g.rate.mean
	s.Waiting = g.live
	return s
}
