// Command peers measures our tables, queues, gates and the client of storms beside what others offer, in one
// interleaved run: `make bench-peers`.
package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
)

// Row is one contestant at one work.
type Row struct {
	Work       string  `json:"work"`
	Contestant string  `json:"contestant"`
	Ours       bool    `json:"ours"`
	Goroutines int     `json:"goroutines"`
	Pattern    string  `json:"pattern"`
	Value      float64 `json:"value"` // median over the rounds
	Low        float64 `json:"low"`
	High       float64 `json:"high"`
	Unit       string  `json:"unit"`
	BestPeer   string  `json:"best_peer"`
	Ratio      float64 `json:"ratio"` // best peer's value over this one: over 1 is better than it
}

// schema is the version of the file's shape.
const schema = 1

type key struct {
	work, pattern string
	goroutines    int
	contestant    string
}

type runner struct {
	leases  int
	length  time.Duration
	seed    uint64
	targets map[string]string // address of the clients' server, by work
	samples map[key][]float64
	unit    map[key]string
	order   []key
}

func (r *runner) add(k key, unit string, x float64) {
	if r.samples[k] == nil {
		r.order = append(r.order, k)
	}
	r.samples[k], r.unit[k] = append(r.samples[k], x), unit
}

// keys are what the holders of the leases keep, by lease; asked is the order in which each
// goroutine asks. They are nobody's heap, and no garbage to collect meanwhile.
var (
	keys  []uint64
	asked [2][]uint64
)

func main() {
	if os.Getenv(targetVariable) != "" {
		if err := serve(); err != nil {
			fmt.Fprintln(os.Stderr, "peers: the target:", err)
			os.Exit(1)
		}
		return
	}
	leases := flag.Int("leases", 1_000_000, "leases in each table")
	rounds := flag.Int("rounds", 5, "rounds of everything, in shuffled order")
	length := flag.Duration("length", 100*time.Millisecond, "length of one measurement")
	seed := flag.Uint64("seed", 1, "seed of orders and places")
	only := flag.String("only", "", "measure this alone: tables, queues, gates or clients")
	flag.StringVar(&ghzProgram, "ghz", ghzProgram, "the program ghz, or its path")
	out := flag.String("json", "", "file to write the rows to")
	flag.Parse()
	if *leases < 100 || *rounds < 1 || *length <= 0 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "peers: want at least 100 leases, one round, a length above 0, and no arguments")
		os.Exit(2)
	}
	if !slices.Contains([]string{"", "tables", "queues", "gates", "clients"}, *only) {
		fmt.Fprintf(os.Stderr, "peers: -only %s: want tables, queues, gates or clients\n", *only)
		os.Exit(2)
	}
	rows, err := measure(*leases, *rounds, *length, *seed, *only, os.Stderr)
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
	if *out != "" {
		text, err := json.MarshalIndent(map[string]any{"schema": schema, "rows": rows}, "", "  ")
		if err == nil {
			err = os.WriteFile(*out, append(text, '\n'), 0o644)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "peers:", err)
			os.Exit(1)
		}
	}
	print(rows)
}

// measure lets every table, queue, gate and client take its turn, in an order that each round draws.
// only, if set, names the kind that is measured alone.
func measure(leases, rounds int, length time.Duration, seed uint64, only string, progress io.Writer) ([]Row, error) {
	r := &runner{leases: leases, length: length, seed: seed, samples: map[key][]float64{}, unit: map[key]string{}}
	keys = make([]uint64, leases)
	for w := range asked {
		asked[w] = make([]uint64, leases)
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	turns := []struct {
		kind string
		n    int
		name func(i int) string
		turn func(i int) error
	}{
		{"tables", len(tables), func(i int) string { return tables[i].name }, r.table},
		{"gates", len(gates), func(i int) string { return gates[i].work + ", " + gates[i].name }, r.gate},
		{"queues", len(queues), func(i int) string { return queues[i].name }, r.queue},
		{"clients", len(clients), func(i int) string { return clients[i].work + ", " + clients[i].name }, r.client},
	}
	if only == "" || only == "clients" {
		targets, stop, err := startTarget()
		if err != nil {
			return nil, fmt.Errorf("the clients' target: %w", err)
		}
		defer stop()
		r.targets = targets
	}
	for round := range rounds {
		for _, t := range turns {
			if only != "" && only != t.kind {
				continue
			}
			for _, i := range rng.Perm(t.n) {
				err := t.turn(i)
				if errors.Is(err, errNotHere) {
					if round == 0 {
						fmt.Fprintf(progress, "%s is left out: %v\n", t.name(i), err)
					}
					continue
				}
				if err != nil {
					return nil, fmt.Errorf("%s: %w", t.name(i), err)
				}
			}
		}
		fmt.Fprintf(progress, "round %d of %d\n", round+1, rounds)
	}
	return r.rows(), nil
}

// table measures one table at all works. What is asked for is drawn beforehand: a
// request brings its key, and a lease manager draws no random numbers.
func (r *runner) table(i int) error {
	c := tables[i]
	at := func(work, pattern string, goroutines int) key { return key{work, pattern, goroutines, c.name} }
	const ttl = time.Hour
	n := r.leases
	rng := rand.New(rand.NewPCG(r.seed, uint64(n)))
	until := slices.Repeat([]time.Duration{ttl}, n)
	gone := rng.Perm(n)[:n/10]
	debug.FreeOSMemory() // the last table's memory goes now, not while the next is measured
	heap := heapNow()
	t, err := c.make(n)
	if err != nil {
		return err
	}
	defer t.close()
	sweeps := t.expire(0) >= 0
	if sweeps { // a tenth comes due within a second, as after an outage
		for _, i := range gone {
			until[i] = time.Second + time.Duration(rng.Int64N(int64(time.Second)))
		}
	}
	measured := n / 10 // the first nine tenths fill the table
	for i := range n - measured {
		keys[i] = t.grant(uint64(i), until[i])
	}
	start := time.Now()
	for i := n - measured; i < n; i++ {
		keys[i] = t.grant(uint64(i), until[i])
	}
	r.add(at("grant", "in order", 1), "ns", perOp(start, measured))
	r.add(at("heap", "", 1), "B", float64(heapNow()-heap)/float64(n))
	runtime.KeepAlive(until)
	if sweeps {
		start = time.Now()
		const times = 20
		for i := range times {
			t.expire(time.Duration(i) * 10 * time.Millisecond)
		}
		r.add(at("empty sweep", "", 1), "µs", perOp(start, times)/1e3)
		start = time.Now()
		if got := t.expire(3 * time.Second); got != len(gone) {
			return fmt.Errorf("%d expired, want %d", got, len(gone))
		}
		r.add(at("mass expiry", fmt.Sprintf("%d of %d", len(gone), n), 1), "ms", perOp(start, 1)/1e6)
		for _, i := range gone {
			keys[i] = t.grant(uint64(i), ttl)
		}
	}
	// A renewal asks for now + TTL, and now moves on.
	var now atomic.Int64
	now.Store(int64(ttl))
	renew := func(batch []uint64) {
		until := time.Duration(now.Add(int64(time.Millisecond)))
		for _, k := range batch {
			t.renew(k, until)
		}
	}
	r.add(at("renew", "anywhere", 1), "ns", r.race(1, anywhere, renew))
	r.add(at("renew", "anywhere", 2), "ns", r.race(2, anywhere, renew))
	r.add(at("renew", "own half", 2), "ns", r.race(2, ownPart, renew))
	if b, ok := t.(batcher); ok {
		renew = func(batch []uint64) { b.renewAll(batch, time.Duration(now.Add(int64(time.Millisecond)))) }
		at := func(pattern string, goroutines int) key {
			return key{"renew", pattern, goroutines, c.name + ", 64 at a time"}
		}
		r.add(at("anywhere", 1), "ns", r.race(1, anywhere, renew))
		r.add(at("anywhere", 2), "ns", r.race(2, anywhere, renew))
		r.add(at("own half", 2), "ns", r.race(2, ownPart, renew))
	}
	start = time.Now()
	for _, i := range gone {
		t.revoke(keys[i])
	}
	r.add(at("revoke", "anywhere", 1), "ns", perOp(start, len(gone)))
	return nil
}

// anywhere and ownPart say which leases goroutine w of g asks for.
func anywhere(n, _, _ int) (int, int) { return 0, n }
func ownPart(n, w, g int) (int, int)  { return w * n / g, (w + 1) * n / g }

func perOp(start time.Time, n int) float64 {
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// race lets goroutines work side by side, each in a drawn order of its part of the keys,
// 64 at a time, and returns the wall time of one key.
func (r *runner) race(goroutines int, part func(n, w, g int) (int, int), do func(batch []uint64)) float64 {
	for w := range goroutines {
		from, to := part(r.leases, w, goroutines)
		asked[w] = append(asked[w][:0], keys[from:to]...)
		rand.New(rand.NewPCG(r.seed, uint64(w))).Shuffle(to-from, func(i, j int) {
			asked[w][i], asked[w][j] = asked[w][j], asked[w][i]
		})
	}
	return r.raceOf(goroutines, func(w int) func() int {
		at := 0
		return func() int {
			if at == len(asked[w]) {
				at = 0
			}
			batch := asked[w][at:min(at+64, len(asked[w]))]
			do(batch)
			at += len(batch)
			return len(batch)
		}
	})
}

// raceOf lets goroutines work side by side for the length of a measurement, and returns the wall time of one
// piece of work. of makes what goroutine w does in a turn, which returns how many pieces it did.
func (r *runner) raceOf(goroutines int, of func(w int) func() int) float64 {
	var stop atomic.Bool
	var all sync.WaitGroup
	counts := make([]int, goroutines)
	start := time.Now()
	for w := range goroutines {
		do := of(w)
		all.Go(func() {
			n := 0
			for !stop.Load() {
				n += do()
			}
			counts[w] = n
		})
	}
	time.Sleep(r.length)
	stop.Store(true)
	all.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return perOp(start, max(1, total))
}

// queue measures one queue: with one producer and one consumer, where the scheduler puts them and each on a
// processor of its own, and with two and two.
func (r *runner) queue(i int) error {
	c := queues[i]
	for _, p := range []struct {
		name string
		g    int
		cpus []int
	}{{"1 producer, 1 consumer", 1, nil}, {"1 producer, 1 consumer, each on its own core", 1, cores()}, {"2 producers, 2 consumers", 2, nil}} {
		if len(p.cpus) == 1 {
			continue // this host has one core
		}
		ns, err := r.handOver(c.make(), p.g, c.one, p.cpus)
		if err != nil {
			return err
		}
		r.add(key{"hand-over", p.name, 2 * p.g, c.name}, "ns", ns)
	}
	return nil
}

// cores are processors of two cores, or the only one.
var cores = sync.OnceValue(func() []int {
	place := host.ReadTopology().Place(1)
	return slices.Compact([]int{place.Workers[0], place.Generator})
})

// handOver measures a hand-over with g producers and as many consumers, in nanoseconds per payload; with one, each
// payload goes alone. Producers write each payload and consumers read it: the sums of what they saw must
// agree. cpus, if not nil, are the processors of the goroutines.
func (r *runner) handOver(h handover, g int, one bool, cpus []int) (float64, error) {
	batch := chunkOf
	if one {
		batch = 1
	}
	var stop, gone atomic.Bool
	var all, producers sync.WaitGroup
	var moved, sent, received atomic.Int64
	at := func(k int) {
		if cpus != nil {
			_ = host.Pin(cpus[k%len(cpus)]) // where it may not, the figures are the scheduler's, too
		}
	}
	start := time.Now()
	for p := range g {
		producers.Add(1)
		all.Go(func() {
			defer producers.Done()
			at(2 * p)
			s := h.attach()
			items := make([]payload, batch)
			next, sum := time.Duration(p), time.Duration(0)
			for !stop.Load() {
				for range 64 {
					for i := range items {
						items[i] = payload{Born: next + time.Duration(i*g), Lease: uint64(i), Droplet: uint32(p)}
					}
					n := s.put(items)
					if n == 0 {
						pause()
					}
					last := next + time.Duration(n*g)
					sum += time.Duration(n) * (next + last - time.Duration(g)) / 2
					next = last
				}
			}
			sent.Add(int64(sum))
		})
		all.Go(func() {
			at(2*p + 1)
			s := h.attach()
			items := make([]payload, batch)
			n, sum := int64(0), time.Duration(0)
			for idle := 0; idle < 1000; { // until the producers have gone and all is taken
				got := s.get(items)
				if got > 0 {
					for i := range items[:got] {
						sum += items[i].Born
					}
					n += int64(got)
					idle = 0
					continue
				}
				if pause(); gone.Load() {
					idle++
				}
			}
			moved.Add(n)
			received.Add(int64(sum))
		})
	}
	time.Sleep(r.length)
	stop.Store(true)
	producers.Wait()
	gone.Store(true)
	if s, ok := h.(interface{ stop() }); ok {
		s.stop()
	}
	all.Wait()
	if sent.Load() != received.Load() {
		return 0, fmt.Errorf("items were lost or came twice among %d", moved.Load())
	}
	return perOp(start, int(max(1, moved.Load()))), nil
}

// rows sums up: medians, and each against the best peer at the same work.
func (r *runner) rows() []Row {
	var rows []Row
	for _, k := range r.order {
		xs := slices.Sorted(slices.Values(r.samples[k]))
		rows = append(rows, Row{
			Work: k.work, Contestant: k.contestant, Ours: strings.HasPrefix(k.contestant, "leasestorm "), Goroutines: k.goroutines, Pattern: k.pattern,
			Value: (xs[(len(xs)-1)/2] + xs[len(xs)/2]) / 2, Low: xs[0], High: xs[len(xs)-1], Unit: r.unit[k],
		})
	}
	for i := range rows {
		best := -1
		for j, o := range rows {
			if !o.Ours && o.Work == rows[i].Work && o.Goroutines == rows[i].Goroutines && o.Pattern == rows[i].Pattern && (best < 0 || o.Value < rows[best].Value) {
				best = j
			}
		}
		if best >= 0 && rows[i].Value > 0 {
			rows[i].BestPeer, rows[i].Ratio = rows[best].Contestant, rows[best].Value/rows[i].Value
		}
	}
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(strings.Compare(a.Work, b.Work), cmp.Compare(a.Goroutines, b.Goroutines),
			strings.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Value, b.Value))
	})
	return rows
}

func print(rows []Row) {
	head := ""
	for _, row := range rows {
		if h := fmt.Sprintf("%s, %s, %d goroutines (%s, median and extremes; ratio to the best peer)", row.Work, row.Pattern, row.Goroutines, row.Unit); h != head {
			head = h
			fmt.Printf("\n%s\n", h)
		}
		mark := " "
		if row.Ours {
			mark = "*"
		}
		fmt.Printf("%s %-40s %10.2f  (%.2f–%.2f)  %6.2f\n", mark, row.Contestant, row.Value, row.Low, row.High, row.Ratio)
	}
}
