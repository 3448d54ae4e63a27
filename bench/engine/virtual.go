package engine

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Virtual drives a plan through a calendar of events, without waiting. The same plan and seed give
// the same log, byte for byte. The plan's Source must be a [Calendar].
type Virtual struct {
	Workers int
	Service Service      // mean service time of a live attempt on one worker, by class
	Draw    Distribution // of service times; nil: Fixed
	Seed    uint64       // of Draw
	// Single handles every instant by itself, even if several could be handled together. The
	// result is the same, and takes longer.
	Single bool
}

// Distribution draws a service time with the given mean. Mean and result have the same unit.
type Distribution func(mean float64, rng *rand.Rand) float64

// Fixed is the Distribution of a constant service time.
func Fixed(mean float64, _ *rand.Rand) float64 { return mean }

// Exponential is the exponential Distribution.
func Exponential(mean float64, rng *rand.Rand) float64 { return mean * det.Exponential(rng) }

// Lognormal returns the lognormal Distribution with coefficient of variation cv.
func Lognormal(cv float64) Distribution {
	sigma2 := det.Log(1 + float64(cv*cv))
	sigma := math.Sqrt(sigma2)
	return func(mean float64, rng *rand.Rand) float64 {
		return mean * det.Exp(float64(sigma*det.Normal(rng))-float64(sigma2/2))
	}
}

// Measured returns a Distribution with the shape of the quantiles qs, linear in between. It scales
// them to the mean that is asked for. There must be at least two quantiles.
func Measured(qs []record.Quantile) Distribution {
	mean := 0.0 // of the straight lines between the points
	for i := 1; i < len(qs); i++ {
		mean += float64((qs[i].Q - qs[i-1].Q) * (qs[i].X + qs[i-1].X) / 2)
	}
	return func(m float64, rng *rand.Rand) float64 {
		u := float64(rng.Float64())
		i := min(max(1, sort.Search(len(qs), func(i int) bool { return qs[i].Q >= u })), len(qs)-1)
		a, b := qs[i-1], qs[i]
		return m / mean * (a.X + (b.X-a.X)*(u-a.Q)/(b.Q-a.Q))
	}
}

// idle is the end time of a worker that serves no attempt.
const idle = time.Duration(math.MaxInt64)

// server is one worker of a virtual run.
type server struct {
	end     time.Duration // run time at which the service ends, or idle
	taken   time.Duration // run time at which it began
	planned time.Duration // its mean length
	item    [1]queue.Item // the attempt in service
	side    Worker
	rec     *record.Recorder
}

// virtualRun is one run's state.
type virtualRun struct {
	*watcher
	v        *Virtual
	m        Manager
	servers  []server
	rng      *rand.Rand
	unit     [queue.Classes]float64 // ns per unit of cost
	items    [offerBatch]queue.Item
	foreseen lookahead    // the source; nil: it is no lookahead, or Single is set
	plain    plainManager // the manager; nil: it is no plainManager, or foreseen is nil
	ahead    [aheadOf]queue.Item
	looked   int // takes until the next look ahead
	answer   [1]dwfm.Answer
	expireAt time.Duration
}

// contextEvery is the number of instants between two checks of the context. It counts instants,
// not run time: a step of the log may hold any number of instants.
const contextEvery = 256

// Run carries out the plan. The run ends at the plan's End, when Watch returns true, or when ctx
// is done. Only the last is an error: that of ctx.
//
// At each instant the events have a fixed order: services end, leases expire, the plan's events
// and watcher run, attempts arrive, idle workers take attempts.
func (v *Virtual) Run(ctx context.Context, p *Plan) (Result, error) {
	r := &virtualRun{
		watcher: newWatcher(p, p.Manager), v: v, m: p.Manager, servers: make([]server, v.Workers),
		rng: rand.New(rand.NewPCG(v.Seed, 0x76697274)),
	}
	if v.Draw == nil {
		v.Draw = Fixed
	}
	for class := range queue.Classes {
		r.unit[class] = float64(v.Service[class]) / max(1e-9, p.Manager.Cost(0, &queue.Item{Class: class, Timeout: 1}))
	}
	for i := range r.servers {
		r.servers[i] = server{end: idle, side: p.Manager.Worker(i), rec: p.Log.Recorder(i)}
	}
	if plain, ok := p.Manager.(plainManager); ok && !v.Single {
		if r.foreseen, ok = p.Source.(lookahead); ok {
			r.plain = plain
		}
	}
	now, collectAt := time.Duration(0), time.Duration(0)
	for instants := uint(0); ; instants++ {
		if now >= collectAt {
			collectAt = now + p.Log.Step/2
			p.Log.Collect()
		}
		if instants%contextEvery == 0 {
			if err := ctx.Err(); err != nil {
				p.Log.Finish()
				return Result{Elapsed: now, Queued: r.m.Queued()}, err
			}
		}
		if r.instant(now) {
			break
		}
		if r.plain != nil && r.plain.Plain() && r.foreseen.Lookahead(p.WatchPeriod) {
			now = r.lookahead(now)
		}
		now = r.next(now)
	}
	for i := range r.servers {
		r.abandon(&r.servers[i], now)
	}
	p.Log.Finish()
	return Result{Elapsed: now, Queued: r.m.Queued()}, nil
}

// next is the time of the next event after now.
func (r *virtualRun) next(now time.Duration) time.Duration {
	t := min(r.watcher.next, r.expireAt, r.source().Due(now))
	if len(r.left) > 0 {
		t = min(t, r.left[0].At)
	}
	for i := range r.servers {
		t = min(t, r.servers[i].end)
	}
	return max(t, now+1)
}

func (r *virtualRun) source() Calendar { return r.plan.Source.(Calendar) }

// Calendar is a Source that knows the time of its next attempt.
type Calendar interface {
	Source
	// Due returns a run time before which Next has no attempt.
	Due(now time.Duration) time.Duration
}

// instant carries out all events that are due at now. It returns true when the run is over.
func (r *virtualRun) instant(now time.Duration) bool {
	for i := range r.servers {
		if s := &r.servers[i]; s.end <= now {
			r.complete(s)
		}
	}
	if now >= r.expireAt {
		r.m.Expire(now)
		r.expireAt = now + r.plan.expirePeriod()
	}
	if r.tick(now) {
		return true
	}
	for n := len(r.items); n == len(r.items); {
		if n = r.plan.Source.Next(now, r.items[:]); n > 0 {
			r.offer(now, r.items[:n])
		}
	}
	for i := range r.servers {
		if s := &r.servers[i]; s.end == idle && !r.take(s, now) {
			break // the queue is empty for the other workers as well
		}
	}
	return false
}

// take gives a worker the next attempt. It returns false if none waits.
func (r *virtualRun) take(s *server, now time.Duration) bool {
	s.rec.Tick(now)
	for {
		if shed := s.side.Drain(now, r.items[:]); shed > 0 {
			s.rec.Shed(r.items[:shed])
			continue
		}
		taken, dropped := s.side.Take(now, s.item[:])
		if dropped > 0 {
			s.rec.Shed(s.item[:])
			continue
		}
		if taken == 0 {
			return false
		}
		break
	}
	r.prefetchAhead(s, now)
	it := &s.item[0]
	s.taken = now
	mean := r.m.Cost(now, it) * r.unit[it.Class]
	s.planned = service(mean)
	s.end = now + max(1, service(r.v.Draw(mean, r.rng)))
	return true
}

// longestService, in ns, is 26 days: so short that the services of thousands of workers add up
// without overflow.
const longestService = 1 << 51

// service converts ns to a time, from 0 to longestService: a long queue can slow an attempt beyond
// any time.Duration, and what no Duration can hold becomes another one on each architecture.
func service(ns float64) time.Duration {
	switch {
	case ns >= longestService:
		return longestService
	case ns > 0:
		return time.Duration(ns)
	}
	return 0
}

// complete ends a service and delivers its answer.
func (r *virtualRun) complete(s *server) {
	a := &r.answer[0]
	s.rec.Tick(s.end)
	s.side.Complete(s.taken, s.end, &s.item[0], a)
	s.rec.Served(s.taken, s.end, s.planned, &s.item[0], a.Outcome)
	if a.Outcome == queue.Good || a.Outcome == queue.Failed {
		r.answers(s.end, r.answer[:])
	}
	s.end = idle
}

// abandon completes a service that the end of the run cuts short, so that every attempt is
// accounted for.
func (r *virtualRun) abandon(s *server, now time.Duration) {
	if s.end != idle {
		s.end = max(now, s.end)
		r.complete(s)
	}
}
