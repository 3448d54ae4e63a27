package engine

import (
	"context"
	"math"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Blocks is how many blocks of work a service takes, by class, for each unit of cost.
type Blocks [queue.Classes]float64

// Real drives a plan on pinned goroutines and the host's clock. Workers do real work;
// the generator spins beside them.
type Real struct {
	Placement host.Placement
	Blocks    Blocks
	Service   Service // calibrated; what the run is compared with
	// Batch is how many attempts a worker takes at a time. What is taken is out of the
	// discipline's hands, so it is kept short in service time.
	Batch int
	// Draw, if set, varies each service about its mean; Seed is of its draws.
	Draw Distribution
	Seed uint64
	// Idle is what a thread does when there is nothing to do: see Idles. "" is spin.
	Idle string
	// MemoryLimit is the heap, in bytes, at which the parked garbage collector runs
	// all the same; 0 is none.
	MemoryLimit int64
}

// RealResult is what a real run shows beyond the log.
type RealResult struct {
	Result
	Start time.Time       // wall time of run time 0
	Gaps  *record.Latency // what the host alone did to the generator
	GCs   uint32          // collections in the run
	Usage host.Usage
	// Clock is what was read, and how far it came from the monotonic clock, in parts of a
	// million.
	Clock      string
	ClockDrift float64
	// Unpinned says why threads are not bound to processors; nil: they are.
	Unpinned error
}

// offerBatch bounds how many attempts the generator offers with one reading of the
// clock: about 10 µs of them.
const offerBatch = 64

// Run carries out the plan, until its end, its watcher or ctx says so; the error is
// ctx's in the last case. The log is finished in any case.
func (r *Real) Run(ctx context.Context, p *Plan) (RealResult, error) {
	defer park(r.MemoryLimit)()
	// Every pinned goroutine spins on a processor of its own; the collector of records
	// and the progress display need one more.
	procs := runtime.GOMAXPROCS(len(r.Placement.Workers) + 2)
	defer runtime.GOMAXPROCS(procs)

	run := &running{Real: r, plan: p, ready: make(chan error), rings: make([]*ring, len(r.Placement.Workers))}
	var all sync.WaitGroup
	for i := range run.rings {
		w := newWorkerLoop(run, i)
		all.Go(w.run)
	}
	res := RealResult{Gaps: record.NewLatency()}
	gen := newGeneratorLoop(run, ctx, &res)
	all.Go(gen.run)
	for range len(run.rings) + 1 {
		if err := <-run.ready; err != nil {
			res.Unpinned = err
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	usage := host.ReadUsage()
	run.clock = host.NewClock()
	res.Start = run.clock.Start()
	run.started.Store(true)

	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	tick := time.NewTicker(p.Log.Step / 2)
	defer tick.Stop()
	for waiting := true; waiting; {
		select {
		case <-tick.C:
			p.Log.Collect()
		case <-done:
			waiting = false
		}
	}
	res.Usage = host.ReadUsage().Sub(usage)
	res.Clock, res.ClockDrift = run.clock.Source(), run.clock.Drift()
	runtime.ReadMemStats(&after)
	res.GCs = after.NumGC - before.NumGC
	p.Log.Finish()
	res.Queued = p.Manager.Queued()
	if gen.interrupted {
		return res, ctx.Err()
	}
	return res, nil
}

// park stops the garbage collector up to a limit; the returned function restores it.
func park(limit int64) func() {
	runtime.GC()
	percent := debug.SetGCPercent(-1)
	if limit <= 0 {
		limit = math.MaxInt64
	}
	old := debug.SetMemoryLimit(limit)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(old)
	}
}

// running is one run's shared state.
type running struct {
	*Real
	plan    *Plan
	clock   host.Clock
	rings   []*ring
	ready   chan error
	started atomic.Bool
	stop    atomic.Bool
}

// begin pins the calling goroutine for the rest of its life, has it make what it owns, and
// waits for the others. Where it may not be pinned the run goes on all the same, and says so.
func (r *running) begin(cpu int, own func()) {
	err := host.Pin(cpu)
	own()
	r.ready <- err
	for !r.started.Load() {
		r.idle()
	}
}

// Idles are what a thread can do when there is nothing to do: spin (the default; it sees
// work within some ns, and takes its processor whole), yield (spin, then let another
// goroutine have the thread), park (sleep 20 µs, in practice some 70 µs to a millisecond).
var Idles = []string{"spin", "yield", "park"}

// idle passes a moment in which there is nothing to do.
func (r *running) idle() {
	switch {
	case r.Placement.TakesTurns || r.Idle == "park":
		time.Sleep(20 * time.Microsecond)
	case r.Idle == "yield":
		host.Pause(64)
		runtime.Gosched()
	default:
		host.Pause(16)
	}
}

// workerLoop is one worker's goroutine. What it works on stands in it, not on the
// stack: an item that passes through an interface would escape, once a turn.
type workerLoop struct {
	*running
	index    int
	rec      *record.Recorder
	side     Worker
	labour   *labourer
	ring     *ring
	items    []queue.Item
	answer   dwfm.Answer
	expireAt time.Duration
	unit     [queue.Classes]float64 // calibrated service of a unit of cost, ns
	rng      *rand.Rand             // of Draw
}

func newWorkerLoop(r *running, i int) *workerLoop {
	w := &workerLoop{
		running: r, index: i, rec: r.plan.Log.Recorder(i), side: r.plan.Manager.Worker(i),
	}
	for class := range queue.Classes {
		w.unit[class] = float64(r.Service[class]) / max(1e-9, r.plan.Manager.Cost(0, &queue.Item{Class: class, Timeout: 1}))
	}
	return w
}

// own makes the memory that is the worker's alone, and its ring. The worker itself does so,
// once it is pinned: the kernel puts a page on the NUMA node of the thread that first
// touches it.
func (w *workerLoop) own() {
	w.labour, w.items = newLabourer(), make([]queue.Item, max(1, w.Batch))
	w.rng = rand.New(rand.NewPCG(w.Seed, uint64(w.index)))
	w.ring = new(ring)
	clear(w.ring.slots[:])
	w.rings[w.index] = w.ring
}

func (w *workerLoop) run() {
	w.begin(w.Placement.Workers[w.index], w.own)
	for now := w.clock.Now(); !w.stop.Load(); {
		now = w.turn(now)
	}
}

// turn takes a batch and serves all of it; it returns the time. The end of one service
// is the start of the next: one reading of the clock a service.
func (w *workerLoop) turn(now time.Duration) time.Duration {
	w.rec.Tick(now)
	if w.index == 0 && now >= w.expireAt {
		w.plan.Manager.Expire(now)
		w.expireAt = now + ExpirePeriod
	}
	for shed := w.side.Drain(now, w.items); shed > 0; shed = w.side.Drain(now, w.items) {
		w.rec.Shed(w.items[:shed])
	}
	taken, dropped := w.side.Take(now, w.items)
	if dropped > 0 {
		w.rec.Shed(w.items[len(w.items)-dropped:])
	}
	if taken == 0 {
		if dropped == 0 {
			w.idle()
		}
		return w.clock.Now()
	}
	for i := range w.items[:taken] {
		it := &w.items[i]
		if i > 0 && w.side.Stale(now, it) {
			w.rec.Shed(w.items[i : i+1])
			continue
		}
		cost := w.plan.Manager.Cost(now, it)
		end := now
		if blocks := cost * w.Blocks[it.Class]; blocks > 0 { // 0: a no-op service, to measure the path
			if w.Draw != nil {
				blocks = w.Draw(blocks, w.rng)
			}
			w.labour.work(it.Droplet, max(1, int(blocks+.5)))
			end = w.clock.Now()
		}
		w.side.Complete(now, end, it, &w.answer)
		w.rec.Served(now, end, time.Duration(cost*w.unit[it.Class]), it, w.answer.Outcome)
		if w.answer.Outcome == queue.Good || w.answer.Outcome == queue.Failed {
			for !w.ring.push(&w.answer) && !w.stop.Load() {
				w.idle()
			}
		}
		now = end
	}
	return now
}

// generatorLoop is the generator's goroutine.
type generatorLoop struct {
	*running
	*watcher
	ctx         context.Context
	res         *RealResult
	items       [offerBatch]queue.Item
	answers     [offerBatch]dwfm.Answer
	lookAt      time.Duration // when ctx is looked at next
	last        time.Duration // the last reading of the clock, if nothing was done since
	interrupted bool
}

func newGeneratorLoop(r *running, ctx context.Context, res *RealResult) *generatorLoop {
	return &generatorLoop{running: r, watcher: newWatcher(r.plan), ctx: ctx, res: res}
}

func (g *generatorLoop) run() {
	g.begin(g.Placement.Generator, func() {})
	for !g.turn(g.clock.Now()) {
	}
	g.stop.Store(true)
	g.res.Elapsed = g.clock.Now()
}

// turn delivers the answers that have come and offers what is due; it returns true
// when the run is over.
func (g *generatorLoop) turn(now time.Duration) bool {
	if g.last > 0 { // nothing was to be done in between: the gap is the host's
		g.res.Gaps.RecordGap(g.last, now)
	}
	busy := false
	for _, ring := range g.rings {
		if n := ring.pop(g.answers[:]); n > 0 {
			busy = true
			g.watcher.answers(now, g.answers[:n])
		}
	}
	if g.tick(now) {
		return true
	}
	if now >= g.lookAt {
		g.lookAt = now + 10*time.Millisecond
		if g.interrupted = g.ctx.Err() != nil; g.interrupted {
			return true
		}
	}
	if n := g.running.plan.Source.Next(now, g.items[:]); n > 0 {
		g.offer(now, g.items[:n])
		busy = true
	}
	if g.last = now; busy {
		g.last = 0
	} else {
		g.idle()
	}
	return false
}
