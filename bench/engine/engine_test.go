package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// smallPlan is 20,000 droplets that check every 100 ms.
func smallPlan(t testing.TB) *Plan { return planOf(t, 20_000) }

func planOf(t testing.TB, droplets int) *Plan {
	t.Helper()
	table, err := lease.Make("lockfree", lease.Env{Leases: droplets + 64, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	return planWith(t, droplets, table)
}

func planWith(t testing.TB, droplets int, table lease.Table) *Plan {
	t.Helper()
	q, err := queue.Make("deadline", queue.Config{Timeout: time.Second, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	c, err := admit.Make("token-bucket", admit.Config{Timeout: time.Second, Capacity: 1000, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	m, err := dwfm.New(dwfm.Config{
		Droplets: droplets, TTL: time.Hour, Table: table, Queue: q, Admit: c,
		Costs: dwfm.Costs{Class: [queue.Classes]float64{1, 4, 4}, Dead: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	retry, err := admit.MakeRetry("backoff", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	f, err := fleet.New(fleet.Config{
		Droplets: droplets, Broken: min(1000, droplets/2), Outage: dwfm.Window{From: 1, To: 2}, Spread: time.Second,
		Interval: time.Second, TTL: time.Hour, Timeout: time.Second, Retry: retry, Seed: 1,
	}, func(d uint32, until time.Duration) (lease.ID, error) { return m.Seed(0, until, d) })
	if err != nil {
		t.Fatal(err)
	}
	return &Plan{
		Manager: Local(m), Source: f, End: time.Hour, WatchPeriod: time.Millisecond,
		Log: record.NewLog(record.Shape{Leases: droplets, Workers: 1, Step: 10 * time.Millisecond, Phases: []record.Phase{{Name: "all"}}}),
	}
}

// A window of the measured loops allocates nothing: generator and worker, turn by turn,
// with checks, establishes, refusals, time-outs and answers going through.
func TestTurnsAllocateNothing(t *testing.T) {
	for _, watched := range []bool{false, true} {
		t.Run(fmt.Sprintf("watched=%v", watched), func(t *testing.T) { turnsAllocateNothing(t, watched) })
	}
}

// turnsAllocateNothing: where the log is watched, the watcher does not return before the turns are
// over. So the loops wait for no watcher and take no lock that one holds.
func turnsAllocateNothing(t *testing.T, watched bool) {
	plan := smallPlan(t)
	var stuck atomic.Bool
	inside, goOn := make(chan struct{}), make(chan struct{})
	if watched {
		plan.Log.Watch(func(*record.News) {
			if stuck.CompareAndSwap(true, false) {
				close(inside)
				<-goOn
			}
		})
	}
	r := &running{
		Real: &Real{Batch: 8, Blocks: Blocks{1, 1, 1}, Placement: host.Placement{Workers: []int{0}}},
		plan: plan, clock: host.NewClock(), rings: make([]*ring, 1),
	}
	res := RealResult{Gaps: record.NewLatency()}
	gen, worker := newGeneratorLoop(r, context.Background(), &res), newWorkerLoop(r, 0)
	worker.own()
	now := time.Duration(0) // a made-up time: nothing here depends on the host's speed
	turn := func() {
		now += 40 * time.Microsecond
		gen.turn(now)
		for range 4 {
			worker.turn(now)
		}
	}
	for range 30_000 { // 1.2 s: all calendars and lists have their size
		turn()
		plan.Log.Collect()
	}
	before := plan.Log.Total()
	var collector sync.WaitGroup
	if stuck.Store(watched); watched {
		for range 500 { // 20 ms: there is news
			turn()
		}
		collector.Go(plan.Log.Collect)
		<-inside
	}
	if n := testing.AllocsPerRun(2000, turn); n > 0 {
		t.Errorf("%v allocations a turn, want none", n)
	}
	close(goOn)
	collector.Wait()
	plan.Log.Finish()
	total := plan.Log.Total()
	if total.Offered.Sum()-before.Offered.Sum() < 500 || total.Done[queue.Good].Sum() == 0 {
		t.Errorf("the turns did not do the work: %+v", total)
	}
	if n := total.Unaccounted(plan.Manager.Queued()); n != 0 {
		t.Errorf("%d attempts unaccounted for", n)
	}
}

func TestRing(t *testing.T) {
	r := new(ring)
	for i := range ringSize {
		if !r.put(&dwfm.Answer{Droplet: uint32(i)}) {
			t.Fatalf("full after %d", i)
		}
	}
	if r.put(&dwfm.Answer{}) {
		t.Error("a full ring took one more")
	}
	dst := make([]dwfm.Answer, 100)
	if n := r.pop(dst); n > 0 {
		t.Errorf("%d answers before they were published", n)
	}
	r.publish()
	for next := uint32(0); next < ringSize; {
		n := r.pop(dst)
		for _, a := range dst[:n] {
			if a.Droplet != next {
				t.Fatalf("got %d, want %d", a.Droplet, next)
			}
			next++
		}
	}
	if r.pop(dst) != 0 || !r.put(&dwfm.Answer{}) {
		t.Error("an emptied ring has something, or takes nothing")
	}
}

// Answers cross from one goroutine to the other once and in order.
func TestRingConcurrent(t *testing.T) {
	const n = 200_000
	r := new(ring)
	go func() {
		for i := range uint32(n) {
			for a := (dwfm.Answer{Droplet: i}); !r.put(&a); {
				r.publish()
				host.Pause(10)
			}
			if i%7 == 0 {
				r.publish()
			}
		}
		r.publish()
	}()
	dst := make([]dwfm.Answer, 64)
	for next := uint32(0); next < n; {
		for _, a := range dst[:r.pop(dst)] {
			if a.Droplet != next {
				t.Fatalf("got %d, want %d", a.Droplet, next)
			}
			next++
		}
	}
}

// What an attempt costs on one thread from the fleet through admission, queue, worker,
// epoch check and record to the answer, with a no-op service, by how many are due at a time.
func BenchmarkPath(b *testing.B) {
	for _, batch := range []int{1, 8, 32, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			const droplets = 1_000_000
			plan := planOf(b, droplets)
			r := &running{
				Real: &Real{Batch: batch, Placement: host.Placement{Workers: []int{0}}},
				plan: plan, clock: host.NewClock(), rings: make([]*ring, 1),
			}
			res := RealResult{Gaps: record.NewLatency()}
			gen, worker := newGeneratorLoop(r, context.Background(), &res), newWorkerLoop(r, 0)
			worker.own()
			now := time.Duration(0)
			// Droplets check every second: 10^6 attempts a second of made-up time.
			turn := func() {
				now += time.Duration(batch) * time.Microsecond
				gen.turn(now)
				worker.turn(now)
			}
			for now < 1200*time.Millisecond {
				turn()
				plan.Log.Collect()
			}
			before := plan.Log.Total()
			b.ResetTimer()
			for range b.N/batch + 1 {
				turn()
			}
			b.StopTimer()
			plan.Log.Finish()
			total := plan.Log.Total()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total.Offered.Sum()-before.Offered.Sum()), "ns/attempt")
		})
	}
}

// What each idle strategy costs: the time from a word's change by one pinned thread until
// another, that had nothing to do, has answered; there and back.
func BenchmarkIdle(b *testing.B) {
	for _, idle := range Idles {
		b.Run(idle, func(b *testing.B) {
			r := &running{Real: &Real{Idle: idle, Placement: host.ReadTopology().Place(1)}}
			r.Placement.TakesTurns = false
			var turn atomic.Int64
			done := make(chan struct{})
			go func() {
				defer close(done)
				_ = host.Pin(r.Placement.Workers[0])
				for {
					n := turn.Load()
					if n < 0 {
						return
					}
					if n%2 == 1 {
						turn.Store(n + 1)
					} else {
						r.idle()
					}
				}
			}()
			for i := range b.N {
				turn.Store(int64(2*i + 1))
				for turn.Load() == int64(2*i+1) {
					host.Pause(16)
				}
			}
			turn.Store(-1)
			<-done
		})
	}
}

// A measured distribution has the mean that is asked for and the shape that was measured.
func TestMeasured(t *testing.T) {
	draw := Measured([]record.Quantile{{Q: 0, X: 1}, {Q: .5, X: 1}, {Q: .9, X: 2}, {Q: 1, X: 10}})
	rng := rand.New(rand.NewPCG(1, 1))
	sum, most := 0.0, 0.0
	const n = 200_000
	for range n {
		x := draw(1000, rng)
		sum += x
		most = max(most, x)
	}
	// Its mean is .5·1 + .4·1.5 + .1·6 = 1.7.
	if mean := sum / n; mean < 990 || mean > 1010 || most > 10*1000/1.7+1 || most < 9*1000/1.7 {
		t.Errorf("mean %.0f, want 1000; longest %.0f, want up to %.0f", mean, most, 10*1000/1.7)
	}
}
