package main

import (
	"runtime"
	"sync"
	"time"

	ds "github.com/Workiva/go-datastructures/queue"
	"github.com/puzpuzpuz/xsync/v4"
	"k8s.io/client-go/util/workqueue"

	"github.com/leasestorm/leasestorm/queue"
)

// payload is what is handed over by those that take anything: 16 bytes.
type payload struct{ born, droplet int64 }

// handover moves items from producers to consumers. put and get move up to batch items at
// a time and return how many; 0 is "full" or "empty, try again". Each goroutine calls
// with a state of its own from attach.
type handover interface {
	attach() side
}

type side interface {
	put(n int) int
	get(n int) int
}

const chunkOf = 64

var queues = []struct {
	name string
	ours bool
	// one: items go one at a time, so a batch would be a loop.
	one  bool
	make func() handover
}{
	{"leasestorm fifo, 64 at a time", true, false, func() handover { return newOurQueue("fifo") }},
	{"leasestorm fifo-lockfree, 64 at a time", true, false, func() handover { return newOurQueue("fifo-lockfree") }},
	{"leasestorm fifo, 1 at a time", true, true, func() handover { return newOurQueue("fifo") }},
	{"channel of 1,024", false, true, func() handover { return channel(make(chan payload, 1024)) }},
	{"channel of 65,536", false, true, func() handover { return channel(make(chan payload, 65536)) }},
	{"channel of 64-item chunks", false, false, func() handover {
		return chunks{make(chan *[chunkOf]payload, 1024), &sync.Pool{New: func() any { return new([chunkOf]payload) }}}
	}},
	{"mutex ring", false, true, func() handover { return &mutexRing{items: make([]payload, 65536)} }},
	{"xsync MPMC of 1,024", false, true, func() handover { return mpmc{xsync.NewMPMCQueue[payload](1024)} }},
	{"xsync MPMC of 65,536", false, true, func() handover { return mpmc{xsync.NewMPMCQueue[payload](65536)} }},
	{"Workiva ring of 1,024", false, true, func() handover { return workiva{ds.NewRingBuffer(1024)} }},
	{"client-go workqueue", false, true, func() handover {
		return &goQueue{q: workqueue.NewTyped[payload]()}
	}},
}

// ourQueue is a discipline of ours with its 40-byte items; producers wait at 65,536, as
// the rings do.
type ourQueue struct{ q queue.Discipline }

func newOurQueue(name string) handover {
	q, err := queue.Make(name, queue.Config{Timeout: time.Hour, Workers: 2})
	if err != nil {
		panic(err) // a built-in name
	}
	return ourQueue{q}
}

func (o ourQueue) attach() side { return &ourSide{o.q, make([]queue.Item, chunkOf)} }

type ourSide struct {
	q     queue.Discipline
	items []queue.Item
}

func (s *ourSide) put(n int) int {
	if s.q.Len() > 65536 {
		return 0
	}
	return s.q.Push(0, s.items[:n])
}

func (s *ourSide) get(n int) int {
	taken, _ := s.q.Pop(0, s.items[:n])
	return taken
}

type channel chan payload

func (c channel) attach() side { return c }
func (c channel) put(int) int  { c <- payload{1, 2}; return 1 }
func (c channel) get(int) int {
	select {
	case <-c:
		return 1
	default:
		return 0
	}
}

type chunks struct {
	c    chan *[chunkOf]payload
	pool *sync.Pool
}

func (c chunks) attach() side { return c }
func (c chunks) put(n int) int {
	chunk := c.pool.Get().(*[chunkOf]payload)
	for i := range n {
		chunk[i] = payload{1, 2}
	}
	c.c <- chunk
	return n
}
func (c chunks) get(n int) int {
	select {
	case chunk := <-c.c:
		c.pool.Put(chunk)
		return n
	default:
		return 0
	}
}

type mutexRing struct {
	mu         sync.Mutex
	items      []payload
	head, tail int
}

func (r *mutexRing) attach() side { return r }
func (r *mutexRing) put(int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail-r.head == len(r.items) {
		return 0
	}
	r.items[r.tail%len(r.items)] = payload{1, 2}
	r.tail++
	return 1
}
func (r *mutexRing) get(int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail == r.head {
		return 0
	}
	_ = r.items[r.head%len(r.items)]
	r.head++
	return 1
}

type mpmc struct{ q *xsync.MPMCQueue[payload] }

func (m mpmc) attach() side { return m }
func (m mpmc) put(int) int {
	if m.q.TryEnqueue(payload{1, 2}) {
		return 1
	}
	return 0
}
func (m mpmc) get(int) int {
	if _, ok := m.q.TryDequeue(); ok {
		return 1
	}
	return 0
}

type workiva struct{ r *ds.RingBuffer }

func (w workiva) attach() side { return w }
func (w workiva) put(int) int {
	if ok, _ := w.r.Offer(payload{1, 2}); ok {
		return 1
	}
	return 0
}
func (w workiva) get(int) int {
	if w.r.Len() == 0 {
		return 0
	}
	if _, err := w.r.Poll(time.Microsecond); err != nil {
		return 0
	}
	return 1
}

// goQueue merges equal keys, so each item has its own.
type goQueue struct {
	q  workqueue.TypedInterface[payload]
	mu sync.Mutex
	n  int64
}

func (g *goQueue) attach() side {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	return &goSide{g.q, payload{born: g.n}}
}

// stop wakes consumers that wait for an item that another has taken.
func (g *goQueue) stop() { g.q.ShutDown() }

type goSide struct {
	q    workqueue.TypedInterface[payload]
	next payload
}

func (s *goSide) put(int) int {
	if s.q.Len() > 65536 {
		return 0
	}
	s.next.droplet++
	s.q.Add(s.next)
	return 1
}
func (s *goSide) get(int) int {
	if s.q.Len() == 0 {
		return 0
	}
	p, down := s.q.Get()
	if down {
		return 0
	}
	s.q.Done(p)
	return 1
}

// pause lets others run when there is nothing to do.
func pause() { runtime.Gosched() }
