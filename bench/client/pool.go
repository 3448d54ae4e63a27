package client

import (
	"context"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/queue"
)

// pool is the Client that keeps connections. A slot is a goroutine that makes one call at a time. Idle
// slots form a stack, so that the connections used last are used next.
type pool struct {
	s      Settings
	p      Protocol
	now    func() time.Duration
	most   int // slots
	door   door
	ctx    context.Context
	cancel context.CancelFunc
	all    sync.WaitGroup

	mu      sync.Mutex // guards what follows
	idle    []*slot
	at      map[uint32]*slot // idle slots by droplet, if each has a connection of its own
	slots   int
	links   []*link
	waiting fifo
	closed  bool

	boxMu sync.Mutex
	box   []Attempt // that the dispatcher has not yet taken
	bell  chan struct{}

	done [shelves]shelf // replies that the generator has not yet taken

	// The generator's own.
	taken []Reply
	next  int // of taken
	turn  int // the shelf looked at last
	out   int

	requests, dials, dialTime, waits, waitTime, badAfter atomic.Uint64
	open, peak                                           atomic.Int64
}

// shelves is the number of parts that replies lie in. The generator passes over a part that a slot is
// writing to: behind a lock that thousands of slots wait for it would be late.
const shelves = 8

type shelf struct {
	mu      sync.Mutex
	replies []Reply
	_       [64]byte // keeps two locks off one cache line
}

// link is a connection with the number of slots that use it.
type link struct {
	conn    Conn
	err     error
	ready   chan struct{} // closed when conn or err is set
	users   int
	at      int // place in pool.links
	born    time.Time
	retired bool // no new users: closed once the last has gone
}

type slot struct {
	mail  chan Attempt // of one place: only an idle slot gets mail
	link  *link
	owner uint32 // droplet, if each has a connection of its own
	place int    // in pool.idle
}

// NewPool makes a Client that keeps the connections that the settings ask for. now is the clock of run
// time.
func NewPool(s Settings, p Protocol, now func() time.Duration) Client {
	l := &pool{s: s, p: p, now: now, door: newDoor(), most: s.Connections.Most * p.Streams()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	l.bell = make(chan struct{}, 1)
	if s.Connections.Pool == "droplet" {
		l.at = map[uint32]*slot{}
	}
	l.all.Go(l.dispatch)
	return l
}

// Send implements Client. It hands the attempt to the dispatcher: the generator never waits for the lock
// that thousands of slots take.
func (l *pool) Send(a *Attempt) {
	l.out++
	l.boxMu.Lock()
	l.box = append(l.box, *a)
	l.boxMu.Unlock()
	select {
	case l.bell <- struct{}{}:
	default:
	}
}

// dispatch gives attempts to slots until the pool is closed, and gives up those that have waited for a
// connection until their deadline.
func (l *pool) dispatch() {
	var taken []Attempt
	tick := time.NewTicker(dispatchTick)
	defer tick.Stop()
	for {
		select {
		case <-l.bell:
		case <-tick.C:
		case <-l.ctx.Done():
			return
		}
		l.boxMu.Lock()
		taken, l.box = l.box, taken[:0]
		l.boxMu.Unlock()
		l.mu.Lock()
		for i := range taken {
			l.give(&taken[i])
		}
		l.expire()
		l.mu.Unlock()
	}
}

// dispatchTick is how late an attempt that waits for a connection may be given up.
const dispatchTick = time.Millisecond

// give gives an attempt to a slot, or lets it wait. l.mu is held.
func (l *pool) give(a *Attempt) {
	switch n := len(l.idle); {
	case l.closed:
	case n > 0 && l.waiting.len() == 0:
		s := l.idle[n-1]
		if l.at != nil {
			s = l.ofDroplet(a.Droplet)
		}
		if s == nil {
			l.start(a)
			break
		}
		last := l.idle[n-1]
		l.idle[s.place], last.place = last, s.place
		l.idle = l.idle[:n-1]
		delete(l.at, s.owner)
		s.mail <- *a // it has room
	case l.slots < l.most:
		l.start(a)
	default:
		l.waits.Inc()
		l.waiting.push(a)
	}
}

// ofDroplet is the idle slot for a droplet: its own, or, if there can be no further one, another's, whose
// connection is closed; nil: none. l.mu is held.
func (l *pool) ofDroplet(droplet uint32) *slot {
	if s := l.at[droplet]; s != nil || l.slots < l.most {
		return s
	}
	return l.idle[0]
}

// start starts a slot with its first attempt. l.mu is held.
func (l *pool) start(a *Attempt) {
	l.slots++
	s := &slot{mail: make(chan Attempt, 1), owner: a.Droplet}
	s.mail <- *a
	l.all.Go(func() { l.serve(s) })
}

// serve makes a slot's calls.
func (l *pool) serve(s *slot) {
	defer l.leave(s)
	for a := range s.mail {
		l.call(s, &a, false)
		for a, more := l.after(s); more; a, more = l.after(s) {
			l.call(s, &a, true)
		}
	}
}

// after is the next attempt that waits; if there is none, the slot becomes idle.
func (l *pool) after(s *slot) (a Attempt, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		close(s.mail) // only idle slots get mail
		return a, false
	}
	if l.waiting.len() > 0 {
		a = l.waiting.pop()
		l.waitTime.Add(uint64(max(0, l.now()-a.Offered())))
		return a, true
	}
	s.place = len(l.idle)
	l.idle = append(l.idle, s)
	if l.at != nil {
		l.at[s.owner] = s
	}
	return a, false
}

// call makes one call and reports its reply.
func (l *pool) call(s *slot, a *Attempt, waited bool) {
	r := Reply{Attempt: *a, Status: -1, Outcome: queue.Failed, Waited: waited}
	r.Picked = l.now()
	left := a.Deadline() - r.Picked
	patience := left
	if !l.s.Connections.Cancel {
		patience = max(left, a.Born+l.s.Connections.Patience-l.now())
	}
	switch {
	case left <= 0:
		r.Kind, r.Outcome = NotSent, queue.Late
	default:
		if l.at != nil && s.owner != a.Droplet {
			l.leave(s)
			s.owner = a.Droplet
		}
		held, err := l.attach(s, left)
		if r.Picked += held; err != nil {
			if r.Kind = KindOf(err); r.Kind == NotSent {
				r.Outcome = queue.Late
			}
			break
		}
		usable := s.link.conn.Call(time.Now().Add(patience), l.now, &r)
		if r.Sent > 0 {
			l.requests.Inc()
		}
		if r.BadAfter {
			l.badAfter.Inc()
		}
		if life := l.s.Connections.Lifetime; !usable || life > 0 && time.Since(s.link.born) >= life {
			l.retire(s)
		}
	}
	r.Done = l.now()
	if r.Done >= a.Deadline() && r.Outcome != queue.Late {
		r.Outcome = queue.Late
		if r.Kind == Answered {
			r.Kind = LateAnswer
		}
	}
	l.report(&r)
}

// report hands a reply to the generator.
func (l *pool) report(r *Reply) {
	s := &l.done[r.Droplet%shelves]
	s.mu.Lock()
	s.replies = append(s.replies, *r)
	s.mu.Unlock()
}

// attach gives the slot a connection, for which it waits left at most. held is how long the door kept it
// waiting: this process's doing, not the service's.
func (l *pool) attach(s *slot, left time.Duration) (held time.Duration, err error) {
	if s.link != nil && l.p.Streams() == 1 {
		return 0, nil // nobody else could retire it
	}
	if s.link != nil {
		l.mu.Lock()
		retired := s.link.retired
		l.mu.Unlock()
		if !retired {
			return 0, nil
		}
		l.leave(s)
	}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, &KindError{OtherError, context.Canceled}
	}
	mine := false
	if streams := l.p.Streams(); streams > 1 {
		for _, k := range l.links {
			if !k.retired && k.users < streams {
				s.link = k
				break
			}
		}
	}
	if s.link == nil {
		s.link, mine = &link{ready: make(chan struct{}), at: len(l.links)}, true
		l.links = append(l.links, s.link)
	}
	k := s.link
	k.users++
	l.mu.Unlock()
	if mine {
		held = l.dial(k, left)
	} else {
		late := time.NewTimer(left)
		defer late.Stop()
		select {
		case <-k.ready:
		case <-late.C:
			l.leave(s)
			return 0, &KindError{DialTimeout, context.DeadlineExceeded}
		}
	}
	if k.err != nil {
		l.leave(s)
		return held, k.err
	}
	return held, nil
}

// dial opens a link's connection.
func (l *pool) dial(k *link, left time.Duration) (held time.Duration) {
	ctx, cancel := context.WithTimeout(l.ctx, left)
	defer cancel()
	began := time.Now()
	var conn Conn
	leave, err := l.door.enter(ctx)
	held = time.Since(began)
	if began = time.Now(); err == nil {
		connected := make(chan struct{})
		go func() { // with a stack of its own: the slot would keep one as large for as long as it waits for answers
			defer close(connected)
			conn, err = l.p.Connect(ctx)
		}()
		<-connected
		leave()
	} else {
		err = &KindError{NotSent, err}
	}
	k.born = time.Now()
	l.mu.Lock()
	if k.conn, k.err = conn, err; err != nil {
		k.retired = true
	}
	closed := l.closed
	l.mu.Unlock()
	close(k.ready)
	if err != nil {
		return held
	}
	l.dials.Inc()
	l.dialTime.Add(uint64(k.born.Sub(began)))
	open := l.open.Inc()
	for peak := l.peak.Load(); open > peak && !l.peak.CompareAndSwap(peak, open); peak = l.peak.Load() {
	}
	if closed {
		conn.Close()
	}
	return held
}

// retire lets a slot leave its connection, which nobody is to use any more.
func (l *pool) retire(s *slot) { l.part(s, true) }

// leave takes the slot off its connection. The last to leave a retired one, or one that only one slot can
// use, closes it.
func (l *pool) leave(s *slot) { l.part(s, false) }

func (l *pool) part(s *slot, retire bool) {
	k := s.link
	if k == nil {
		return
	}
	s.link = nil
	l.mu.Lock()
	k.users--
	k.retired = k.retired || retire
	over := k.users == 0 && (k.retired || l.p.Streams() == 1 || l.closed)
	if over {
		k.retired = true
		last := l.links[len(l.links)-1] // takes its place: a search would take as long as there are links
		l.links[k.at], last.at = last, k.at
		l.links[len(l.links)-1] = nil
		l.links = l.links[:len(l.links)-1]
	}
	l.mu.Unlock()
	if over && k.conn != nil {
		if leave, err := l.door.enter(l.ctx); err == nil {
			defer leave()
		}
		k.conn.Close()
		l.open.Dec()
	}
}

// Replies implements Client.
func (l *pool) Replies(dst []Reply) int {
	for i := 0; i < shelves && l.next == len(l.taken); i++ {
		l.turn++
		s := &l.done[l.turn%shelves]
		if !s.mu.TryLock() {
			continue // the next call comes within a turn
		}
		l.taken, s.replies, l.next = s.replies, l.taken[:0], 0
		s.mu.Unlock()
	}
	n := copy(dst, l.taken[l.next:])
	l.next += n
	l.out -= n
	return n
}

// expire gives up the attempts whose deadline has passed while they waited for a connection: those at the
// head, since all have one timeout. l.mu is held.
func (l *pool) expire() {
	for now := l.now(); l.waiting.len() > 0 && l.waiting.head().Deadline() <= now; {
		a := l.waiting.pop()
		l.waitTime.Add(uint64(max(0, now-a.Offered())))
		l.report(&Reply{Attempt: a, Status: -1, Picked: now, Waited: true, Done: now, Kind: NotSent, Outcome: queue.Late})
	}
}

// Out implements Client.
func (l *pool) Out() int { return l.out }

// Stats implements Client.
func (l *pool) Stats() Stats {
	return Stats{
		Requests: l.requests.Load(), Dials: l.dials.Load(), DialTime: time.Duration(l.dialTime.Load()), Connections: int(l.open.Load()),
		Most: int(l.peak.Load()), Waits: l.waits.Load(), WaitTime: time.Duration(l.waitTime.Load()), BadAfter: l.badAfter.Load(),
	}
}

// Close implements Client.
func (l *pool) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.cancel()
	for _, s := range l.idle {
		close(s.mail)
	}
	l.idle = nil
	var conns []Conn
	for _, k := range l.links {
		if k.conn != nil {
			conns = append(conns, k.conn)
		}
	}
	l.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	l.all.Wait()
}

// fifo is a queue of attempts in a ring.
type fifo struct {
	ring       []Attempt
	from, size int
}

func (f *fifo) len() int       { return f.size }
func (f *fifo) head() *Attempt { return &f.ring[f.from] }

func (f *fifo) push(a *Attempt) {
	if f.size == len(f.ring) {
		wider := make([]Attempt, max(64, 2*len(f.ring)))
		for i := range f.size {
			wider[i] = f.ring[(f.from+i)%len(f.ring)]
		}
		f.ring, f.from = wider, 0
	}
	f.ring[(f.from+f.size)%len(f.ring)] = *a
	f.size++
}

func (f *fifo) pop() Attempt {
	a := f.ring[f.from]
	f.from = (f.from + 1) % len(f.ring)
	f.size--
	return a
}
