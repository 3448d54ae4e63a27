// Package speed measures tables and queues by themselves: so many operations a second by
// so many goroutines, each pinned to a processor.
package speed

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// Row is one contestant's speed at one work, by so many goroutines.
type Row struct {
	Work       string  `json:"work"`
	Contestant string  `json:"contestant"`
	Goroutines int     `json:"goroutines"`
	PerSecond  float64 `json:"per_second"` // median over the rounds, of all goroutines together
	Low        float64 `json:"low"`        // extremes over the rounds
	High       float64 `json:"high"`
	Rounds     int     `json:"rounds"`

	samples []float64
}

// Fitted is the scalability law of one contestant at one work.
type Fitted struct {
	Work       string `json:"work"`
	Contestant string `json:"contestant"`
	Law
}

// Laws fits the scalability law to each contestant's rows; none where the host has too few
// processors for it.
func Laws(rows []Row, seed uint64) []Fitted {
	var all []Fitted
	for i := 0; i < len(rows); {
		var counts []int
		var rates [][]float64
		r := rows[i]
		for ; i < len(rows) && rows[i].Work == r.Work && rows[i].Contestant == r.Contestant; i++ {
			counts, rates = append(counts, rows[i].Goroutines), append(rates, rows[i].samples)
		}
		if l, ok := FitLaw(counts, rates, seed); ok {
			all = append(all, Fitted{r.Work, r.Contestant, l})
		}
	}
	return all
}

// Nanoseconds is the wall time of one operation.
func (r Row) Nanoseconds() float64 { return 1e9 / r.PerSecond }

// Options are how it is measured.
type Options struct {
	Leases     int           // in the tables
	Goroutines []int         // counts to measure at
	Rounds     int           // of everything, interleaved
	Length     time.Duration // of one measurement
	Seed       uint64
	Progress   func(round, rounds int)
}

// bout is what one goroutine does until told to stop, at least a turn; it returns the
// operations done.
type bout func(worker int, stop *atomic.Bool) int

// contest is one work of one contestant. setup makes it ready for so many goroutines.
type contest struct {
	work, name string
	setup      func(goroutines int) (bout, error)
}

// Measure measures everything that the catalogs know.
func Measure(ctx context.Context, o Options) ([]Row, error) {
	if o.Leases < 1 || o.Rounds < 1 || o.Length <= 0 || len(o.Goroutines) == 0 || slices.Min(o.Goroutines) < 1 {
		return nil, fmt.Errorf("speed: %+v: want at least one lease, round and goroutine, and a length above 0", o)
	}
	all := append(tables(o), queues()...)
	slices.SortStableFunc(all, func(a, b contest) int { return strings.Compare(a.work, b.work) })
	type key struct{ contest, goroutines int }
	rates := map[key][]float64{}
	var order []key
	for i := range all {
		for _, g := range o.Goroutines {
			order = append(order, key{i, g})
		}
	}
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
			rates[k] = append(rates[k], race(b, k.goroutines, o.Length, cpus))
		}
		if o.Progress != nil {
			o.Progress(round+1, o.Rounds)
		}
	}
	var rows []Row
	for i, c := range all {
		for _, g := range o.Goroutines {
			r := slices.Sorted(slices.Values(rates[key{i, g}]))
			rows = append(rows, Row{
				Work: c.work, Contestant: c.name, Goroutines: g, Rounds: len(r),
				PerSecond: middle(r), Low: r[0], High: r[len(r)-1], samples: r,
			})
		}
	}
	return rows, nil
}

// race lets goroutines work side by side for a while and returns the operations a second
// of all.
func race(b bout, goroutines int, length time.Duration, t host.Topology) float64 {
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
			_ = host.Pin(cpu) // where it may not, the figures are the scheduler's, too
			ready.Done()
			for !start.Load() {
				host.Pause(10)
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

// turns is how many operations a goroutine does between two looks at the stop flag.
const turns = 64

// tables renew leases and grant them anew, at random places.
func tables(o Options) []contest {
	var all []contest
	for _, e := range lease.Catalog.List() {
		var tab lease.Table
		var ids []lease.ID
		fill := func(goroutines int) error {
			if tab != nil {
				return nil
			}
			var err error
			if tab, err = lease.Make(e.Name, lease.Env{Leases: o.Leases, Workers: slices.Max(o.Goroutines)}); err != nil {
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
			all = append(all, contest{name, e.Name, func(g int) (bout, error) {
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
	}
	return all
}

// queues hand items over: each goroutine pushes and pops in turn, so the queue stays
// short and what is measured is the hand-over.
func queues() []contest {
	var all []contest
	for _, batch := range []int{1, 16} {
		for _, e := range queue.Catalog.List() {
			all = append(all, contest{fmt.Sprintf("push and pop, %d at a time", batch), e.Name, func(int) (bout, error) {
				q, err := queue.Make(e.Name, queue.Config{Timeout: time.Hour, TTL: 24 * time.Hour, Workers: 1, Service: [queue.Classes]time.Duration{1, 1, 1}})
				return func(w int, stop *atomic.Bool) int {
					items := make([]queue.Item, batch)
					for i := range items {
						items[i] = queue.Item{Deadline: time.Hour, Droplet: uint32(w*batch + i)}
					}
					for n := 0; ; {
						for range turns / batch {
							q.Push(0, items)
							taken, _ := q.Pop(0, items)
							n += taken
						}
						if stop.Load() {
							return n
						}
					}
				}, err
			}})
		}
	}
	return all
}

// Benchmarks is the rows in Go's benchmark format.
func Benchmarks(rows []Row) string {
	var b strings.Builder
	for _, r := range rows {
		work := strings.NewReplacer(" ", "-", ",", "").Replace(r.Work)
		fmt.Fprintf(&b, "BenchmarkSpeed/work=%s/%s-%d 1 %.2f ns/op\n", work, r.Contestant, r.Goroutines, r.Nanoseconds())
	}
	return b.String()
}

// Table is the rows for a person: wall nanoseconds an operation, by goroutines.
func Table(rows []Row) string {
	var b strings.Builder
	work, name := "", ""
	for _, r := range rows {
		if r.Work != work {
			work = r.Work
			fmt.Fprintf(&b, "\n%s (wall ns an operation by goroutines; extremes of %d rounds)", work, r.Rounds)
		}
		if r.Contestant != name || r.Goroutines == 1 {
			name = r.Contestant
			fmt.Fprintf(&b, "\n  %-16s", name)
		}
		fmt.Fprintf(&b, " %d: %6.1f (%.1f–%.1f) ", r.Goroutines, r.Nanoseconds(), 1e9/r.High, 1e9/r.Low)
	}
	return strings.TrimPrefix(b.String(), "\n") + "\n"
}
