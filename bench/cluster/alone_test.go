package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/files"
)

// Of the processes of a host one measures at a time, with no cell of another beside it, and each gets its turn.
func TestTurns(t *testing.T) {
	dir := t.TempDir()
	var measuring, beside, clash atomic.Int64
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			one := turns{dir: dir, say: t.Logf} // as of a process
			defer one.leave()
			for range 5 {
				if i%2 == 0 {
					if err := one.beside(t.Context()); err != nil {
						t.Error(err)
						return
					}
					beside.Inc()
					if measuring.Load() != 0 {
						clash.Inc()
					}
					time.Sleep(time.Millisecond)
					beside.Dec()
					continue
				}
				turn, err := one.alone(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if measuring.Inc() != 1 || beside.Load() != 0 {
					clash.Inc()
				}
				time.Sleep(time.Millisecond)
				measuring.Dec()
				turn.Release()
			}
		})
	}
	all.Wait()
	if clash.Load() != 0 {
		t.Errorf("%d runs had another beside them", clash.Load())
	}
	// Whoever waits long for another says for whom, once.
	var said safe
	waiting := turns{dir: dir, say: func(format string, args ...any) { logTo(&said, format, args...) }}
	for range 2 {
		waiting.tell(filepath.Join(dir, aloneLock), time.Now())
	}
	for range 2 {
		waiting.tell(filepath.Join(dir, aloneLock), time.Now().Add(-tellAfter))
	}
	if text := said.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "waits for another process") {
		t.Errorf("said: %q", text)
	}
	// What a process that died has left holds nobody up.
	for _, name := range []string{aloneLock, strings.Replace(besideLock, "*", "x", 1)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("process 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	one := turns{dir: dir, say: t.Logf}
	turn, err := one.alone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	waits, cancel := context.WithTimeout(t.Context(), 2*turnPause)
	defer cancel()
	if err := (&turns{dir: dir, say: t.Logf}).beside(waits); err == nil {
		t.Error("a cell begins beside a run that measures")
	}
	turn.Release()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("locks are left: %v, %v", left, err)
	}
}

// What moves a measurement is another class, and what does not is none.
func TestClass(t *testing.T) {
	i := host.Info{Name: "a", CPU: "X 9000", Cores: 2, CPUs: make([]host.CPU, 4), OS: "linux", Arch: "amd64", Kernel: "6.1.5-7"}
	const meminfo = "MemTotal:       16000000 kB\n"
	first := classOf(i, meminfo)
	if want := "X 9000, 2 cores, 4 processors, 16384 MiB of memory, linux/amd64 6.1"; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	for name, change := range map[string]func(i *host.Info){
		"cpu": func(i *host.Info) { i.CPU = "Y" }, "cores": func(i *host.Info) { i.Cores = 4 }, "processors": func(i *host.Info) { i.CPUs = i.CPUs[:2] },
		"quota": func(i *host.Info) { i.Quota = 1.5 }, "memory": func(i *host.Info) { i.MemoryMax = 1 << 30 }, "kernel": func(i *host.Info) { i.Kernel = "6.2.5-7" }, "arch": func(i *host.Info) { i.Arch = "arm64" },
	} {
		other := i
		if change(&other); classOf(other, meminfo) == first {
			t.Errorf("another %s is no other class", name)
		}
	}
	like := i
	like.Name, like.Kernel, like.MemoryFree = "b", "6.1.9-1", 7
	if got := classOf(like, "MemTotal: 16100000 kB\n"); got != first {
		t.Errorf("%q is another class than %q", got, first)
	}
}

// The first host that comes makes the runs of the real engine. A host of another class gets none, is named, and
// is still another when the study is resumed on another server.
func TestUnlikeHost(t *testing.T) {
	s := serverOf(t, embedding{})
	dir := t.TempDir()
	kept := &state{id: "a", dir: dir}
	c, err := open(t.Context(), s.link, false, kept, "folder-a", bench.Real{}, time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	mine := &worker{js: c.store.js, class: "mine", say: t.Logf}
	other := &worker{js: c.store.js, class: "other", say: func(format string, _ ...any) { said = append(said, format) }}
	if real, err := mine.measures(t.Context()); err != nil || !real {
		t.Fatalf("the worker takes the study for one in virtual time: %v, %v", real, err)
	}
	if err := mine.admitted(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := other.admitted(t.Context()); err == nil {
			t.Error("a host of another class is given cells")
		}
	}
	if len(said) != 1 || other.unfit.Load() != "mine" {
		t.Errorf("said %v of %q, want it once", said, other.unfit.Load())
	}
	me, err := json.Marshal(presence{Name: "w", Host: "h2", PID: 5, Build: buildID(), Class: "other", Unfit: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.store.workers.Put(t.Context(), "5-w", me); err != nil {
		t.Fatal(err)
	}
	st, err := readStatus(t.Context(), s.link)
	if err != nil || !strings.Contains(st.Text(), "on h2: 0 cells; its host is of another class") {
		t.Errorf("%v\n%s", err, st.Text())
	}
	if err := c.close(true); err != nil {
		t.Fatal(err)
	}
	// The class stays also when the study is whole.
	if kept.lock, err = files.Take(filepath.Join(dir, ".lock"), dir); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "id"), []byte("a"), 0o600), kept.end(true)); err != nil {
		t.Fatal(err)
	}
	if left := tree(t, dir); len(left) != 1 || left[classFile] != "mine" {
		t.Errorf("left: %v", left)
	}
	next := serverOf(t, embedding{})
	if c, err = open(t.Context(), next.link, false, kept, "folder-a", bench.Real{}, time.Second, false); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close(true) }()
	class, err1 := c.store.study.Get(t.Context(), classKey)
	engine, err2 := c.store.study.Get(t.Context(), engineKey)
	if err := errors.Join(err1, err2); err != nil || class.Revision() > engine.Revision() {
		t.Errorf("%v: a worker may know of the study before its class is there", err)
	}
	other.js = c.store.js
	if err := other.admitted(t.Context()); err == nil {
		t.Error("a host of another class is given cells of a study that is resumed")
	}
}

// A worker that is readied for another study gives a cell of the real engine back, and that is no death.
func TestWorkerOfAnotherStudy(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, err := open(t.Context(), s.link, false, &state{id: "a"}, "folder-a", bench.Real{}, time.Minute, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close(true) }()
	if _, err := c.store.study.PutString(t.Context(), classKey, "first"); err != nil {
		t.Fatal(err)
	}
	w := &worker{js: c.store.js, nc: c.nc, class: "other", say: t.Logf, tell: func(news) {}}
	consumer, err := w.queue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// Without a cell it takes no turn; where others have the cells it keeps none.
	dir := filepath.Join(t.TempDir(), "turns")
	w.turns = turns{dir: dir, say: t.Logf}
	idle := func() (files int) {
		if _, _, err := w.next(t.Context(), consumer, true); !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("it has a cell: %v", err)
		}
		left, err := os.ReadDir(dir)
		if err != nil {
			return -1
		}
		return len(left)
	}
	if idle() != -1 {
		t.Error("a worker without a cell took the turn")
	}
	asked, err := newCell(realEngine, tiny(t), bench.Options{Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	key, text := asked.key()
	if _, err := c.store.js.Publish(t.Context(), subject(buildID(), key), text); err != nil {
		t.Fatal(err)
	}
	for i, measures := range []bool{false, true} { // the earlier study was in virtual time, or of another class
		msg, err := consumer.Next()
		if err != nil {
			t.Fatal(err)
		}
		if idle() != 0 {
			t.Error("a worker that got no cell keeps the turn")
		}
		if err := w.take(t.Context(), msg, c.store.outcomes, time.Minute, measures); !errors.Is(err, errOtherStudy) {
			t.Errorf("measures %v: %v", measures, err)
		}
		meta, err := msg.Metadata()
		if err != nil || int(meta.NumDelivered) != i+1 || w.released(t.Context(), meta.Sequence.Stream) != i+1 {
			t.Errorf("%v, delivery %d of %+v", err, i+1, meta)
		}
	}
	if _, err := c.store.outcomes.GetInfo(t.Context(), key); err == nil {
		t.Error("there is an outcome")
	}
	// In a study in virtual time no host is of another class.
	if w.unfit.Load() != "first" {
		t.Errorf("unfit: %q", w.unfit.Load())
	}
	_, err = c.store.study.PutString(t.Context(), engineKey, bench.Virtual{}.Name())
	if err := errors.Join(err, c.store.stream.Purge(t.Context())); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = w.serve(ctx, consumer) })
	for deadline := time.Now().Add(20 * time.Second); w.unfit.Load() != "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
	}
	stop()
	serving.Wait()
	if w.unfit.Load() != "" {
		t.Error("its host is of another class than a study in virtual time")
	}
}

// A study of the real engine that has runs of one process is not gone on with by workers, whose class may be
// another.
func TestClassesAreNotMixed(t *testing.T) {
	s := serverOf(t, embedding{})
	for name, refused := range map[string]bool{"runs.jsonl": true, "points.jsonl": true, "fifo-s1/manifest.json": true, "suite.json": false, "fifo-s1/other": false} {
		folder := t.TempDir()
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte("{}\n"), 0o600), os.Mkdir(filepath.Join(folder, stateFolder), 0o700)); err != nil {
			t.Fatal(err)
		}
		c, err := open(t.Context(), s.link, false, &state{id: name, dir: filepath.Join(folder, stateFolder)}, folder, bench.Real{}, time.Second, true)
		if err == nil {
			_ = c.close(true)
		}
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "go on without --cluster") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing is a store that fails to delete so many times.
type failing struct {
	jetstream.ObjectStore
	left int
}

func (f *failing) Delete(ctx context.Context, name string) error {
	if f.left--; f.left >= 0 {
		return nats.ErrTimeout
	}
	return f.ObjectStore.Delete(ctx, name)
}

// An outcome that is to be made again is gone from the server before its cell is asked for again.
func TestRemovedOutcomeIsGone(t *testing.T) {
	t.Parallel()
	s := serverOf(t, embedding{})
	c, end := begun(t, s.link, true)
	defer end()
	store := c.store.outcomes
	if _, err := store.PutString(t.Context(), "x", "an invalid run"); err != nil {
		t.Fatal(err)
	}
	c.arrived("x")
	c.store.outcomes = &failing{store, 1}
	if err := c.remove(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := store.GetInfo(t.Context(), "x"); !errors.Is(err, jetstream.ErrObjectNotFound) {
		t.Errorf("the outcome stays: %v", err)
	}
	c.bears, c.store.outcomes = 0, &failing{store, 1000}
	if err := c.remove(t.Context(), "y"); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("a server that does not delete: %v", err)
	}
}

// Cells of the real engine come back with the worker's host in their manifests, invalid ones are asked for
// again, and a table of another process is refused.
func TestRealCells(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the real engine for some seconds")
	}
	s := serverOf(t, embedding{})
	c, err := open(t.Context(), s.link, false, &state{id: "a"}, "folder-a", bench.Real{}, 5*time.Second, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.close(true) }()
	working(t, s.link, time.Minute)
	scene := tiny(t, "leases=20000", "broken=2000", "timeout=100ms", "interval=1s", "ttl=3s", "outage=100ms", "steady=100ms", "duration=1s")
	folders := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")}
	var all sync.WaitGroup
	for i, folder := range folders {
		all.Go(func() {
			res, err := c.Run(t.Context(), scene, bench.Options{Seed: uint64(i + 1), Folder: folder})
			if err != nil {
				t.Error(err)
				return
			}
			m, err := bench.ReadManifest(t.Context(), folder)
			if err != nil || m.Host.CPU != host.ReadInfo().CPU || m.Result.Engine != "real" {
				t.Errorf("%v: %+v", err, m.Host)
			}
			key, _ := (&cell{Engine: "real", Scenario: scene.TOML(), Seed: uint64(i + 1), Files: true}).key()
			_, err = c.store.outcomes.GetInfo(t.Context(), key)
			if kept := err == nil; kept != res.Valid {
				t.Errorf("valid: %v, its outcome is kept: %v", res.Valid, kept)
			}
		})
	}
	all.Wait()
	if _, err := c.Run(t.Context(), tiny(t, "table=etcd"), bench.Options{Seed: 1}); err == nil || !strings.Contains(err.Error(), "another process's") {
		t.Errorf("a table of another process: %v", err)
	}
	workers, err := c.store.workers.Keys(t.Context())
	if err != nil || len(workers) == 0 || slices.Contains(workers, "") {
		t.Errorf("%v, %v", workers, err)
	}
}
