package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/files"
	"github.com/leasestorm/leasestorm/cmd/leasestorm/cli"
)

// hostClass is the class of this host. Runs of the real engine on hosts of one class make one table.
func hostClass() string {
	text, _ := os.ReadFile("/proc/meminfo") // of a system without it no memory is named
	return classOf(host.ReadInfo(), string(text))
}

// classOf is made of what moves a measurement: processor, cores and processors that may be used, memory as a
// power of two, system and kernel.
func classOf(i host.Info, meminfo string) string {
	memory := i.MemoryMax
	for line := range strings.Lines(meminfo) {
		if f := strings.Fields(line); memory == 0 && len(f) > 1 && f[0] == "MemTotal:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64) // 0: not named
			memory = kib << 10
		}
	}
	class := fmt.Sprintf("%s, %d cores, %d processors", i.CPU, i.Cores, len(i.CPUs))
	if i.Quota > 0 {
		class += fmt.Sprintf(", a quota of %.3g", i.Quota)
	}
	if memory > 0 {
		// A host reports less than it has: firmware and kernel keep some of it.
		class += fmt.Sprintf(", %d MiB of memory", 1<<bits.Len64(uint64(memory-1)>>20))
	}
	kernel := i.Kernel
	if parts := strings.SplitN(kernel, ".", 3); len(parts) == 3 {
		kernel = parts[0] + "." + parts[1]
	}
	return strings.TrimSpace(fmt.Sprintf("%s, %s/%s %s", class, i.OS, i.Arch, kernel))
}

// turnsFolder is where the workers of one user on this host take turns. A worker process is told of it: its own
// TMPDIR may be another.
func turnsFolder() string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("leasestorm-%d", os.Getuid()))
}

// turns are the worker processes of a host, of which one makes a run of the real engine with no cell of
// another beside it. A process that has cells in virtual time holds a lock of its own. Who wants to measure
// takes the lock of all, so that no such process begins another cell, and waits until theirs are free.
type turns struct {
	dir  string
	own  *files.Lock // of this process's cells in virtual time
	say  func(format string, args ...any)
	told bool // for whom this process waits
}

const (
	aloneLock  = "real.lock"
	besideLock = "virtual-*.lock"
	// turnPause is how often a process looks for its turn.
	turnPause = 100 * time.Millisecond
	// tellAfter is how long it waits before a person is told, once.
	tellAfter = 2 * time.Second
)

// alone waits for the turn to measure. The caller releases it.
func (t *turns) alone(ctx context.Context) (*files.Lock, error) {
	if err := os.MkdirAll(t.dir, 0o700); err != nil {
		return nil, err
	}
	t.leave()
	path := filepath.Join(t.dir, aloneLock)
	for began := time.Now(); ; t.tell(path, began) {
		turn, err := files.Take(path, path)
		if err == nil {
			if err = t.empty(ctx); err != nil {
				turn.Release()
				return nil, err
			}
			return turn, nil
		}
		if !errors.Is(err, files.ErrInUse) {
			return nil, err
		}
		if !pause(ctx, turnPause) {
			return nil, context.Cause(ctx)
		}
	}
}

// empty waits until no other process has a cell in virtual time.
func (t *turns) empty(ctx context.Context) error {
	all, err := filepath.Glob(filepath.Join(t.dir, besideLock))
	if err != nil {
		return err
	}
	for _, path := range all {
		if err := t.until(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// until waits until nobody holds a lock. The lock of a process that died is free.
func (t *turns) until(ctx context.Context, path string) error {
	for began := time.Now(); ; t.tell(path, began) {
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		held, err := files.Take(path, path)
		if err == nil {
			held.Release()
			return nil
		}
		if !errors.Is(err, files.ErrInUse) {
			return err
		}
		if !pause(ctx, turnPause) {
			return context.Cause(ctx)
		}
	}
}

// tell says once, after a while, who holds the lock for which this process waits.
func (t *turns) tell(path string, began time.Time) {
	if t.told || time.Since(began) < tellAfter {
		return
	}
	t.told = true
	text, _ := os.ReadFile(path) // it may have gone
	by, _, _ := strings.Cut(string(text), "\n")
	t.say("a run on real cores has its host to itself: this worker waits for %s (lock: %s)", cmp.Or(by, "another process"), path)
}

// beside waits until nobody measures, and says that this process has a cell in virtual time until leave.
func (t *turns) beside(ctx context.Context) error {
	path := filepath.Join(t.dir, aloneLock)
	for {
		if _, err := os.Lstat(path); err != nil && t.own != nil {
			return nil // the usual case: nobody measures
		}
		if t.own == nil {
			if err := os.MkdirAll(t.dir, 0o700); err != nil {
				return err
			}
			own := filepath.Join(t.dir, strings.Replace(besideLock, "*", random(), 1))
			var err error
			if t.own, err = files.Take(own, own); err != nil {
				return err
			}
			continue // who measures may have come in between
		}
		t.leave()
		if err := t.until(ctx, path); err != nil {
			return err
		}
	}
}

// leave says that this process has no cell.
func (t *turns) leave() {
	if t.own != nil {
		t.own.Release()
		t.own = nil
	}
}

const (
	engineKey = "engine" // of the study's cells
	classKey  = "class"  // of the hosts that make its runs of the real engine
)

// fits reports whether this host is of the class of a study's. The first host that asks sets the class.
func (w *worker) fits(ctx context.Context) (is bool, of string, err error) {
	kv, err := w.js.KeyValue(ctx, studyBucket)
	if err != nil {
		return false, "", err
	}
	if _, err = kv.Create(ctx, classKey, []byte(w.class)); err == nil {
		return true, w.class, nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return false, "", err
	}
	e, err := kv.Get(ctx, classKey)
	if err != nil {
		return false, "", err
	}
	return string(e.Value()) == w.class, string(e.Value()), nil
}

// measures reports whether the study's cells are of the real engine.
func (w *worker) measures(ctx context.Context) (bool, error) {
	kv, err := w.js.KeyValue(ctx, studyBucket)
	if err != nil {
		return false, err
	}
	e, err := kv.Get(ctx, engineKey)
	if err != nil {
		return false, err
	}
	return string(e.Value()) == realEngine, nil
}

// classFile is the name, in the state's folder, of the class of the hosts that make a study's runs.
const classFile = "class"

// hosts are what a coordinator of runs of the real engine knows of the hosts. But for state it is tell's alone.
type hosts struct {
	state atomic.String   // file of the class; "": it is not kept
	class string          // of the study; "": no worker has come
	unfit map[string]bool // hosts of another class, of which a person was told
}

// keepClass takes the class of an interrupted study from the state's folder, and will put one there. It comes
// before the study's engine is on the server: a worker that knows the engine sets the class.
func (c *coordinator) keepClass(ctx context.Context, kept *state) error {
	if kept.dir == "" {
		return nil
	}
	path := filepath.Join(kept.dir, classFile)
	text, err := os.ReadFile(path)
	defer c.state.Store(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.unmixed(ctx, filepath.Dir(kept.dir))
	}
	if err == nil {
		_, err = c.store.study.Put(ctx, classKey, text)
	}
	return err
}

// unmixed refuses to go on with a study that has runs of hosts whose class is not known. They are of one process
// without workers.
func (c *coordinator) unmixed(ctx context.Context, folder string) error {
	if _, err := c.store.study.Get(ctx, classKey); !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err // or nil: the coordinator died before it kept the class
	}
	if !hasRuns(folder) {
		return nil
	}
	return cli.Usage(fmt.Errorf("%s has runs on real cores that were made without --cluster, by a host of unknown class: go on without --cluster, on the same host, or begin the study again", folder))
}

// hasRuns reports whether a study's folder has a run: a line in one of its journals, or a run's own folder.
func hasRuns(folder string) bool {
	entries, _ := os.ReadDir(folder) // one that cannot be read ends the study by itself
	for _, e := range entries {
		path := filepath.Join(folder, e.Name())
		if e.IsDir() {
			path = filepath.Join(path, "manifest.json")
		} else if filepath.Ext(path) != ".jsonl" {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			return true
		}
	}
	return false
}

// learn keeps the class of the first host in the state's folder, and says which hosts are of another.
func (c *coordinator) learn(ctx context.Context) {
	if c.here.Name() != realEngine {
		return
	}
	if e, err := c.store.study.Get(ctx, classKey); err == nil && c.state.Load() != "" && c.class == "" {
		c.class = string(e.Value())
		if err := files.Write(c.state.Load(), func(w io.Writer) error { _, err := io.WriteString(w, c.class); return err }); err != nil {
			c.say("the class of the study's hosts is not kept: %v", err)
		}
		c.say("the runs are made on hosts of this class: %s", c.class)
	}
	var st Status
	if readWorkers(ctx, c.store.workers, &st) != nil {
		return // they are read again
	}
	for _, w := range st.Workers {
		if w.Unfit && !c.unfit[w.Host] {
			c.unfit[w.Host] = true
			c.say("host %s gets no cells of the real engine: it is %q", w.Host, w.Class)
		}
	}
}
