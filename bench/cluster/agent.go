package cluster

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/record"
)

// What agents and their coordinator say to each other. An agent has the subject "leasestorm.agent.NAME.",
// with what is asked of it, and a run has "leasestorm.storm.RUN.".
const (
	rollCall    = "leasestorm.agents"   // who is there?
	partBucket  = "leasestorm-partials" // what agents measured, until the coordinator has read it
	askDuty     = "duty"                // here is your part of a run: ready it
	askStart    = "start"               // begin at this instant
	askStop     = "stop"                // end early, and say what you have measured
	askFree     = "free"                // forget the run
	askClock    = "clock"               // what do your clocks show?
	saysAlive   = "alive"               // the coordinator is there
	saysLive    = "live."               // steps of the series, from an agent
	saysEnd     = "end."                // it has ended
	aliveEvery  = 500 * time.Millisecond
	patience    = 5 * time.Second // without a sign of life, after which one takes the other for dead
	dutyLimit   = time.Minute     // for an agent to ready its part
	packedLimit = 1 << 28         // bytes of what an agent measured
)

// card is what an agent says of itself.
type card struct {
	Name  string `json:"name"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Build string `json:"build"`
	Busy  bool   `json:"busy"` // it has a part of a run
}

// order is a duty with its run.
type order struct {
	Run  string     `json:"run"`
	Duty bench.Duty `json:"duty"`
}

// reply answers what is asked of an agent. "" is yes.
type reply struct {
	Error string `json:"error,omitempty"`
}

// beat is a sign of an agent's life, with the steps that have passed since the last.
type beat struct {
	Rows []*record.Row `json:"rows,omitempty"`
}

// part is an agent's part of a run.
type part struct {
	run   string
	index int
	agent *bench.Agent
	start chan time.Duration // in this agent's mono
	end   context.CancelFunc
	heard time.Time // of the coordinator
	done  chan struct{}
}

// agent is a process that plays ranges of droplets, a run at a time.
type agent struct {
	card
	mayLoad []string
	now     func() time.Duration // mono
	nc      *nats.Conn
	js      jetstream.JetStream
	say     func(format string, args ...any)
	all     sync.WaitGroup

	mu   sync.Mutex
	part *part // nil: none
}

// serveRuns is an agent's life, until ctx is done or the server refuses it. mayLoad are the hosts beside
// loopback that this agent may load. now is the time since some instant; nil: since the start.
func serveRuns(ctx context.Context, l link, mayLoad []string, now func() time.Duration, say func(format string, args ...any)) (err error) {
	defer func() { err = rejected(err) }()
	host, _ := os.Hostname()
	a := &agent{card: card{Name: random()[:12], Host: host, PID: os.Getpid(), Build: buildID()}, mayLoad: mayLoad, now: now, say: say}
	if a.now == nil {
		began := time.Now()
		a.now = func() time.Duration { return time.Since(began) }
	}
	if a.nc, a.js, err = l.connect("leasestorm agent "+a.Name, true); err != nil {
		return err
	}
	defer a.nc.Close()
	// What is asked of the clock has a connection of its own: behind other messages it would wait.
	clock, _, err := l.connect("leasestorm agent "+a.Name+" clock", true)
	if err != nil {
		return err
	}
	defer clock.Close()
	go l.follow(ctx, a.nc, sayTrouble(say))
	closed := make(chan error, 2)
	for _, nc := range []*nats.Conn{a.nc, clock} {
		nc.SetClosedHandler(func(nc *nats.Conn) {
			closed <- fmt.Errorf("the NATS server at %s: %w", shown(l.URL), errors.Join(nc.LastError(), nats.ErrConnectionClosed))
		})
	}
	listen := func(nc *nats.Conn, subject string, do nats.MsgHandler) {
		if err == nil {
			_, err = nc.Subscribe(subject, do)
		}
	}
	mine := "leasestorm.agent." + a.Name + "."
	listen(clock, mine+askClock, a.tellClock)
	listen(a.nc, rollCall, func(m *nats.Msg) {
		me := a.card
		a.mu.Lock()
		me.Busy = a.part != nil
		a.mu.Unlock()
		answer(m, me)
	})
	// To ready a part takes a while, in which the other questions are answered.
	listen(a.nc, mine+askDuty, func(m *nats.Msg) { a.all.Go(func() { answer(m, asReply(a.take(ctx, m.Data))) }) })
	listen(a.nc, mine+askStart, func(m *nats.Msg) { answer(m, asReply(a.begin(m.Data))) })
	listen(a.nc, mine+askStop, func(*nats.Msg) {
		if p := a.inHand(); p != nil {
			p.agent.Stop()
		}
	})
	listen(a.nc, mine+askFree, func(*nats.Msg) { a.drop(a.inHand()) })
	listen(a.nc, "leasestorm.storm.*."+saysAlive, func(m *nats.Msg) { a.hear(m.Subject) })
	if err != nil {
		return err
	}
	defer a.all.Wait()
	defer func() { a.drop(a.inHand()) }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-closed:
			return err
		case <-time.After(aliveEvery):
			a.look()
		}
	}
}

// answer answers a message, if it can be answered.
func answer(m *nats.Msg, with any) {
	if text, err := json.Marshal(with); err == nil {
		_ = m.Respond(text) // whoever asked asks again, or gives up
	}
}

func asReply(err error) reply {
	if err != nil {
		return reply{err.Error()}
	}
	return reply{}
}

// inHand is the agent's part; nil: none.
func (a *agent) inHand() *part {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.part
}

// tellClock answers what the clocks show.
func (a *agent) tellClock(m *nats.Msg) {
	s := stamps{Got: a.now(), Wall: time.Now().UnixNano()}
	if p := a.inHand(); p != nil && p.agent != nil {
		s.Run, s.Runs = p.agent.Now()
	}
	s.Sent = a.now()
	answer(m, s)
}

// take readies a part, which waits for its start.
func (a *agent) take(ctx context.Context, text []byte) error {
	var o order
	if err := json.Unmarshal(text, &o); err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	p := &part{run: o.Run, end: end, index: o.Duty.Agent, start: make(chan time.Duration, 1), heard: time.Now(), done: make(chan struct{})}
	a.mu.Lock()
	busy := a.part != nil
	if !busy {
		a.part = p
	}
	a.mu.Unlock()
	if busy {
		end()
		return errors.New("it has a part of another run")
	}
	b, err := bench.NewAgent(ctx, o.Duty, a.mayLoad)
	if err != nil {
		close(p.done)
		a.drop(p)
		return err
	}
	a.mu.Lock()
	p.agent = b
	a.mu.Unlock()
	a.say("agent %s: part %d of %d of a run against %s", a.Name, o.Duty.Agent+1, o.Duty.Agents, o.Duty.Target.Client.URL)
	a.all.Go(func() {
		defer close(p.done)
		a.play(ctx, p)
	})
	return nil
}

// begin starts the part in hand at an instant of this agent's mono.
func (a *agent) begin(text []byte) error {
	var at time.Duration
	if err := json.Unmarshal(text, &at); err != nil {
		return err
	}
	p := a.inHand()
	if p == nil {
		return errors.New("it has no part to start")
	}
	if late := a.now() - at; late > 0 {
		return fmt.Errorf("it was told to start %v after the common instant", late)
	}
	select {
	case p.start <- at:
		return nil
	default:
		return errors.New("it was told to start twice")
	}
}

// play plays a part and stores what was measured.
func (a *agent) play(ctx context.Context, p *part) {
	live := fmt.Sprintf("leasestorm.storm.%s.%s%d", p.run, saysLive, p.index)
	beating, still := context.WithCancel(ctx)
	a.all.Go(func() {
		for pause(beating, aliveEvery) {
			a.tell(live, beat{})
		}
	})
	partial, err := p.agent.Run(ctx, func(ctx context.Context) error { return a.await(ctx, p) }, func(n *record.News) { a.tell(live, beat{n.Rows}) })
	if err == nil {
		err = a.keep(ctx, p, partial)
	}
	still()
	if ctx.Err() != nil {
		return
	}
	if text, err := json.Marshal(asReply(err)); err == nil {
		for range 5 { // the server may be away
			if _, err := a.nc.Request(fmt.Sprintf("leasestorm.storm.%s.%s%d", p.run, saysEnd, p.index), text, time.Second); err == nil {
				break
			}
			pause(ctx, time.Second/4)
		}
	}
}

// tell publishes what may be lost.
func (a *agent) tell(subject string, b beat) {
	if text, err := json.Marshal(b); err == nil {
		_ = a.nc.Publish(subject, text)
	}
}

// spin is how long before the common instant an agent does not sleep any more: a sleep ends late.
const spin = 2 * time.Millisecond

// await waits for the common instant.
func (a *agent) await(ctx context.Context, p *part) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case at := <-p.start:
		if !pause(ctx, at-a.now()-spin) {
			return ctx.Err()
		}
		for a.now() < at {
			runtime.Gosched()
		}
		return nil
	}
}

// keep stores what was measured where the coordinator reads it.
func (a *agent) keep(ctx context.Context, p *part, partial *bench.Partial) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(json.NewEncoder(z).Encode(partial), z.Close()); err != nil {
		return err
	}
	bucket, err := a.js.ObjectStore(ctx, partBucket)
	if err == nil {
		_, err = bucket.PutBytes(ctx, partName(p.run, p.index), b.Bytes())
	}
	return err
}

// partName is what an agent's measurement is called in the store.
func partName(run string, index int) string { return fmt.Sprintf("%s-%d", run, index) }

// hear notes a sign of the coordinator's life.
func (a *agent) hear(subject string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.part != nil && subject == "leasestorm.storm."+a.part.run+"."+saysAlive {
		a.part.heard = time.Now()
	}
}

// look ends a part whose coordinator shows no sign of life: nobody watches over the load any more.
func (a *agent) look() {
	p := a.inHand()
	if p == nil {
		return
	}
	a.mu.Lock()
	silent := time.Since(p.heard)
	a.mu.Unlock()
	if silent > patience {
		a.say("agent %s: the coordinator is silent for %v: the run ends", a.Name, silent.Round(time.Second))
		a.drop(p)
	}
}

// drop ends a part, if it is the one in hand, and waits for its end.
func (a *agent) drop(p *part) {
	if p == nil {
		return
	}
	p.end()
	<-p.done
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.part != p {
		return
	}
	if p.agent != nil {
		p.agent.Close()
	}
	a.part = nil
}
