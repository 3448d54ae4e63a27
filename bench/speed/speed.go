// Package speed measures lease tables, queue disciplines, admission controllers and the generator
// in isolation: operations per second by number of goroutines, and the cost per attempt.
package speed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// Row is the speed of one contestant at one workload with a number of goroutines.
type Row struct {
	Work       string  `json:"work"`
	Contestant string  `json:"contestant"`
	Goroutines int     `json:"goroutines"`
	Pinned     bool    `json:"pinned"`     // each goroutine is pinned to a processor
	PerSecond  float64 `json:"per_second"` // operations of all goroutines; median over the rounds
	Low        float64 `json:"low"`        // least over the rounds, per second
	High       float64 `json:"high"`       // most over the rounds, per second
	Rounds     int     `json:"rounds"`

	samples []float64
}

// Fitted is the scalability law of one contestant at one workload.
type Fitted struct {
	Work       string `json:"work"`
	Contestant string `json:"contestant"`
	Pinned     bool   `json:"pinned"`
	Law
}

// Laws fits the scalability law to the rows of each contestant and workload. It leaves out those
// with fewer than four counts of goroutines. seed is that of the confidence intervals. rows must be
// in the order of [Measure].
func Laws(rows []Row, seed uint64) []Fitted {
	var all []Fitted
	for i := 0; i < len(rows); {
		var counts []int
		var rates [][]float64
		r := rows[i]
		for ; i < len(rows) && rows[i].Work == r.Work && rows[i].Contestant == r.Contestant && rows[i].Pinned == r.Pinned; i++ {
			counts, rates = append(counts, rows[i].Goroutines), append(rates, rows[i].samples)
		}
		if l, ok := FitLaw(counts, rates, seed); ok {
			all = append(all, Fitted{r.Work, r.Contestant, r.Pinned, l})
		}
	}
	return all
}

// Nanoseconds returns the wall time per operation of all goroutines together, in ns.
func (r Row) Nanoseconds() float64 { return 1e9 / r.PerSecond }

// Options configure [Measure].
type Options struct {
	Leases     int           // in each table
	Goroutines []int         // counts of goroutines to measure with
	Rounds     int           // measurements of each row, interleaved with the others
	Length     time.Duration // of one measurement
	Seed       uint64
	Progress   func(round, rounds int) // called after each round; may be nil
}

// bout is the loop of one goroutine. It runs until stop is set, and returns the number of
// operations.
type bout func(worker int, stop *atomic.Bool) int

// contest is one workload of one contestant. setup prepares it for a number of goroutines.
type contest struct {
	work, name string
	setup      func(goroutines int) (bout, error)
}

// Measure measures every table and discipline in the catalogs, pinned and not pinned. The error is
// that of ctx if the measurement was interrupted.
func Measure(ctx context.Context, o Options) ([]Row, error) {
	if o.Leases < 1 || o.Rounds < 1 || o.Length <= 0 || len(o.Goroutines) == 0 || slices.Min(o.Goroutines) < 1 {
		return nil, fmt.Errorf("speed: %+v: want at least one lease, round and goroutine, and a length above 0", o)
	}
	all := append(tables(o), queues()...)
	slices.SortStableFunc(all, func(a, b contest) int { return strings.Compare(a.work, b.work) })
	type key struct {
		contest, goroutines int
		pinned              bool
	}
	rates := map[key][]float64{}
	var order []key
	for i := range all {
		for _, pinned := range []bool{true, false} {
			for _, g := range o.Goroutines {
				order = append(order, key{i, g, pinned})
			}
		}
	}
	inOrder := slices.Clone(order)
	rng := rand.New(rand.NewPCG(o.Seed, 1))
	cpus := host.ReadTopology()
	for round := range o.Rounds {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, k := range order {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			b, err := all[k.contest].setup(k.goroutines)
			if err != nil {
				return nil, err
			}
			rates[k] = append(rates[k], race(b, k.goroutines, k.pinned, o.Length, cpus))
		}
		if o.Progress != nil {
			o.Progress(round+1, o.Rounds)
		}
	}
	var rows []Row
	for _, k := range inOrder {
		r := slices.Sorted(slices.Values(rates[k]))
		rows = append(rows, Row{
			Work: all[k.contest].work, Contestant: all[k.contest].name, Goroutines: k.goroutines, Pinned: k.pinned,
			Rounds: len(r), PerSecond: middle(r), Low: r[0], High: r[len(r)-1], samples: r,
		})
	}
	return rows, nil
}

// race runs a bout on several goroutines at the same time and returns the sum of their operations
// per second.
func race(b bout, goroutines int, pinned bool, length time.Duration, t host.Topology) float64 {
	var stop, start atomic.Bool
	var ready, done sync.WaitGroup
	counts := make([]int, goroutines)
	times := make([]time.Duration, goroutines)
	place := t.Place(goroutines)
	for w := range goroutines {
		ready.Add(1)
		done.Go(func() {
			cpu := place.Workers[w]
			if goroutines > 1 && w == goroutines-1 && !slices.Contains(place.Workers[:w], place.Generator) {
				cpu = place.Generator // nobody generates here: that core is free
			}
			if pinned {
				_ = host.Pin(cpu) // where it may not, the figures are the scheduler's, too
			}
			ready.Done()
			for !start.Load() {
				runtime.Gosched() // there may be more of them than processors
			}
			began := time.Now()
			counts[w] = b(w, &stop)
			times[w] = time.Since(began)
		})
	}
	ready.Wait()
	start.Store(true)
	time.Sleep(length)
	stop.Store(true)
	done.Wait()
	total := 0.0
	for w := range goroutines {
		total += float64(counts[w]) / times[w].Seconds()
	}
	return total
}

// turns is the number of operations between two checks of the stop flag.
const turns = 64

// tableRefs lists the tables of this process, and variants that show the effect of padding and of sharding by
// topology.
func tableRefs() (refs []string) {
	for _, e := range lease.Catalog.List() {
		if e.HostClock { // it waits for another process
			continue
		}
		refs = append(refs, e.Name)
	}
	return append(refs, "sharded:shards=1", "sharded:shards=32", "sharded:pad=0", "lockfree:pad=0")
}

// tables are the workloads of tables: renew random leases, one or 64 at a time, and regrant them.
func tables(o Options) []contest {
	var all []contest
	workers := slices.Max(o.Goroutines)
	shards := host.ReadTopology().Shards(lease.BytesSharded*int64(o.Leases), workers)
	for _, ref := range tableRefs() {
		var tab lease.Table
		var ids []lease.ID
		fill := func(goroutines int) error {
			if tab != nil {
				return nil
			}
			var err error
			if tab, err = lease.Make(ref, lease.Env{Leases: o.Leases, Workers: workers, Shards: shards}); err != nil {
				return err
			}
			ids = make([]lease.ID, o.Leases)
			for i := range ids {
				if ids[i], err = tab.Grant(0, time.Hour, i); err != nil {
					return err
				}
			}
			return nil
		}
		until := atomic.NewInt64(int64(2 * time.Hour))
		work := func(name string, do func(id *lease.ID, deadline time.Duration), pick func(w, g int, rng *rand.Rand) int) {
			all = append(all, contest{name, ref, func(g int) (bout, error) {
				return func(w int, stop *atomic.Bool) int {
					rng := rand.New(rand.NewPCG(o.Seed, uint64(w)))
					for n := turns; ; n += turns {
						deadline := time.Duration(until.Add(int64(lease.Tick)))
						for range turns {
							do(&ids[pick(w, g, rng)], deadline)
						}
						if stop.Load() {
							return n
						}
					}
				}, fill(g)
			}})
		}
		anywhere := func(_, _ int, rng *rand.Rand) int { return rng.IntN(len(ids)) }
		own := func(w, g int, rng *rand.Rand) int {
			part := max(1, len(ids)/g)
			return min(w*part+rng.IntN(part), len(ids)-1)
		}
		renew := func(id *lease.ID, deadline time.Duration) {
			if tab.Renew(*id, 0, deadline) != nil {
				panic("speed: a live lease was not renewed")
			}
		}
		work("renew anywhere", renew, anywhere)
		work("renew, each in its own part", renew, own)
		work("regrant, each in its own part", func(id *lease.ID, deadline time.Duration) {
			var err error
			if *id, err = tab.Regrant(*id, 0, deadline); err != nil {
				panic("speed: a live lease was not granted anew")
			}
		}, own)
		all = append(all, contest{"renew anywhere, 64 at a time", ref, func(g int) (bout, error) {
			return func(w int, stop *atomic.Bool) int {
				rng := rand.New(rand.NewPCG(o.Seed, uint64(w)))
				batch := make([]lease.ID, turns)
				for n := turns; ; n += turns {
					for i := range batch {
						batch[i] = ids[anywhere(w, g, rng)]
					}
					if k, _ := tab.RenewAll(batch, 0, time.Duration(until.Add(int64(lease.Tick))), nil); k != turns {
						panic("speed: a live lease was not renewed")
					}
					if stop.Load() {
						return n
					}
				}
			}, fill(g)
		}})
	}
	return all
}

// queueRefs lists the disciplines, some of them with a queue per worker, and the lock-free ones
// without padding.
func queueRefs() (refs []string) {
	for _, e := range queue.Catalog.List() {
		refs = append(refs, e.Name)
	}
	return append(refs, "percore+fifo", "percore+lifo", "percore+deadline", "percore+codel", "fifo-lockfree:pad=0", "lifo-lockfree:pad=0")
}

// queues are the workloads of disciplines. In "push and pop" each goroutine pushes and pops in
// turn, so the queue stays short. In "hand-over" every other goroutine is a producer and the others
// are consumers. An operation is an item that was popped.
func queues() []contest {
	var all []contest
	for _, ref := range queueRefs() {
		open := func(workers int) (queue.Discipline, error) {
			return queue.Make(ref, queue.Config{Timeout: time.Hour, TTL: 24 * time.Hour, Workers: workers, Service: [queue.Classes]time.Duration{1, 1, 1}})
		}
		for _, batch := range []int{1, 16} {
			all = append(all, contest{fmt.Sprintf("push and pop, %d at a time", batch), ref, func(g int) (bout, error) {
				q, err := open(g)
				return func(w int, stop *atomic.Bool) int {
					own, items := view(q, w), newItems(w, batch)
					for n := 0; ; {
						for range turns / batch {
							q.Push(0, items)
							taken, _ := own.Pop(0, items)
							n += taken
						}
						if stop.Load() {
							return n
						}
					}
				}, err
			}})
		}
		all = append(all, contest{"hand-over, 64 at a time", ref, func(g int) (bout, error) {
			q, err := open(max(1, g/2))
			var moved atomic.Bool
			return func(w int, stop *atomic.Bool) int {
				own, items := view(q, w/2), newItems(w, turns)
				for n := 0; ; {
					if w%2 == 0 && q.Len() < mostWaiting {
						q.Push(0, items)
					}
					if w%2 == 1 || g == 1 {
						taken, _ := own.Pop(0, items)
						if n += taken; n == taken && n > 0 {
							moved.Store(true)
						}
					}
					// Producers have pushed once; somebody takes at least that.
					if stop.Load() && (w%2 == 0 && g > 1 || moved.Load()) {
						return n
					}
				}
			}, err
		}})
	}
	return all
}

// mostWaiting is the queue length at which a producer pauses.
const mostWaiting = 1 << 16

// view is worker w's side of a discipline.
func view(q queue.Discipline, w int) queue.Discipline {
	if s, ok := q.(queue.Sharder); ok {
		return s.View(w)
	}
	return q
}

func newItems(w, n int) []queue.Item {
	items := make([]queue.Item, n)
	for i := range items {
		items[i] = queue.Item{Timeout: queue.ToMicros(time.Hour), Droplet: uint32(w*n + i)}
	}
	return items
}

// Benchmarks returns the rows in Go's benchmark format.
func Benchmarks(rows []Row) string {
	var b strings.Builder
	for _, r := range rows {
		work := strings.NewReplacer(" ", "-", ",", "").Replace(r.Work)
		fmt.Fprintf(&b, "BenchmarkSpeed/work=%s/pinned=%t/%s-%d 1 %.2f ns/op\n", work, r.Pinned, r.Contestant, r.Goroutines, r.Nanoseconds())
	}
	return b.String()
}

// Table returns the rows as a text table for a person: wall ns per operation, by goroutines.
func Table(rows []Row) string {
	var b strings.Builder
	var last Row
	for _, r := range rows {
		if r.Work != last.Work {
			fmt.Fprintf(&b, "\n%s (wall ns an operation by goroutines; extremes of %d rounds)", r.Work, r.Rounds)
		}
		if r.Work != last.Work || r.Contestant != last.Contestant || r.Pinned != last.Pinned {
			how := ""
			if !r.Pinned {
				how = "  not pinned"
			}
			fmt.Fprintf(&b, "\n  %-17s %-12s", r.Contestant, how)
		}
		fmt.Fprintf(&b, " %d: %6.1f (%.1f–%.1f) ", r.Goroutines, r.Nanoseconds(), 1e9/r.High, 1e9/r.Low)
		last = r
	}
	return strings.TrimPrefix(b.String(), "\n") + "\n"
}
