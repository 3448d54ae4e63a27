package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// coordinator is a Runner whose runs workers make. It waits for each run's outcome, and takes the files
// from the server.
type coordinator struct {
	here    bench.Runner
	nc      *nats.Conn
	store   *store
	session string // of this process
	say     func(format string, args ...any)
	bears   time.Duration   // how long a connected server may fail
	said    time.Time       // that the server fails; guarded by mu
	ctx     context.Context // until the coordinator may not go on
	stop    context.CancelCauseFunc
	all     sync.WaitGroup
	mu      sync.Mutex
	known   map[string]bool          // whose outcome is on the server
	awaited map[string]chan struct{} // closed when it is
	report  progress
	times   *hdrhistogram.Histogram // of the cells
	tries   atomic.Int64            // to have a cell run
	hosts
}

// progress is what the coordinator says of the study, for `status`.
type progress struct {
	Folder   string    `json:"folder"`
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Build    string    `json:"build"`
	Began    time.Time `json:"began"`
	Asked    int       `json:"asked"`    // cells since then
	Done     int       `json:"done"`     // of them
	Expected int       `json:"expected"` // cells that the study knows of; more may come
	Aside    []string  `json:"set_aside,omitempty"`
}

// open connects a coordinator to a server. kept is the study's state, folder is where the study is.
// own says that the server is this process's: whoever holds its lock has died. clear removes what another
// study has left there.
func open(ctx context.Context, l link, own bool, kept *state, folder string, here bench.Runner, giveBack time.Duration, clear bool) (_ *coordinator, err error) {
	c := &coordinator{here: here, session: random(), say: say, bears: 30 * time.Second, known: map[string]bool{}, awaited: map[string]chan struct{}{}, times: cellTimes(), hosts: hosts{unfit: map[string]bool{}}}
	host, _ := os.Hostname()
	c.report = progress{Folder: folder, Host: host, PID: os.Getpid(), Build: buildID(), Began: time.Now().UTC()}
	var js jetstream.JetStream
	if c.nc, js, err = l.connect("leasestorm coordinator", false); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			c.nc.Close()
		}
	}()
	lock, err := take(ctx, js, own, holder{Host: host, PID: os.Getpid(), Dir: folder, Once: c.session})
	if err != nil {
		return nil, err
	}
	c.ctx, c.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	c.all.Go(func() {
		if err := lock.keep(c.ctx); err != nil {
			c.stop(err)
		}
		late, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = lock.release(late) // else it goes by itself
	})
	if c.store, err = lay(ctx, js, kept.id, giveBack, clear); err == nil && own {
		// The server went with the coordinator that had these cells put there, and its workers could not
		// give them back: that was no death of a worker.
		err = c.store.stream.Purge(ctx)
	}
	if err == nil && here.Name() == realEngine {
		err = c.keepClass(ctx, kept)
	}
	if err == nil { // from here on a worker sets the class of a study of the real engine that has none
		_, err = c.store.study.PutString(ctx, engineKey, here.Name())
	}
	if err == nil {
		err = c.watch(ctx)
	}
	if err != nil {
		c.stop(err)
		c.all.Wait()
		return nil, err
	}
	c.all.Go(c.tell)
	return c, nil
}

// errorHeader marks an outcome that is an error.
const errorHeader = "Leasestorm-Error"

// watch learns of the outcomes that are there, and of each that comes. A cell that ended in an error under an
// earlier coordinator, such as one that was set aside, is to be tried again.
func (c *coordinator) watch(ctx context.Context) error {
	w, err := c.store.outcomes.Watch(c.ctx)
	if err != nil {
		return err
	}
	var old []string
	for info := range w.Updates() {
		if info == nil {
			break // these were there
		}
		switch {
		case info.Deleted:
		case info.Headers.Get(errorHeader) != "":
			old = append(old, info.Name)
		default:
			c.known[info.Name] = true
		}
	}
	for _, key := range old {
		// Its message may still be there, with all its deliveries: the worker that set the cell aside may
		// have ended before it was acknowledged.
		if err := errors.Join(c.store.outcomes.Delete(ctx, key), c.store.stream.Purge(ctx, jetstream.WithPurgeSubject(subject(c.report.Build, key)))); err != nil {
			return err
		}
	}
	back := make(chan struct{}, 1)
	c.nc.SetReconnectHandler(func(*nats.Conn) {
		select {
		case back <- struct{}{}:
		default:
		}
	})
	c.all.Go(func() {
		defer func() { _ = w.Stop() }()
		for {
			select {
			case <-c.ctx.Done():
				return
			case info, more := <-w.Updates():
				if !more {
					return
				}
				if info != nil && !info.Deleted {
					c.arrived(info.Name)
				}
			case <-back:
				// The watch would find out by itself, after some 20 s.
				if next, err := c.store.outcomes.Watch(c.ctx); err == nil {
					_ = w.Stop()
					w = next
				}
			}
		}
	})
	return nil
}

// arrived says that there is an outcome.
func (c *coordinator) arrived(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[key] = true
	if wait := c.awaited[key]; wait != nil {
		close(wait)
		delete(c.awaited, key)
	}
}

// gone says that there is no outcome any more.
func (c *coordinator) gone(key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, key)
}

// await returns a channel that is closed once the outcome is there, and whether it is.
func (c *coordinator) await(key string) (<-chan struct{}, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[key] {
		return nil, true
	}
	if c.awaited[key] == nil {
		c.awaited[key] = make(chan struct{})
	}
	return c.awaited[key], false
}

// Name implements bench.Runner.
func (c *coordinator) Name() string { return c.here.Name() }

// Alone implements bench.Runner.
func (c *coordinator) Alone() bool { return c.here.Alone() }

// inHand is how many cells are asked for at a time: more than there are workers, so that none waits.
const inHand = 256

// AtOnce implements study.Wide.
func (c *coordinator) AtOnce() int { return inHand }

// Expect implements study.Wide.
func (c *coordinator) Expect(runs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Expected += runs
}

// Run implements bench.Runner.
func (c *coordinator) Run(ctx context.Context, s scenario.Scenario, o bench.Options) (*bench.Result, error) {
	asked, err := newCell(c.here.Name(), s, o)
	if err != nil {
		return nil, err
	}
	out, err := c.obtain(ctx, asked, o.Folder, func() string { return fmt.Sprintf("%s %s, seed %d", s.Name, study.Own(&s), asked.Seed) })
	return out.Result, err
}

// Do implements study.Wide.
func (c *coordinator) Do(ctx context.Context, task string, in []byte) ([]byte, error) {
	out, err := c.obtain(ctx, cell{Task: task, Input: in}, "", func() string { return task })
	return out.Output, err
}

// obtain has a cell run by a worker, and takes its outcome and its files. what names the cell.
func (c *coordinator) obtain(ctx context.Context, asked cell, folder string, what func() string) (none outcome, err error) {
	key, text := asked.key()
	c.count(func(p *progress) { p.Asked++ })
	var trouble trouble
	for {
		if err := c.wait(ctx, key, text, int(c.tries.Inc())); err != nil {
			return none, err
		}
		packed, err := c.fetch(ctx, key)
		if errors.Is(err, jetstream.ErrObjectNotFound) || errors.Is(err, jetstream.ErrDigestMismatch) || errors.Is(err, jetstream.ErrNoObjectsFound) {
			if err := c.remove(ctx, key); err != nil { // one that was damaged
				return none, err
			}
			continue
		}
		if err != nil {
			if ctx.Err() == nil && c.ctx.Err() == nil {
				if err := c.bear(&trouble, err); err != nil {
					return none, err
				}
				if pause(ctx, time.Second) {
					continue
				}
			}
			return none, errors.Join(context.Cause(ctx), context.Cause(c.ctx))
		}
		out, err := unpack(packed, "")
		if err == nil && out.Result != nil && !out.Result.Valid && asked.Engine == realEngine {
			// If it is asked for again, that is another try. It goes before its files are there: if this process
			// ends in between, the run is made again, and is not taken for the next try.
			if err := c.remove(ctx, key); err != nil {
				return none, err
			}
		}
		if err == nil && folder != "" {
			out, err = unpack(packed, folder)
		}
		if err != nil {
			return none, fmt.Errorf("%w: cell %s: %w", bench.ErrFiles, key, err)
		}
		if err := out.err(); err != nil {
			if errors.Is(err, study.ErrSetAside) {
				err = fmt.Errorf("%s: %w", what(), err)
				c.count(func(p *progress) { p.Aside = append(p.Aside, key) })
			}
			return none, err
		}
		c.count(func(p *progress) {
			p.Done++
			took(c.times, out.Took)
		})
		return out, nil
	}
}

// remove removes an outcome, so that its cell is run again. What the server has not confirmed it may still have,
// and would give as the next try's.
func (c *coordinator) remove(ctx context.Context, key string) error {
	var trouble trouble
	for {
		one, cancel := context.WithTimeout(ctx, answerWithin)
		err := c.store.outcomes.Delete(one, key)
		cancel()
		if err == nil || errors.Is(err, jetstream.ErrObjectNotFound) {
			c.gone(key)
			return nil
		}
		if ctx.Err() == nil && c.ctx.Err() == nil {
			if err := c.bear(&trouble, err); err != nil {
				return err
			}
		}
		if !pause(ctx, time.Second) || c.ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), context.Cause(c.ctx))
		}
	}
}

// fetch reads a cell's outcome. The larger it is, the longer that may take: at least 32 KiB/s are expected,
// since many cells share one link. Without a deadline the client would give each up after 5 s.
func (c *coordinator) fetch(ctx context.Context, key string) ([]byte, error) {
	info, err := c.info(ctx, key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(info.Size>>15)*time.Second)
	defer cancel()
	return c.store.outcomes.GetBytes(ctx, key)
}

// info is what the server knows of an outcome.
func (c *coordinator) info(ctx context.Context, key string) (*jetstream.ObjectInfo, error) {
	one, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	return c.store.outcomes.GetInfo(one, key)
}

// answerWithin is how long the answer to one request is awaited. What went to a server that was just stopping is never
// answered, and the client would wait as long as ctx lets it.
const answerWithin = 5 * time.Second

// trouble is since when a call fails for a cell: at all, and while the server is connected.
type trouble struct{ first, connected time.Time }

// sayAfter is how long the server may fail before a person is told, and how often that is.
const sayAfter = 5 * time.Second

// bear is for a call that failed with err, and is to be tried again. A server that is away may come back. One
// that is connected and fails all the time will not mend by itself: bear returns its error.
func (c *coordinator) bear(t *trouble, err error) error {
	now := time.Now()
	if t.first.IsZero() {
		t.first = now
	}
	switch {
	case !c.nc.IsConnected():
		t.connected = time.Time{}
	case t.connected.IsZero():
		t.connected = now
	case now.Sub(t.connected) >= c.bears:
		return fmt.Errorf("the NATS server at %s has failed for %v: %w; --resume goes on when it is mended", shown(c.nc.ConnectedUrl()), now.Sub(t.connected).Round(time.Second), err)
	}
	c.mu.Lock()
	tell := now.Sub(t.first) >= sayAfter && now.Sub(c.said) >= sayAfter
	if tell {
		c.said = now
	}
	c.mu.Unlock()
	if tell {
		c.say("the NATS server has failed for %v, and is tried again: %v", now.Sub(t.first).Round(time.Second), err)
	}
	return nil
}

// pause waits, and reports whether ctx let it.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// look is how long an outcome is awaited before the coordinator looks itself: the news of it may have been
// lost when the server went. Every so many looks the cell is asked for again, should the server have lost it.
const (
	look     = 4 * time.Second
	askAgain = 5
)

// wait puts a cell into the queue, unless it is there, and waits until there is an outcome.
func (c *coordinator) wait(ctx context.Context, key string, text []byte, try int) error {
	var troubled trouble
	for turn, asked := 0, 0; ; turn, asked = turn+1, asked+1 {
		there, done := c.await(key)
		if done {
			return nil
		}
		var err error
		// The identity holds for this process's try: within it, whatever is sent twice counts once. A cell
		// that is still queued from an earlier one is refused by its subject.
		if turn%askAgain == 0 {
			one, cancel := context.WithTimeout(ctx, answerWithin)
			_, err = c.store.js.Publish(one, subject(c.report.Build, key), text, jetstream.WithMsgID(fmt.Sprintf("%s-%s-%d-%d", key, c.session, try, asked)), jetstream.WithRetryAttempts(0))
			cancel()
		}
		patience := look
		if err != nil && !queued(err) {
			if ctx.Err() == nil && c.ctx.Err() == nil {
				if err := c.bear(&troubled, err); err != nil {
					return err
				}
			}
			patience, turn = time.Second, -1
		} else {
			troubled = trouble{}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-there:
			return nil
		case <-time.After(patience):
		}
		if _, err := c.info(ctx, key); err == nil {
			c.arrived(key)
		}
	}
}

// queued reports whether the server refused a cell because it is in the queue.
func queued(err error) bool {
	const notStored = 10077 // for any reason, such as a full disk
	e, ok := errors.AsType[*jetstream.APIError](err)
	return ok && e.ErrorCode == notStored && strings.Contains(e.Description, "per subject")
}

// count changes the report.
func (c *coordinator) count(change func(p *progress)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.report)
}

// tell puts the report where `status` reads it, every second.
func (c *coordinator) tell() {
	for {
		c.mu.Lock()
		text, err := json.Marshal(c.report)
		c.mu.Unlock()
		if err == nil {
			_, _ = c.store.study.Put(c.ctx, "progress", text) // the next may arrive
		}
		c.learn(c.ctx)
		if !pause(c.ctx, time.Second) {
			return
		}
	}
}

// close ends the coordinator. clear removes what is on the server, as of a study that has all its cells.
func (c *coordinator) close(clear bool) error {
	lost := context.Cause(c.ctx)
	c.stop(context.Canceled)
	c.all.Wait()
	late, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if lost == nil && c.class == "" {
		c.learn(late) // a short study has ended before tell has
	}
	var err error
	if clear && lost == nil {
		err = c.store.clear(late)
	}
	c.nc.Close()
	if lost != nil {
		return lost
	}
	return err
}
