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

// Blocks is the number of work blocks per unit of cost, by class. A block is 64 bytes to hash.
type Blocks [queue.Classes]float64

// Real drives a plan on pinned goroutines and the host's clock. There is one goroutine per
// worker, which does real work, and one for the generator. The garbage collector is parked
// during a run.
type Real struct {
	Placement host.Placement
	Blocks    Blocks
	Service   Service // calibrated; the run's services are compared with it
	// Batch is the largest number of attempts that a worker takes at a time. The discipline
	// cannot reorder a taken attempt, so a batch should be short in service time.
	Batch int
	// Draw, if set, draws the blocks of each service about their mean. Seed seeds the draws.
	Draw Distribution
	Seed uint64
	// Idle is what a thread does while it has no work: one of Idles. "" is "spin".
	Idle string
	// MemoryLimit is the heap, in bytes, at which the parked garbage collector runs
	// nevertheless; 0: no limit.
	MemoryLimit int64
}

// RealResult is the Result of a real run, with the state of the host.
type RealResult struct {
	Result
	Start time.Time       // wall time of run time 0
	Gaps  *record.Latency // how long the host kept the idle generator from running
	GCs   uint32          // garbage collections in the run
	Usage host.Usage      // during the run
	// Clock is "tsc" or "monotonic". ClockDrift is its deviation from the monotonic clock, in
	// parts per million.
	Clock      string
	ClockDrift float64
	// Unpinned says why threads are not bound to processors; nil: all of them are.
	Unpinned error
}

// offerBatch is the largest number of attempts that the generator offers with one reading of the
// clock. A full batch takes about 10 µs.
const offerBatch = 64

// Run carries out the plan. The run ends at the plan's End, when Watch returns true, or when ctx
// is done. Only the last is an error: that of ctx. The log is finished in any case.
func (r *Real) Run(ctx context.Context, p *Plan) (RealResult, error) {
	defer park(r.MemoryLimit)()
	// Each pinned goroutine occupies a thread. The log's collector and the progress display need
	// one more.
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

// park stops the garbage collector until the heap has limit bytes. The returned function restores
// the settings.
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

// begin pins the calling goroutine for the rest of its life, calls own, and waits for the start
// of the run. A goroutine that cannot be pinned reports the error and runs nevertheless.
func (r *running) begin(cpu int, own func()) {
	err := host.Pin(cpu)
	own()
	r.ready <- err
	for !r.started.Load() {
		r.idle()
	}
}

// Idles are the values of Real.Idle:
//
//   - spin, the default: busy-wait. A thread sees new work within nanoseconds and occupies its
//     processor.
//   - yield: busy-wait for a moment, then let another goroutine use the thread.
//   - park: sleep for 20 µs. In practice a sleep takes 70 µs to 1 ms.
//
// If threads share a processor (host.Placement.TakesTurns), every value acts as park.
var Idles = []string{"spin", "yield", "park"}

// idle waits for a moment, as Idle says.
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

// workerLoop is one worker's goroutine. Its items and answer are fields, not local variables: a
// local variable that is passed to an interface method escapes, which is an allocation per turn.
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
	unit     [queue.Classes]float64 // calibrated service per unit of cost, in ns
	rng      *rand.Rand             // for Draw
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

// own allocates the worker's private memory and its ring. The worker calls it after it is pinned:
// the kernel places a page on the NUMA node of the thread that first touches it.
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

// turn takes a batch, serves all of it and returns the run time. The end of a service is the start
// of the next, so there is one reading of the clock per service.
func (w *workerLoop) turn(now time.Duration) time.Duration {
	w.rec.Tick(now)
	if w.index == 0 && now >= w.expireAt {
		w.plan.Manager.Expire(now)
		w.expireAt = now + w.plan.expirePeriod()
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
		if blocks := float64(cost * w.Blocks[it.Class]); blocks > 0 { // 0: no work, to measure the path
			if w.Draw != nil {
				blocks = w.Draw(blocks, w.rng)
			}
			w.labour.work(it.Droplet, max(1, int(blocks+.5)))
			end = w.clock.Now()
		}
		w.side.Complete(now, end, it, &w.answer)
		if w.plan.Blocking {
			end = w.clock.Now()
		}
		w.rec.Served(now, end, time.Duration(cost*w.unit[it.Class]), it, w.answer.Outcome)
		if w.answer.Outcome == queue.Good || w.answer.Outcome == queue.Failed {
			for !w.ring.put(&w.answer) && !w.stop.Load() {
				w.ring.publish()
				w.idle()
			}
		}
		if end > now { // an answer waits for no other service
			w.ring.publish()
			now = end
		}
	}
	w.ring.publish()
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
	lookAt      time.Duration // when ctx is checked next
	last        time.Duration // the last reading of the clock; 0: there was work since
	interrupted bool
}

func newGeneratorLoop(r *running, ctx context.Context, res *RealResult) *generatorLoop {
	return &generatorLoop{running: r, watcher: newWatcher(r.plan, r.plan.Manager), ctx: ctx, res: res}
}

func (g *generatorLoop) run() {
	g.begin(g.Placement.Generator, func() {})
	for !g.turn(g.clock.Now()) {
	}
	g.stop.Store(true)
	g.res.Elapsed = g.clock.Now()
}

// turn delivers the answers that have come and offers the attempts that are due. It returns true
// when the run is over.
func (g *generatorLoop) turn(now time.Duration) bool {
	if g.last > 0 { // the generator was idle since: the gap is the host's doing
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
