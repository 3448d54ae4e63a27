package engine

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Target drives a plan's source against a service that is not ours. One goroutine, the generator, sleeps
// between its turns: the service may share this host's cores. The plan's Manager is not used, and its Source
// must be a [Caller].
type Target struct {
	Client   client.Client
	Clock    host.Clock // run time; the client's, too
	Limits   client.Limits
	Interval time.Duration // between two regular checks: when a droplet asks again that was asked not to
	Turn     time.Duration // length of a turn: how far the generator may be behind
	Lease    uint64        // the leases' ids begin above this one
	ledger   *ledger
	// Requests, if set, makes a good answer late whose request had one before: the droplets hedge. The call
	// that lost is not cancelled, and ends by its answer or its time-out.
	Requests *dwfm.Requests
}

// Caller is a Source that hears of the errors of a service.
type Caller interface {
	Source
	// Errored delivers attempts to which the service answered that they are late or have failed, or
	// whose connection failed. Each item has the wait that the service asked for, as a refused one has:
	// see queue.Item.RetryAfter.
	Errored(now time.Duration, items []queue.Item)
}

// TargetResult is the Result of a run against a service.
type TargetResult struct {
	Result
	Kinds    [client.Kinds]uint64 // replies
	Status   map[int]uint64       // replies with a status
	Stats    client.Stats
	Good     uint64        // good answers
	GoodTime time.Duration // the sum of their times, from the request's first byte
	Gaps     *record.Latency
	// Lag is how late a call began that did not have to wait for another one, from the attempt's birth:
	// the slip with what the client's own process adds.
	Lag *record.Latency
	// Unhurried says why the generator has no priority over other threads; nil: it has.
	Unhurried error `json:"-"`
	// Stopped says which limit ended the run; "": none did.
	Stopped string
}

// Add adds the result of another agent of the same run.
func (r *TargetResult) Add(o *TargetResult) {
	r.Elapsed = max(r.Elapsed, o.Elapsed)
	r.Queued += o.Queued
	for i, n := range o.Kinds {
		r.Kinds[i] += n
	}
	for status, n := range o.Status {
		r.Status[status] += n
	}
	r.Stats.Add(&o.Stats)
	r.Good += o.Good
	r.GoodTime += o.GoodTime
	r.Gaps.Merge(o.Gaps)
	r.Lag.Merge(o.Lag)
	r.Stopped = cmp.Or(r.Stopped, o.Stopped)
}

// NewTargetResult returns the result of no agent.
func NewTargetResult() *TargetResult {
	return &TargetResult{Gaps: record.NewLatency(), Lag: record.NewLatency(), Status: map[int]uint64{}}
}

// Seed returns what gives a droplet its lease at the start of the run.
func (t *Target) Seed(droplets int, ttl time.Duration) func(droplet uint32, until time.Duration) (lease.ID, error) {
	t.ledger = newLedger(droplets, ttl)
	t.ledger.last = t.Lease
	return func(droplet uint32, until time.Duration) (lease.ID, error) { return t.ledger.seed(droplet, until), nil }
}

// Live implements stock.
func (t *Target) Live() int { return t.ledger.live }

// Queued implements stock: the attempts that are out.
func (t *Target) Queued() int { return t.Client.Out() }

// targetLoop is the generator of a run against a service.
type targetLoop struct {
	*Target
	*watcher
	res     *TargetResult
	items   [offerBatch]queue.Item
	replies [offerBatch]client.Reply
	refused []queue.Item
	errored []queue.Item // late or failed, and told so
	answers []dwfm.Answer
	sent    uint64        // requests of this run
	second  time.Duration // start of the present second, for Limits.Rate
	inIt    float64       // requests of this second
}

// Run carries out the plan. It ends at the plan's End, when Watch returns true, when a limit is reached
// or when ctx is done. Only the last is an error: that of ctx.
func (t *Target) Run(ctx context.Context, p *Plan) (TargetResult, error) {
	res := NewTargetResult()
	l := &targetLoop{Target: t, watcher: newWatcher(p, t), res: res}
	collect := time.NewTicker(p.Log.Step / 2)
	defer collect.Stop()
	done, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-collect.C:
				p.Log.Collect()
			case <-stop:
				return
			}
		}
	}()
	// Thousands of calls may be runnable at once. With a thread and a Go processor of its own the generator
	// does not wait behind them.
	procs := runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	ended := make(chan error)
	go func() {
		res.Unhurried = host.Hurry()
		ended <- l.run(ctx)
	}()
	err := <-ended
	runtime.GOMAXPROCS(procs)
	close(stop)
	<-done
	res.Queued = t.Client.Out()
	res.Stats = t.Client.Stats()
	p.Log.Finish()
	return *res, err
}

func (l *targetLoop) run(ctx context.Context) error {
	for last := l.Clock.Now(); ; {
		now := l.Clock.Now()
		l.res.Elapsed = now // on a busy host the last tick may be long over when Run hears of it, and the series ends with the tick
		l.res.Gaps.Record(max(0, now-last-l.Turn))
		for n := l.Client.Replies(l.replies[:]); n > 0; n = l.Client.Replies(l.replies[:]) {
			l.take(now, l.replies[:n])
		}
		l.ledger.expire(now)
		if l.tick(now) || l.res.Stopped != "" {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		for l.res.Stopped == "" {
			n := l.plan.Source.Next(now, l.items[:])
			if n == 0 {
				break
			}
			l.send(now, l.items[:n])
			now = l.Clock.Now()
		}
		last = l.Clock.Now()
		host.Doze(l.Turn)
	}
}

// send brings attempts to the service.
func (l *targetLoop) send(now time.Duration, items []queue.Item) {
	if most := l.Limits.Requests; most > 0 {
		items = items[:min(uint64(len(items)), most-l.sent)] // the others are never offered: the run ends
	}
	l.rec.Offered(now, items)
	if now-l.second >= time.Second {
		l.second, l.inIt = now, 0
	}
	for i := range items {
		items[i].SetOffered(now)
		l.Client.Send(&items[i])
	}
	l.inIt += float64(len(items))
	l.sent += uint64(len(items))
	switch {
	case l.Limits.Rate > 0 && l.inIt > l.Limits.Rate:
		l.res.Stopped = fmt.Sprintf("the droplets asked more than %.0f times a second, the limits.rate of the client", l.Limits.Rate)
	case l.Limits.Requests > 0 && l.sent >= l.Limits.Requests:
		l.res.Stopped = fmt.Sprintf("the droplets asked %d times, the limits.requests of the client", l.sent)
	}
}

// take records replies and tells the droplets.
func (l *targetLoop) take(now time.Duration, replies []client.Reply) {
	l.refused, l.errored, l.answers = l.refused[:0], l.errored[:0], l.answers[:0]
	for i := range replies {
		r := &replies[i]
		l.res.Kinds[r.Kind]++
		if r.Status >= 0 {
			l.res.Status[r.Status]++
		}
		it := &r.Attempt
		if !r.Waited {
			l.res.Lag.Record(max(0, r.Picked-it.Born))
		}
		if r.Outcome == queue.Good && l.Requests != nil && !l.Requests.Claim(it) {
			r.Outcome = queue.Late
		}
		start := max(r.Sent, it.Offered())
		if r.Outcome != queue.Shed {
			// How long the service itself took is not known: there is no busy time. What the series has as
			// sojourn is the time from the offer to the answer.
			done := max(start, r.Done)
			l.rec.Served(done, done, 0, it, r.Outcome)
		}
		switch {
		case r.Outcome == queue.Good:
			l.res.Good++
			l.res.GoodTime += r.Done - start
			l.answers = append(l.answers, l.grant(r))
		case r.Outcome != queue.Late || r.Kind == client.Answered: // its client is still there, and hears of it
			if r.NoRetry {
				r.After = max(r.After, l.Interval)
			}
			it.Why = queue.Refused // the item then has a wait
			it.SetRetryAfter(r.After)
			if r.Outcome != queue.Shed {
				l.errored = append(l.errored, *it)
				continue
			}
			l.refused = append(l.refused, *it)
			l.rec.Shed(l.refused[len(l.refused)-1:])
		}
	}
	l.watcher.answers(now, l.answers)
	l.plan.Source.Refused(now, l.refused)
	l.plan.Source.(Caller).Errored(now, l.errored)
}

// grant extends the droplet's lease by a good answer.
func (l *targetLoop) grant(r *client.Reply) dwfm.Answer {
	a := dwfm.Answer{Born: r.Born, Droplet: r.Droplet, Class: r.Class, Outcome: queue.Good, Lease: r.Lease}
	if r.Class == queue.Launch {
		return a
	}
	a.Until = r.Done + l.ledger.ttl
	l.ledger.extend(r.Droplet, a.Until)
	if r.Class == queue.Establish {
		l.ledger.last++
		a.Lease = l.ledger.last
	}
	return a
}
