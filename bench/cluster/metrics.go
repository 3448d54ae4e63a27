package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leasestorm/leasestorm/bench/metrics"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

const (
	metricsFlag = "metrics"
	metricsHelp = "address HOST:PORT for metrics for Prometheus, as in 127.0.0.1:0; without a host: loopback only; port 0: a free port, which is printed"
)

// checkMetrics refuses what is no address. "" is none.
func checkMetrics(addr string) error {
	if addr == "" {
		return nil
	}
	if _, err := metrics.Loopback(addr); err != nil {
		return cli.Usage(&flagError{metricsFlag, err})
	}
	return nil
}

// flagError is an error of a flag's value.
type flagError struct {
	flag string
	err  error
}

func (e *flagError) Error() string { return "--" + e.flag + ": " + e.err.Error() }
func (e *flagError) Unwrap() error { return e.err }

// serveMetrics serves a registry at an address until ctx is done or the returned function is called.
func serveMetrics(ctx context.Context, r *metrics.Registry, addr string, say func(format string, args ...any)) (stop func(), err error) {
	s, err := r.Listen(ctx, addr)
	if err != nil {
		return nil, &flagError{metricsFlag, err}
	}
	say("metrics: http://%s/metrics", s.Addr())
	return s.Close, nil
}

// cellTimes is a histogram of how long cells take, in microseconds, to two digits.
func cellTimes() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(24*time.Hour/time.Microsecond), 2)
}

// took records how long a cell took.
func took(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(int64(d/time.Microsecond), h.HighestTrackableValue())) // it is in range
}

// copyOf is a copy of a histogram that others go on writing.
func copyOf(h *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	return hdrhistogram.Import(h.Export())
}

// queueLook is what the server has told of a study at the last look, of which there is one a second. A scrape
// reads it, and waits for no server.
type queueLook struct {
	mu          sync.Mutex
	waiting     uint64
	inHand      int
	workers     map[string]int // by state
	stored      uint64         // bytes
	deaths      float64
	back        int    // times that messages were given back since the study began
	sent, fresh uint64 // deliveries, and messages delivered for the first time, before it began
	earlier     int    // times that messages were given back before it began
}

// The states of a worker.
const (
	stateIdle    = "idle"
	stateBusy    = "busy"
	stateUnfit   = "unfit" // its host is of another class than the study's
	stateVersion = "other_version"
	stateAway    = "connecting"
)

// serve serves the coordinator's metrics until ctx is done or stop is called. It is called before the first
// cell is asked for.
func (c *coordinator) serve(ctx context.Context, addr string) (stop func(), err error) {
	q := &queueLook{}
	if err := q.begin(ctx, c); err != nil {
		return nil, err
	}
	r := metrics.New()
	count := func(name, help string, read func(p *progress) int) {
		r.Counter("leasestorm_cluster_"+name, help, nil, func() (n float64) {
			c.count(func(p *progress) { n = float64(read(p)) })
			return n
		})
	}
	looked := func(read func() float64) func() float64 {
		return func() float64 {
			q.mu.Lock()
			defer q.mu.Unlock()
			return read()
		}
	}
	count("cells_done_total", "Cells whose outcome the coordinator has taken.", func(p *progress) int { return p.Done })
	count("cells_set_aside_total", "Cells that are set aside, since several workers died with them.", func(p *progress) int { return len(p.Aside) })
	r.Counter("leasestorm_cluster_cells_given_back_total", "Cells that workers gave back, since they were asked to stop.", nil, looked(func() float64 { return float64(q.back) }))
	r.Counter("leasestorm_cluster_deaths_total", "Cells that went to another worker, since theirs died, was silent or could not run them.", nil, looked(func() float64 { return q.deaths }))
	r.Gauge("leasestorm_cluster_cells", "Cells that are not done.", metrics.Labels{"state": "in_hand"}, looked(func() float64 { return float64(q.inHand) }))
	r.Gauge("leasestorm_cluster_cells", "Cells that are not done.", metrics.Labels{"state": "waiting"}, looked(func() float64 { return float64(q.waiting) }))
	r.Gauge("leasestorm_cluster_cells_expected", "Cells that the study knows of. More may come.", nil, func() (n float64) {
		c.count(func(p *progress) { n = float64(p.Expected) })
		return n
	})
	for _, state := range []string{stateIdle, stateBusy, stateUnfit, stateVersion} {
		r.Gauge("leasestorm_cluster_workers", "Workers that show signs of life.", metrics.Labels{"state": state}, looked(func() float64 { return float64(q.workers[state]) }))
	}
	r.Gauge("leasestorm_cluster_connected", "Whether the coordinator is connected to the NATS server: 1, else 0.", nil, func() float64 {
		if c.nc.IsConnected() {
			return 1
		}
		return 0
	})
	r.Gauge("leasestorm_cluster_stored_bytes", "Size of the outcomes that the NATS server stores.", nil, looked(func() float64 { return float64(q.stored) }))
	r.Times("leasestorm_cluster_cell_seconds", "Time that a worker took to run a cell.", nil, time.Microsecond, func() *hdrhistogram.Histogram {
		c.mu.Lock()
		defer c.mu.Unlock()
		return copyOf(c.times)
	})
	if stop, err = serveMetrics(ctx, r, addr, c.say); err != nil {
		return nil, err
	}
	c.all.Go(func() {
		for pause(c.ctx, time.Second) {
			q.look(c.ctx, c)
		}
	})
	return stop, nil
}

// begin notes what was before the study.
func (q *queueLook) begin(ctx context.Context, c *coordinator) error {
	info, last, err := q.queue(ctx, c)
	if err != nil {
		return err
	}
	q.sent, q.fresh = info.Delivered.Consumer, last-info.NumPending
	q.earlier, err = q.givings(ctx, c)
	return err
}

// givings reads how often messages were given back, in this study and before.
func (q *queueLook) givings(ctx context.Context, c *coordinator) (n int, err error) {
	w, err := c.store.study.Watch(ctx, "released.*", jetstream.IgnoreDeletes())
	if err != nil {
		return 0, err
	}
	defer func() { _ = w.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case e, more := <-w.Updates():
			if !more {
				return 0, nats.ErrConnectionClosed
			}
			if e == nil {
				return n, nil // these are all
			}
			times, _ := strconv.Atoi(string(e.Value())) // a worker has written it
			n += times
		}
	}
}

// queue is the state of the workers' consumer, and then the number of the last message of the queue.
func (q *queueLook) queue(ctx context.Context, c *coordinator) (*jetstream.ConsumerInfo, uint64, error) {
	consumer, err := c.store.stream.Consumer(ctx, consumerName(c.report.Build))
	if err != nil {
		return nil, 0, err
	}
	stream, err := c.store.stream.Info(ctx)
	if err != nil {
		return nil, 0, err
	}
	return consumer.CachedInfo(), stream.State.LastSeq, nil
}

// look asks the server. If it does not answer all, everything stays as it was.
//
// Each delivery of a message but its first follows a worker that gave it back or died with it. The worker says
// that before it gives the message back, and this is read after the deliveries: none of them counts as a death. A message has
// been delivered for the first time if it is in the queue's numbering and no longer pending. The queue is asked
// after the consumer, so that too many count as delivered for the first time, rather than too few: the deaths
// come late then, and never fall.
func (q *queueLook) look(ctx context.Context, c *coordinator) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	info, last, err := q.queue(ctx, c)
	if err != nil {
		return
	}
	back, err := q.givings(ctx, c)
	if err != nil {
		return
	}
	size, err := c.store.outcomes.Status(ctx)
	if err != nil {
		return
	}
	st := Status{}
	if readWorkers(ctx, c.store.workers, &st) != nil {
		return
	}
	workers := map[string]int{}
	for _, w := range st.Workers {
		switch {
		case w.Build != c.report.Build:
			workers[stateVersion]++
		case w.Unfit:
			workers[stateUnfit]++
		case w.Cell != "":
			workers[stateBusy]++
		default:
			workers[stateIdle]++
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting, q.inHand, q.workers, q.stored = info.NumPending, info.NumAckPending, workers, size.Size()
	q.back = max(q.back, back-q.earlier)
	sent, fresh := float64(info.Delivered.Consumer-q.sent), float64(last-info.NumPending-q.fresh)
	q.deaths = max(q.deaths, sent-fresh-float64(q.back))
}

// news is what a worker or agent process tells its parent, a line of JSON on its standard output each.
type news struct {
	Kind  string        `json:"kind"`
	Took  time.Duration `json:"took_ns,omitempty"` // of a cell
	Bytes int           `json:"bytes,omitempty"`   // of its outcome
	Text  string        `json:"text,omitempty"`
}

// The kinds of news.
const (
	newsThere   = "connected"
	newsAway    = "disconnected"
	newsBegin   = "begin"      // a cell
	newsFree    = "free"       // no cell is in hand any more
	newsDone    = "done"       // it
	newsBack    = "given_back" // it, as the worker was asked to stop
	newsFailed  = "failed"     // it, on this host
	newsRefused = "refused"    // it: its outcome is an error
	newsTrouble = "trouble"    // the connection cannot be made, and the text says why
)

// teller writes news.
func teller(w io.Writer) func(news) {
	var mu sync.Mutex
	e := json.NewEncoder(w)
	return func(n news) {
		mu.Lock()
		defer mu.Unlock()
		_ = e.Encode(n) // the parent has ended, and so will this process
	}
}

// hearer reads news.
type hearer struct {
	rest []byte
	hear func(news)
}

// Write implements io.Writer.
func (h *hearer) Write(text []byte) (int, error) {
	h.rest = append(h.rest, text...)
	for {
		line, rest, whole := strings.Cut(string(h.rest), "\n")
		if !whole {
			return len(text), nil
		}
		h.rest = []byte(rest)
		var n news
		if json.Unmarshal([]byte(line), &n) == nil {
			h.hear(n)
		}
	}
}

// tally is what the worker processes of a `worker` have done.
type tally struct {
	mu     sync.Mutex
	states map[int]string // of processes, by number
	ends   map[string]int // of cells, by kind of news
	deaths int            // of processes
	bytes  int
	times  *hdrhistogram.Histogram
}

func newTally() *tally {
	return &tally{states: map[int]string{}, ends: map[string]int{}, times: cellTimes()}
}

// hear counts news of a process. t may be nil: nobody asks.
func (t *tally) hear(process int, n news) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch n.Kind {
	case newsThere:
		if t.states[process] == stateAway {
			t.states[process] = stateIdle
		}
	case newsAway:
		t.states[process] = stateAway
	case newsFree:
		t.states[process] = stateIdle
	case newsBegin:
		t.states[process] = stateBusy
	case newsDone, newsBack, newsFailed, newsRefused:
		t.ends[n.Kind]++
		t.bytes += n.Bytes
		if n.Kind == newsDone {
			took(t.times, n.Took)
		}
	}
}

// state notes that a process has begun or, with "", has ended.
func (t *tally) state(process int, state string, died bool) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.states[process] = state
	if died {
		t.deaths++
	}
}

// registry has the metrics of a `worker`.
func (t *tally) registry() *metrics.Registry {
	r := metrics.New()
	locked := func(read func() int) func() float64 {
		return func() float64 {
			t.mu.Lock()
			defer t.mu.Unlock()
			return float64(read())
		}
	}
	for _, end := range []string{newsDone, newsBack, newsFailed, newsRefused} {
		r.Counter("leasestorm_worker_cells_total", "Cells by what became of them here.", metrics.Labels{"end": end}, locked(func() int { return t.ends[end] }))
	}
	for _, state := range []string{stateAway, stateIdle, stateBusy} {
		r.Gauge("leasestorm_worker_processes", "Worker processes.", metrics.Labels{"state": state}, locked(func() (n int) {
			for _, s := range t.states {
				if cmp.Or(s, "ended") == state {
					n++
				}
			}
			return n
		}))
	}
	r.Counter("leasestorm_worker_deaths_total", "Worker processes that ended unasked.", nil, locked(func() int { return t.deaths }))
	r.Counter("leasestorm_worker_stored_bytes_total", "Size of the outcomes that were stored.", nil, locked(func() int { return t.bytes }))
	r.Times("leasestorm_worker_cell_seconds", "Time that a cell took.", nil, time.Microsecond, func() *hdrhistogram.Histogram {
		t.mu.Lock()
		defer t.mu.Unlock()
		return copyOf(t.times)
	})
	return r
}
