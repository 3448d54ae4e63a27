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

// payload is what every contestant hands over: one of our items, 40 bytes.
type payload = queue.Item

// handover moves payloads from producers to consumers. put sends up to len(items) payloads
// and get receives as many, and both return how many; 0 is "full" or "empty, try again".
// Contestants that take one at a time take the first. Each goroutine calls with a state of its
// own from attach.
type handover interface {
	attach() side
}

type side interface {
	put(items []payload) int
	get(items []payload) int
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
	{"leasestorm fifo-lockfree, 1 at a time", true, true, func() handover { return newOurQueue("fifo-lockfree") }},
	{"channel of 1,024", false, true, func() handover { return channel(make(chan payload, 1024)) }},
	{"channel of 65,536", false, true, func() handover { return channel(make(chan payload, 65536)) }},
	{"channel of 64-item chunks", false, false, func() handover {
		return chunks{make(chan *[chunkOf]payload, 1024), &sync.Pool{New: func() any { return new([chunkOf]payload) }}}
	}},
	{"mutex ring", false, true, func() handover { return &mutexRing{items: make([]payload, room)} }},
	{"xsync MPMC of 1,024", false, true, func() handover { return mpmc{xsync.NewMPMCQueue[payload](1024)} }},
	{"xsync MPMC of 65,536", false, true, func() handover { return mpmc{xsync.NewMPMCQueue[payload](65536)} }},
	{"Workiva ring of 1,024", false, true, func() handover { return workiva{ds.NewRingBuffer(1024)} }},
	{"client-go workqueue", false, true, func() handover {
		return &goQueue{q: workqueue.NewTyped[payload]()}
	}},
}

// room is the length at which producers wait, as the rings do.
const room = 65536

type ourQueue struct{ q queue.Discipline }

func newOurQueue(name string) handover {
	q, err := queue.Make(name, queue.Config{Timeout: time.Hour, Workers: 2})
	if err != nil {
		panic(err) // a built-in name
	}
	return ourQueue{q}
}

func (o ourQueue) attach() side { return &ourSide{q: o.q} }

// ourSide asks for the queue's length when the room that it found last is used up. Two
// producers may find the same room.
type ourSide struct {
	q    queue.Discipline
	room int
}

func (s *ourSide) put(items []payload) int {
	if s.room < len(items) {
		if s.room = room - s.q.Len(); s.room < len(items) {
			return 0
		}
	}
	kept := s.q.Push(0, items)
	s.room -= kept
	return kept
}

func (s *ourSide) get(items []payload) int {
	taken, _ := s.q.Pop(0, items)
	return taken
}

type channel chan payload

func (c channel) attach() side { return c }
func (c channel) put(items []payload) int {
	c <- items[0]
	return 1
}
func (c channel) get(items []payload) int {
	select {
	case items[0] = <-c:
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
func (c chunks) put(items []payload) int {
	chunk := c.pool.Get().(*[chunkOf]payload)
	n := copy(chunk[:], items)
	c.c <- chunk
	return n
}
func (c chunks) get(items []payload) int {
	select {
	case chunk := <-c.c:
		n := copy(items, chunk[:])
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
func (r *mutexRing) put(items []payload) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail-r.head == len(r.items) {
		return 0
	}
	r.items[r.tail%len(r.items)] = items[0]
	r.tail++
	return 1
}
func (r *mutexRing) get(items []payload) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tail == r.head {
		return 0
	}
	items[0] = r.items[r.head%len(r.items)]
	r.head++
	return 1
}

type mpmc struct{ q *xsync.MPMCQueue[payload] }

func (m mpmc) attach() side { return m }
func (m mpmc) put(items []payload) int {
	if m.q.TryEnqueue(items[0]) {
		return 1
	}
	return 0
}
func (m mpmc) get(items []payload) int {
	if it, ok := m.q.TryDequeue(); ok {
		items[0] = it
		return 1
	}
	return 0
}

type workiva struct{ r *ds.RingBuffer }

func (w workiva) attach() side { return w }
func (w workiva) put(items []payload) int {
	if ok, _ := w.r.Offer(items[0]); ok {
		return 1
	}
	return 0
}
func (w workiva) get(items []payload) int {
	if w.r.Len() == 0 {
		return 0
	}
	it, err := w.r.Poll(time.Microsecond)
	if err != nil {
		return 0
	}
	items[0] = it.(payload)
	return 1
}

// goQueue merges equal items: no producer puts the same twice.
type goQueue struct {
	q workqueue.TypedInterface[payload]
}

func (g *goQueue) attach() side { return g }

// stop wakes consumers that wait for an item that another has taken.
func (g *goQueue) stop() { g.q.ShutDown() }

func (g *goQueue) put(items []payload) int {
	if g.q.Len() > room {
		return 0
	}
	g.q.Add(items[0])
	return 1
}
func (g *goQueue) get(items []payload) int {
	if g.q.Len() == 0 {
		return 0
	}
	it, down := g.q.Get()
	if down {
		return 0
	}
	items[0] = it
	g.q.Done(it)
	return 1
}

// pause lets others run when there is nothing to do.
func pause() { runtime.Gosched() }
