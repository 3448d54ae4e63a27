package cluster

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/study"
)

// address is that of the metrics in what a command has said; "": none yet.
func address(said string) string {
	m := regexp.MustCompile(`metrics: (http://\S+)`).FindStringSubmatch(said)
	if m == nil {
		return ""
	}
	return m[1]
}

// scraped waits until a scrape has all these lines.
func scraped(t *testing.T, url string, want ...string) {
	t.Helper()
	text := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/openmetrics-text;version=1.0.0")
		r, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/openmetrics-text") {
			t.Fatalf("%v, %s", err, r.Header.Get("Content-Type"))
		}
		text = string(body)
		if !slices.ContainsFunc(want, func(line string) bool { return !strings.Contains(text, line) }) {
			return
		}
	}
	t.Fatalf("want %q:\n%s", want, text)
}

// safe is a text that several goroutines write.
type safe struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safe) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(text)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// served has the coordinator's metrics, and returns their URL.
func servedMetrics(t *testing.T, c *coordinator) string {
	t.Helper()
	var said safe
	c.say = func(format string, args ...any) { logTo(&said, format, args...) }
	stop, err := c.serve(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return address(said.String())
}

// itself is a cell that is no run.
var itself = study.NewTask("test-itself", func(_ context.Context, x int) (int, error) { return x, nil })

// The coordinator's metrics are those of its cells: what is done, waits, was given back, and died.
func TestCoordinatorMetrics(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	url := servedMetrics(t, c)
	scraped(t, url, "leasestorm_cluster_cells_done_total 0.0\n", "leasestorm_cluster_connected 1.0\n", `leasestorm_cluster_workers{state="idle"} 0.0`)
	ctx, cancel := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	long := tiny(t, "leases=50000", "broken=5000", "steady=20h", "duration=30h") // minutes
	asking.Go(func() { _, _ = c.Run(ctx, long, bench.Options{Seed: 1}) })
	scraped(t, url, `leasestorm_cluster_cells{state="waiting"} 1.0`)

	// A worker that is asked to stop gives the cell back; the next one dies.
	first, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	ended := make(chan error, 1)
	workers.Go(func() { ended <- work(first, s.link, time.Minute, t.TempDir(), t.Logf, func(news) {}) })
	scraped(t, url, `leasestorm_cluster_cells{state="in_hand"} 1.0`, `leasestorm_cluster_cells{state="waiting"} 0.0`, `leasestorm_cluster_workers{state="busy"} 1.0`)
	stop()
	workers.Wait()
	scraped(t, url, "leasestorm_cluster_cells_given_back_total 1.0\n", "leasestorm_cluster_deaths_total 0.0\n")
	if err := <-working(t, s.link, 500*time.Millisecond); err == nil {
		t.Error("a worker outlives a cell that does not end")
	}
	if err := <-working(t, s.link, 500*time.Millisecond); err == nil {
		t.Error("a worker outlives a cell that does not end")
	}
	scraped(t, url, "leasestorm_cluster_cells_given_back_total 1.0\n", "leasestorm_cluster_deaths_total 1.0\n")
	cancel()
	asking.Wait()

	working(t, s.link, time.Minute)
	if _, err := c.Run(t.Context(), tiny(t), bench.Options{Seed: 2}); err != nil {
		t.Fatal(err)
	}
	if _, err := itself.Do(t.Context(), c, 1); err != nil {
		t.Fatal(err)
	}
	scraped(t, url, "leasestorm_cluster_cells_done_total 2.0\n", "leasestorm_cluster_cell_seconds_count 2\n", "# EOF")
}

// full is a store that takes nothing.
type full struct {
	jetstream.ObjectStore
	asked func()
}

func (f full) Put(context.Context, jetstream.ObjectMeta, io.Reader) (*jetstream.ObjectInfo, error) {
	f.asked()
	return nil, nats.ErrTimeout
}

// A cell whose outcome was not stored when its worker was stopped was given back, and is not done.
func TestUnstoredCellIsGivenBack(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	var kinds []string
	w := &worker{js: c.store.js, nc: c.nc, limit: time.Minute, say: t.Logf, tell: func(n news) { kinds = append(kinds, n.Kind) }}
	consumer, err := w.queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.js.Publish(t.Context(), subject(buildID(), "key"), []byte(`{"task":"test-itself","input":1}`)); err != nil {
		t.Fatal(err)
	}
	msg, err := consumer.Next()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	if err := w.take(ctx, msg, full{c.store.outcomes, stop}, time.Minute, false); err != nil {
		t.Error(err)
	}
	if want := []string{newsBegin, newsBack, newsFree}; !slices.Equal(kinds, want) {
		t.Errorf("said %v, want %v", kinds, want)
	}
}

// unanswered is a store that lists its keys and answers nothing about them.
type unanswered struct{ jetstream.KeyValue }

func (unanswered) Get(context.Context, string) (jetstream.KeyValueEntry, error) {
	return nil, nats.ErrTimeout
}

// A look that the server answers in part leaves everything as it was, and holds nobody up.
func TestUnansweredLook(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	q := &queueLook{}
	if err := q.begin(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.workers.PutString(t.Context(), "w", `{"name":"w","build":"`+buildID()+`"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.study.PutString(t.Context(), releasedKey(1), "2"); err != nil {
		t.Fatal(err)
	}
	q.look(t.Context(), c)
	if q.workers[stateIdle] != 1 || q.back != 2 || q.deaths != 0 {
		t.Errorf("%+v", q)
	}
	if _, err := c.store.workers.PutString(t.Context(), "v", `{"name":"v","build":"`+buildID()+`"}`); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.workers.PutString(t.Context(), "u", `{"name":"u","build":"`+buildID()+`","unfit":true}`); err != nil {
		t.Fatal(err)
	}
	whole := c.store.workers
	c.store.workers = unanswered{whole}
	q.look(t.Context(), c)
	if q.workers[stateIdle] != 1 {
		t.Errorf("%v, want those of the last whole look", q.workers)
	}
	c.store.workers = whole
	q.look(t.Context(), c)
	if q.workers[stateIdle] != 2 || q.workers[stateUnfit] != 1 {
		t.Errorf("%v, want two and one of another class", q.workers)
	}
}

// A `worker` serves what its processes do, and ends by SIGTERM.
func TestWorkerMetrics(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{token: "t"})
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("t"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, end := begun(t, s.link, true)
	defer end()
	cmd, _ := command(t.Context(), t, t.TempDir(), "worker", "--cluster", s.URL, "--cluster-token", token, "--processes", "2", "--metrics", ":0")
	var said safe
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := c.Run(t.Context(), tiny(t), bench.Options{Seed: uint64(i + 1)}); err != nil {
			t.Error(err)
		}
	}
	url := address(said.String())
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Errorf("an address without a host: %s", said.String())
	}
	scraped(t, url, `leasestorm_worker_cells_total{end="done"} 3.0`, "leasestorm_worker_cell_seconds_count 3\n",
		`leasestorm_worker_processes{state="idle"} 2.0`, "leasestorm_worker_deaths_total 0.0\n")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if text := run(t, t.TempDir(), 2, "worker", "--cluster", s.URL, "--metrics", "9464"); !strings.Contains(text, "--metrics: address") {
		t.Error(text)
	}
}
