package oracle

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Row compares one quantity of one model with the theory.
type Row struct {
	Engine    string  `json:"engine"`
	Model     string  `json:"model"`
	Params    string  `json:"parameters"`
	Quantity  string  `json:"quantity"`
	Measured  float64 `json:"measured"`
	Theory    float64 `json:"theory"`
	Tolerance float64 `json:"tolerance"` // half the width of the 99.9 % interval, or a bound
	Pass      bool    `json:"pass"`      // Measured is within Tolerance of Theory
}

// service is the mean service time in the simulation. Its resolution, 1 ns, is negligible.
const service = time.Millisecond

// batches is the number of batches of a run, from whose means its confidence interval is computed.
// The first tenth of a run is not counted. Check ensures that the tenth and the batches are long
// enough.
const batches = 30

// student is the two-sided 99.9 % quantile of Student's t with batches − 1 degrees of freedom.
const student = 3.659

// customers is a source of customers. over reports whether all requests have been made.
type customers interface {
	engine.Calendar
	over() bool
}

// Measure runs a model on the virtual engine with the given number of arrivals. Errors wrap
// [ErrModel], or are that of ctx.
func Measure(ctx context.Context, m Model, arrivals int, seed uint64) ([]Row, error) {
	if err := Check(m, arrivals); err != nil {
		return nil, err
	}
	w := newWatch(m, arrivals)
	plan, err := w.plan(m)
	if err != nil {
		return nil, err
	}
	v := &engine.Virtual{Workers: m.Servers, Service: engine.Service{service, service, service}, Draw: m.draw(), Seed: seed}
	src := w.source(m, arrivals, seed, service)
	plan.Source = src
	// Watch also checks ctx, more often for more servers.
	plan.WatchPeriod /= time.Duration(max(1, m.Servers/100))
	plan.Watch = func(time.Duration, engine.State) bool {
		return src.over() && w.ended+w.lost >= arrivals || ctx.Err() != nil
	}
	if _, err := v.Run(ctx, plan); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	rows := w.rows("virtual", m, 1)
	if m.Name != "mmck" {
		rows = append(rows, w.little("virtual", m))
	}
	return rows, nil
}

func newWatch(m Model, arrivals int) *watch {
	w := &watch{arrivals: arrivals, timeout: time.Duration(m.Timeout * float64(service)), warmup: arrivals / 10, each: (arrivals - arrivals/10) / batches}
	w.mean = time.Duration(m.mean() * float64(service))
	return w
}

// source makes the model's customers, for the given mean service time.
func (w *watch) source(m Model, arrivals int, seed uint64, service time.Duration) customers {
	rng := rand.New(rand.NewPCG(seed, 11))
	if m.Name == "repairman" {
		return newLoop(m.K, m.Think*float64(service), arrivals, rng, w)
	}
	return &poisson{rng: rng, gap: float64(service) / (m.Rho * float64(m.Servers)), rho: m.Rho, left: arrivals, watch: w}
}

// rows compares the measurement with the theory. scale is the measured mean service time, in units
// of service.
func (w *watch) rows(engine string, m Model, scale float64) (rows []Row) {
	for _, q := range m.Theory() {
		batch := w.batch(q.Name)
		if q.Name == "mean wait" {
			for i := range batch {
				batch[i] /= scale
			}
		}
		mean, half := interval(batch)
		half = max(half, w.least(batch, m))
		rows = append(rows, Row{
			Engine: engine, Model: m.Name, Params: m.String(), Quantity: q.Name,
			Measured: mean, Theory: q.Theory, Tolerance: half, Pass: math.Abs(mean-q.Theory) <= half,
		})
	}
	return rows
}

// least is the smallest tolerance that a run allows. Events of up to 4 customers cannot be told
// from none. Rare events come in clusters of about 1/(1−ρ) customers, and a run with 7 expected
// clusters has none with a probability of 0.1 %.
func (w *watch) least(batch []float64, m Model) float64 {
	customers, seen := 4.0, 0
	for _, x := range batch {
		if x > 0 {
			seen++
		}
	}
	if rho := m.load(); seen < len(batch)/2 && rho < 1 {
		customers = 7 / (1 - rho)
	}
	return customers / float64(w.arrivals-w.warmup)
}

// little checks Little's law on the run: the mean length of the queue is the rate of arrivals times
// the mean wait. Both sides are measured in the same run, so they differ only at its ends.
func (w *watch) little(engine string, m Model) Row {
	length, want := w.area/float64(w.last), w.waits/float64(w.last)
	tolerance := float64(1e-3*want) + 1e-9
	return Row{
		Engine: engine, Model: m.Name, Params: m.String(), Quantity: "queue length (Little)",
		Measured: length, Theory: want, Tolerance: tolerance, Pass: math.Abs(length-want) <= tolerance,
	}
}

func (m Model) draw() engine.Distribution {
	switch m.Name {
	case "md1":
		return engine.Fixed
	case "mg1":
		return engine.Lognormal(m.CV)
	}
	return engine.Exponential
}

// mean is the mean wait by theory, in mean service times; 0 if the theory has none.
func (m Model) mean() float64 {
	for _, q := range m.Theory() {
		if q.Name == "mean wait" {
			return q.Theory
		}
	}
	return 0
}

// plan makes a manager whose queue is the watched discipline. For mmck, a limit at the door refuses
// customers while all places are taken.
func (w *watch) plan(m Model) (*engine.Plan, error) {
	table, err := lease.Make("mutex", lease.Env{Leases: 1})
	if err != nil {
		return nil, err
	}
	if w.Discipline, err = queue.Make(m.discipline(), queue.Config{Timeout: time.Second, Workers: m.Servers}); err != nil {
		return nil, err
	}
	door := "none"
	if m.Name == "mmck" {
		door = fmt.Sprintf("limit:limit=%d", m.K)
	}
	c, err := admit.Make(door, admit.Config{Timeout: time.Second, Capacity: 1, Workers: m.Servers})
	if err != nil {
		return nil, err
	}
	mgr, err := dwfm.New(dwfm.Config{
		Droplets: 1, TTL: time.Hour, Table: table, Queue: w, Admit: c, Costs: dwfm.Costs{Class: [queue.Classes]float64{1, 1, 1}, Dead: 1},
	})
	if err != nil {
		return nil, err
	}
	return &engine.Plan{
		Manager: engine.Local(mgr), End: math.MaxInt64, WatchPeriod: 100 * service,
		Log: record.NewLog(record.Shape{Leases: 1, Workers: m.Servers, Step: time.Hour, Phases: []record.Phase{{Name: "all"}}}),
	}, nil
}

// watch is a discipline that records the wait and the outcome of each customer.
type watch struct {
	queue.Discipline
	mu            sync.Mutex // a real engine pushes and pops concurrently
	arrivals      int
	timeout, mean time.Duration
	warmup, each  int // customers that are not counted; customers per batch
	started       int // customers taken up, in the order of service
	ended, lost   int
	waits         float64 // sum of all waits, in ns
	area          float64 // integral of the queue's length over time, in ns
	last          time.Duration
	waited        sums // 1 per customer that waited
	wait          sums // waits, in units of service
	square        sums // squares of waits
	above         sums // 1 per customer that waited longer than mean
	good          sums // ρ per customer that was answered within the timeout
	gone          sums // 1 per lost customer
}

// sums holds the number of customers and the sum of a quantity, by batch.
type sums struct {
	n   [batches]int
	sum [batches]float64
}

// add adds the quantity x of the i-th customer.
func (w *watch) add(s *sums, i int, x float64) {
	if b := (i - w.warmup) / w.each; i >= w.warmup && b < batches {
		s.n[b]++
		s.sum[b] += x
	}
}

func (w *watch) move(now time.Duration) {
	now = max(now, w.last) // the clocks of two threads may differ
	w.area += float64(float64(w.Len()) * float64(now-w.last))
	w.last = now
}

func (w *watch) Push(now time.Duration, items []queue.Item) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move(now)
	return w.Discipline.Push(now, items)
}

func (w *watch) Pop(now time.Duration, dst []queue.Item) (taken, dropped int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.move(now)
	taken, dropped = w.Discipline.Pop(now, dst)
	for i := range dst[:taken] {
		d := now - dst[i].Born
		w.waits += float64(d)
		w.add(&w.waited, w.started, indicator(d > 0))
		wait := float64(d) / float64(service)
		w.add(&w.wait, w.started, wait)
		w.add(&w.square, w.started, float64(wait*wait))
		w.add(&w.above, w.started, indicator(d > w.mean))
		w.started++
	}
	return taken, dropped
}

func indicator(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// batch lists the means of a quantity by batch.
func (w *watch) batch(name string) []float64 {
	s := map[string]*sums{
		"waiting probability": &w.waited, "mean wait": &w.wait, "mean square wait": &w.square, "wait above mean wait": &w.above, "loss": &w.gone, "goodput over capacity": &w.good,
	}[name]
	var means []float64
	for b := range s.n {
		if s.n[b] > 0 {
			means = append(means, s.sum[b]/float64(s.n[b]))
		}
	}
	return means
}

// interval returns the mean of the batch means and half the width of its 99.9 % interval.
func interval(means []float64) (mean, half float64) {
	for _, x := range means {
		mean += x / float64(len(means))
	}
	v := 0.0
	for _, x := range means {
		v += (x - mean) * (x - mean) / float64(len(means)-1)
	}
	return mean, student * math.Sqrt(v/float64(len(means)))
}

// poisson is a Poisson source of customers. A customer is a launch on a droplet without a lease:
// the manager serves it, and answers that it failed.
type poisson struct {
	rng   *rand.Rand
	gap   float64 // mean, ns
	rho   float64
	next  float64
	left  int
	made  int
	watch *watch
}

func (p *poisson) over() bool { return p.left == 0 }

func (p *poisson) Due(time.Duration) time.Duration {
	if p.left == 0 {
		return math.MaxInt64
	}
	return time.Duration(p.next)
}

func (p *poisson) Next(now time.Duration, dst []queue.Item) (n int) {
	for ; n < len(dst) && p.left > 0 && time.Duration(p.next) <= now; n++ {
		dst[n] = queue.Item{Born: time.Duration(p.next), Timeout: queue.Forever, Class: queue.Launch, Lease: uint64(p.made)}
		p.next += float64(det.Exponential(p.rng) * p.gap)
		p.made++
		p.left--
	}
	for i := range dst[:n] {
		p.watch.add(&p.watch.gone, int(dst[i].Lease), 0)
	}
	return n
}

func (p *poisson) Refused(_ time.Duration, items []queue.Item) {
	w := p.watch
	for i := range items {
		w.lost++
		if b := (int(items[i].Lease) - w.warmup) / w.each; int(items[i].Lease) >= w.warmup && b < batches {
			w.gone.sum[b]++
		}
	}
}

// Answers counts the customers that were answered within the timeout. Goodput is in shares of
// capacity, so each customer counts ρ.
func (p *poisson) Answers(now time.Duration, answers []dwfm.Answer) {
	w := p.watch
	for i := range answers {
		w.add(&w.good, w.ended, float64(p.rho*indicator(now-answers[i].Born <= w.timeout)))
		w.ended++
	}
}
