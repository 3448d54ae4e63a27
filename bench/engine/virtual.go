package engine

import (
	"context"
	"math"
	"math/rand/v2"
	"sort"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Virtual drives a plan through a calendar of events, without waiting: the same passive
// code, the same result every time to the last byte.
type Virtual struct {
	Workers int
	Service Service // mean service of a live attempt on one worker, by class
	// Draw is the service's distribution; nil is Fixed.
	Draw Distribution
	Seed uint64
	// Single takes every instant by itself, even where several can be taken together: it
	// is slower, and the same to the byte.
	Single bool
}

// Distribution draws a service time of the given mean, in ns.
type Distribution func(mean float64, rng *rand.Rand) float64

// Fixed is a service that always takes its mean.
func Fixed(mean float64, _ *rand.Rand) float64 { return mean }

// Exponential is a service without memory.
func Exponential(mean float64, rng *rand.Rand) float64 { return mean * rng.ExpFloat64() }

// Lognormal makes services whose standard deviation is cv times their mean.
func Lognormal(cv float64) Distribution {
	sigma2 := math.Log(1 + cv*cv)
	sigma := math.Sqrt(sigma2)
	return func(mean float64, rng *rand.Rand) float64 {
		return mean * math.Exp(sigma*rng.NormFloat64()-sigma2/2)
	}
}

// Measured is a service with the distribution that was measured, over its mean.
func Measured(qs []record.Quantile) Distribution {
	mean := 0.0 // of the straight lines between the points
	for i := 1; i < len(qs); i++ {
		mean += (qs[i].Q - qs[i-1].Q) * (qs[i].X + qs[i-1].X) / 2
	}
	return func(m float64, rng *rand.Rand) float64 {
		u := rng.Float64()
		i := min(max(1, sort.Search(len(qs), func(i int) bool { return qs[i].Q >= u })), len(qs)-1)
		a, b := qs[i-1], qs[i]
		return m / mean * (a.X + (b.X-a.X)*(u-a.Q)/(b.Q-a.Q))
	}
}

// idle is the end of a service that nobody does.
const idle = time.Duration(math.MaxInt64)

// server is one worker of a virtual run.
type server struct {
	end     time.Duration // of the service; idle
	taken   time.Duration
	planned time.Duration
	item    [1]queue.Item // that it is at
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
	unit     [queue.Classes]float64 // ns for a unit of cost
	items    [offerBatch]queue.Item
	foreseen lookahead    // the source, if it is one and Single is not wanted
	plain    plainManager // the manager, if it is one and foreseen is set
	ahead    [aheadOf]queue.Item
	looked   int // takes until the next look ahead
	answer   [1]dwfm.Answer
	expireAt time.Duration
}

// contextEvery is at how many instants the context is looked at once: by their number, for
// a step of the log may hold any number of them.
const contextEvery = 256

// Run carries out the plan. Between two instants nothing happens; at one instant
// services end first, then the watcher looks, then attempts come, then workers take.
func (v *Virtual) Run(ctx context.Context, p *Plan) (Result, error) {
	r := &virtualRun{
		watcher: newWatcher(p), v: v, m: p.Manager, servers: make([]server, v.Workers),
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

// Calendar is a Source that knows when it is due next.
type Calendar interface {
	Source
	Due(now time.Duration) time.Duration
}

// instant lets everything happen that is due at now; true ends the run.
func (r *virtualRun) instant(now time.Duration) bool {
	for i := range r.servers {
		if s := &r.servers[i]; s.end <= now {
			r.complete(s)
		}
	}
	if now >= r.expireAt {
		r.m.Expire(now)
		r.expireAt = now + ExpirePeriod
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
			break // nothing waits for the others either
		}
	}
	return false
}

// take gives a worker the next attempt; false if there is none.
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

// longestService is longer than a run, and what 4,096 workers are at can be summed up.
const longestService = 1 << 51

// service is a service time of so many ns, and no more than a time can hold, as of an attempt
// that a long queue slows without end.
func service(ns float64) time.Duration { return time.Duration(min(ns, longestService)) }

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

// abandon ends a service that the end of the run cut short, so that every attempt is
// accounted for.
func (r *virtualRun) abandon(s *server, now time.Duration) {
	if s.end != idle {
		s.end = max(now, s.end)
		r.complete(s)
	}
}
