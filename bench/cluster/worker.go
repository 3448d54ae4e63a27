package cluster

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/bench/study"
)

// worker takes cells from the queue and runs them, one at a time.
type worker struct {
	name  string // of the process, unique
	class string // of the host
	turns turns
	unfit atomic.String // the class of a study that is another
	limit time.Duration
	nc    *nats.Conn
	js    jetstream.JetStream
	done  atomic.Int64
	now   atomic.String // key of the cell in hand
	fails int           // cells in a row that this host could not run
	rest  time.Duration // before the next cell, after one of them
	say   func(format string, args ...any)
	tell  func(news)
}

// presence is what a worker says of itself, for `status`.
type presence struct {
	Name  string `json:"name"`
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Build string `json:"build"`
	Cells int64  `json:"cells"`
	Cell  string `json:"cell,omitempty"`  // in hand
	Class string `json:"class"`           // of the host
	Unfit bool   `json:"unfit,omitempty"` // the study is of another class, and gives it no cell
}

// errRejected is returned, wrapped, by a worker or agent whose credentials the server refuses.
var errRejected = errors.New("the NATS server refuses the credentials")

// rejected is err, or errRejected around it if it says that.
func rejected(err error) error {
	for _, no := range []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired} {
		if errors.Is(err, no) {
			return fmt.Errorf("%w: %w", errRejected, err)
		}
	}
	return err
}

// work is a worker's life: until ctx is done, or a cell runs past the limit, or the server refuses it. The
// processes of a host take turns in the folder turns. It tells what it does.
func work(ctx context.Context, l link, limit time.Duration, folder string, say func(format string, args ...any), tell func(news)) (err error) {
	defer func() { err = rejected(err) }()
	host, _ := os.Hostname()
	w := &worker{name: fmt.Sprintf("%s-%d-%s", host, os.Getpid(), random()[:6]), class: hostClass(), turns: turns{dir: folder, say: say}, limit: limit, say: say, tell: tell}
	defer w.turns.leave()
	if w.nc, w.js, err = l.connect("leasestorm worker "+w.name, true); err != nil {
		return err
	}
	defer w.nc.Close()
	refused := make(chan error, 1)
	w.nc.SetClosedHandler(func(nc *nats.Conn) {
		refused <- fmt.Errorf("the NATS server at %s: %w", shown(l.URL), errors.Join(nc.LastError(), nats.ErrConnectionClosed))
	})
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case err := <-refused:
			stop(err)
		case <-ctx.Done():
		}
	}()
	go w.show(ctx, host)
	go l.follow(ctx, w.nc, tell)
	for ctx.Err() == nil {
		consumer, err := w.queue(ctx)
		if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrConsumerNotFound) {
			w.unfit.Store("") // the study has ended
		}
		if err != nil {
			pause(ctx, time.Second)
			continue
		}
		if err := w.serve(ctx, consumer); err != nil {
			return err
		}
	}
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// show says every few seconds that the worker is there.
func (w *worker) show(ctx context.Context, host string) {
	me := presence{Name: w.name, Host: host, PID: os.Getpid(), Build: buildID(), Class: w.class}
	for {
		if kv, err := w.js.KeyValue(ctx, workerBucket); err == nil {
			me.Cells, me.Cell, me.Unfit = w.done.Load(), w.now.Load(), w.unfit.Load() != ""
			if text, err := json.Marshal(me); err == nil {
				_, _ = kv.Put(ctx, strconv.Itoa(me.PID)+"-"+w.name[len(w.name)-6:], text) // the next may arrive
			}
		}
		if !pause(ctx, presenceTTL/4) {
			return
		}
	}
}

// queue is the consumer of this version's cells, once there is one.
func (w *worker) queue(ctx context.Context) (jetstream.Consumer, error) {
	stream, err := w.js.Stream(ctx, cellStream)
	if err != nil {
		return nil, err
	}
	return stream.Consumer(ctx, consumerName(buildID()))
}

// serve takes cells until the queue goes.
func (w *worker) serve(ctx context.Context, consumer jetstream.Consumer) error {
	giveBack := consumer.CachedInfo().Config.AckWait
	outcomes, err := w.js.ObjectStore(ctx, outcomeBucket)
	if err != nil {
		pause(ctx, time.Second)
		return nil //nolint:nilerr // the coordinator has not made it yet, or the server is away
	}
	defer w.turns.leave()
	measures, err := w.measures(ctx)
	switch {
	case err != nil:
	case measures:
		err = w.admitted(ctx)
	default:
		w.unfit.Store("")
	}
	if err != nil {
		pause(ctx, time.Second)
		return nil //nolint:nilerr // as above, or the study is of another class
	}
	for ctx.Err() == nil {
		msg, end, err := w.next(ctx, consumer, measures)
		if errors.Is(err, errTurns) {
			if ctx.Err() == nil {
				w.say("%v", err)
				pause(ctx, longestRest)
			}
			return nil // it has been said
		}
		if errors.Is(err, nats.ErrTimeout) || errors.Is(err, jetstream.ErrNoMessages) || errors.Is(err, context.DeadlineExceeded) {
			if _, err := consumer.Info(ctx); errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
				return nil // the study has ended
			}
			continue
		}
		if err != nil {
			pause(ctx, time.Second/2)
			return nil //nolint:nilerr // the queue went, or the server is away: look for it again
		}
		err = w.take(ctx, msg, outcomes, giveBack, measures)
		end()
		if errors.Is(err, errOtherStudy) {
			return nil // look whose study it is
		}
		if err != nil {
			return err
		}
		if w.rest > 0 {
			pause(ctx, w.rest)
			w.rest = 0
		}
	}
	return nil
}

// errUnfit is returned by a worker whose host is of another class than the study's.
var errUnfit = errors.New("another class of host")

// admitted is an error if this host makes no runs of the study, which is of the real engine. It is said once.
func (w *worker) admitted(ctx context.Context) error {
	fits, of, err := w.fits(ctx)
	switch {
	case err != nil:
		return err
	case fits:
		w.unfit.Store("")
		return nil
	case w.unfit.Swap(of) != of:
		w.say("this host gets no cells of the real engine: it is %q, and the study's first was %q", w.class, of)
	}
	return errUnfit
}

// errTurns is returned, wrapped, by a worker that cannot take turns.
var errTurns = errors.New("this host's workers cannot take turns")

// next waits for the turn of this process and a cell. end ends the turn. Whoever measures holds up all others of
// this host, so the turn is taken only if there are cells, and is given up at once if none is to be had.
func (w *worker) next(ctx context.Context, consumer jetstream.Consumer, measures bool) (msg jetstream.Msg, end func(), err error) {
	if measures {
		info, err := consumer.Info(ctx)
		if err != nil {
			return nil, nil, err
		}
		if info.NumPending == 0 && info.NumAckPending == 0 {
			pause(ctx, idlePause)
			return nil, nil, nats.ErrTimeout
		}
	}
	if end, err = w.turn(ctx, measures); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errTurns, err)
	}
	if !measures {
		one, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		msg, err = consumer.Next(jetstream.FetchContext(one))
		return msg, end, err
	}
	batch, err := consumer.FetchNoWait(1)
	if err == nil {
		if msg = <-batch.Messages(); msg != nil {
			return msg, end, nil
		}
		err = batch.Error()
	}
	end()
	pause(ctx, idlePause)
	return nil, nil, cmp.Or(err, nats.ErrTimeout)
}

// idlePause is how often a worker that measures looks for a cell.
const idlePause = time.Second

// turn waits until this process may run a cell. end ends it.
func (w *worker) turn(ctx context.Context, measures bool) (end func(), err error) {
	if !measures {
		return func() {}, w.turns.beside(ctx) // until another measures
	}
	turn, err := w.turns.alone(ctx)
	if err != nil {
		return nil, err
	}
	return func() {
		turn.Release()
		pause(ctx, 2*turnPause) // in which each of the others has looked
	}, nil
}

// errLimit is returned, wrapped, by a worker whose cell does not end.
var errLimit = errors.New("the cell ran past --cell-limit")

// errOtherStudy is returned by a worker that gives a cell back, since it is not ready for the cell's study.
var errOtherStudy = errors.New("a cell of another study")

// handed is a cell that this worker was handed.
type handed struct {
	msg     jetstream.Msg
	key     string
	place   uint64 // of the message in the stream
	earlier int    // deliveries before this one
}

// take runs the cell of a message and stores what it came to. The cell leaves the queue only then. measures says
// that this process has the turn to measure.
func (w *worker) take(ctx context.Context, msg jetstream.Msg, outcomes jetstream.ObjectStore, giveBack time.Duration, measures bool) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	h := handed{msg, keyOfSubject(msg.Subject()), meta.Sequence.Stream, int(meta.NumDelivered) - 1}
	w.now.Store(h.key)
	defer w.now.Store("")
	w.tell(news{Kind: newsBegin})
	defer w.tell(news{Kind: newsFree})
	alive, dead := context.WithCancel(ctx)
	defer dead()
	go func() {
		for pause(alive, giveBack/3) {
			_ = msg.InProgress() // the next may arrive
		}
	}()
	died := 0
	if h.earlier > 0 {
		if _, err := outcomes.GetInfo(ctx, h.key); err == nil {
			return w.finish(ctx, msg) // a worker that was thought dead has stored it
		}
		died = h.earlier - w.released(ctx, h.place)
	}
	out, packed, err := w.make(ctx, h, died, measures)
	switch {
	case errors.Is(err, errLimit):
		return fmt.Errorf("cell %s: %w", h.key, err)
	case errors.Is(err, errOtherStudy):
		w.giveBack(h)
		return err
	case ctx.Err() != nil:
		w.giveBack(h)
		return nil
	case err != nil:
		return w.fail(ctx, h, err)
	}
	if !w.keep(ctx, outcomes, h.key, packed, out.Error != "") {
		w.giveBack(h)
		return nil
	}
	end := news{Kind: newsRefused, Bytes: len(packed)}
	if out.Error == "" {
		w.fails = 0
		end.Kind, end.Took = newsDone, out.Took
	}
	w.tell(end)
	w.done.Inc()
	return w.finish(ctx, msg)
}

// make makes the outcome of a cell with which so many workers died, and packs it with its files. err is for what
// says nothing of the cell.
func (w *worker) make(ctx context.Context, h handed, died int, measures bool) (out outcome, packed []byte, err error) {
	began := time.Now()
	folder := ""
	var c cell
	switch err := json.Unmarshal(h.msg.Data(), &c); {
	case died >= most:
		out = failed(fmt.Errorf("%w: cell %s: %s; --resume tries it again", study.ErrSetAside, h.key, w.why(ctx, h.place, died)))
	case err != nil:
		out = failed(fmt.Errorf("%w: %w", errCell, err))
	default:
		if c.Files {
			temp, err := os.MkdirTemp("", "leasestorm-cell-")
			if err != nil {
				return out, nil, err
			}
			defer func() { _ = os.RemoveAll(temp) }()
			folder = filepath.Join(temp, "run")
		}
		if out, err = w.run(ctx, c, folder, measures); err != nil {
			return out, nil, err
		}
	}
	if out.Result == nil {
		folder = ""
	}
	out.Worker, out.Took = w.name, time.Since(began)
	packed, err = pack(out, folder)
	return out, packed, err
}

// ready returns an error if this process cannot run the cell. Between two cells one study may have ended, and
// another begun: then the worker is to look whose study it is.
func (w *worker) ready(ctx context.Context, c cell, measures bool) error {
	switch {
	case c.Engine != realEngine:
		return nil
	case measures:
		if w.admitted(ctx) != nil {
			return errOtherStudy
		}
		return nil
	}
	if is, err := w.measures(ctx); err != nil || is {
		return errOtherStudy
	}
	return fmt.Errorf("%w: it is of the real engine, and its study is in virtual time", errCell)
}

// run runs a cell in this process. An error that is a property of the cell is an outcome. err is for a cell
// that does not end, and for what this host cannot do.
func (w *worker) run(ctx context.Context, c cell, folder string, measures bool) (outcome, error) {
	s, err := c.check()
	if err == nil {
		err = w.ready(ctx, c, measures)
	}
	if errors.Is(err, errOtherStudy) {
		return outcome{}, err
	}
	if err != nil {
		w.say("refused: %v", err)
		return failed(err), nil
	}
	type end struct {
		out outcome
		err error
	}
	ended := make(chan end, 1)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		out, err := c.do(ctx, s, folder)
		switch {
		case err == nil:
			ended <- end{out: out}
		case ofCell(err):
			ended <- end{out: failed(err)}
		default:
			ended <- end{err: err}
		}
	}()
	select {
	case e := <-ended:
		return e.out, e.err
	case <-time.After(w.limit):
		return outcome{}, fmt.Errorf("%w of %v", errLimit, w.limit)
	}
}

// do does what the cell asks for, which check has passed.
func (c *cell) do(ctx context.Context, s scenario.Scenario, folder string) (out outcome, err error) {
	if c.Task != "" {
		out.Output, err = study.DoTask(ctx, c.Task, c.Input)
		return out, err
	}
	runner, err := bench.RunnerOf(c.Engine)
	if err != nil {
		return out, fmt.Errorf("%w: %w", errCell, err)
	}
	out.Result, err = runner.Run(ctx, s, bench.Options{Seed: c.Seed, MaxQueue: c.MaxQueue, Idle: c.Idle, Wait: c.Wait, Runbook: c.Runbook, Folder: folder})
	if err == nil {
		out.Result.Folder = "" // of this host
	}
	return out, err
}

// keep stores an outcome, and reports whether it did. It tries until the server is back, the queue is gone or ctx
// is done.
func (w *worker) keep(ctx context.Context, outcomes jetstream.ObjectStore, key string, packed []byte, isError bool) bool {
	meta := jetstream.ObjectMeta{Name: key}
	if isError {
		meta.Headers = nats.Header{errorHeader: []string{"1"}}
	}
	for {
		_, err := outcomes.Put(ctx, meta, bytes.NewReader(packed))
		if err == nil {
			return true
		}
		if _, gone := w.js.Stream(ctx, cellStream); errors.Is(gone, jetstream.ErrStreamNotFound) {
			return false // the study has ended without it
		}
		w.say("cell %s cannot be stored yet: %v", key, err)
		if !pause(ctx, time.Second) {
			return false
		}
	}
}

// finish takes the cell out of the queue. If that is not answered the cell is delivered again, and its
// outcome is there.
func (w *worker) finish(ctx context.Context, msg jetstream.Msg) error {
	one, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	_ = msg.DoubleAck(one)
	return nil
}

// longestRest is how long a worker rests at most, whose host runs no cell.
const longestRest = 8 * again

// fail gives a cell to another worker, since this host cannot run it. That counts as a death: a cell that no
// host can run is set aside. The worker rests after it, longer each time, so that a host without space does
// not get every cell set aside.
func (w *worker) fail(ctx context.Context, h handed, err error) error {
	w.rest = min(again<<min(w.fails, 8), longestRest)
	w.fails++
	w.tell(news{Kind: newsFailed})
	w.say("cell %s cannot be run on this host, and goes to another worker: %v; the next cell in %v", h.key, err, w.rest)
	one, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if kv, err2 := w.js.KeyValue(one, studyBucket); err2 == nil {
		_, _ = kv.PutString(one, failedKey(h.place), w.name+": "+err.Error()) // shown only
	}
	_ = h.msg.Nak() // else it goes by itself
	return nil
}

// why says what happened to the workers that held a message.
func (w *worker) why(ctx context.Context, place uint64, died int) string {
	text := fmt.Sprintf("the %d workers that held it died, hung, lost their network or could not run it", died)
	if kv, err := w.js.KeyValue(ctx, studyBucket); err == nil {
		if e, err := kv.Get(ctx, failedKey(place)); err == nil {
			text += "; the last error was of " + string(e.Value())
		}
	}
	return text
}

// failedKey is where the last error that a message met on a host is kept, by its place in the stream.
func failedKey(place uint64) string { return "failed." + strconv.FormatUint(place, 10) }

// giveBack gives a cell to another worker at once, as this one was asked to stop or is not ready. That is no death.
func (w *worker) giveBack(h handed) {
	w.tell(news{Kind: newsBack})
	late, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if kv, err := w.js.KeyValue(late, studyBucket); err == nil {
		_, _ = kv.PutString(late, releasedKey(h.place), strconv.Itoa(w.released(late, h.place)+1))
	}
	_ = h.msg.Nak() // else it goes by itself
	_ = w.nc.FlushWithContext(late)
}

// released is how often a message was given back by a worker that was asked to stop.
func (w *worker) released(ctx context.Context, place uint64) int {
	kv, err := w.js.KeyValue(ctx, studyBucket)
	if err != nil {
		return 0
	}
	e, err := kv.Get(ctx, releasedKey(place))
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(string(e.Value()))
	return n
}

// releasedKey is where it is kept for a message, by its place in the stream.
func releasedKey(place uint64) string { return "released." + strconv.FormatUint(place, 10) }
