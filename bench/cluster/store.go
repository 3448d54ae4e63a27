package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// What there is on the server. One coordinator at a time uses it.
const (
	cellStream    = "leasestorm-cells"   // the work queue: a cell leaves it when its outcome is stored
	outcomeBucket = "leasestorm-results" // an outcome for each cell, by its key
	studyBucket   = "leasestorm-study"   // whose cells these are, and how far they are
	lockBucket    = "leasestorm-lock"    // the coordinator; what is not renewed goes
	workerBucket  = "leasestorm-workers" // the workers; what is not renewed goes
)

// lockTTL is how long a coordinator that is gone keeps others out.
const lockTTL = 6 * time.Second

// presenceTTL is how long a worker that is gone is shown.
const presenceTTL = 10 * time.Second

// most is how often a cell is given to a worker. A cell whose workers have all died is set aside.
const most = 3

// subject is where the cells of a program of a version are asked for. Each version has a consumer of its own.
func subject(build, key string) string { return "leasestorm.cells." + build + "." + key }

// consumerName is that of the workers of a version.
func consumerName(build string) string { return "workers-" + build }

// store is what the coordinator keeps on the server.
type store struct {
	js       jetstream.JetStream
	stream   jetstream.Stream
	outcomes jetstream.ObjectStore
	study    jetstream.KeyValue
	workers  jetstream.KeyValue
}

// lay makes what is missing on the server. id names the study. What another study has left there goes with
// clear; without, it is an error.
// giveBack is how long a worker may show no sign of life before its cell goes to another.
func lay(ctx context.Context, js jetstream.JetStream, id string, giveBack time.Duration, clear bool) (*store, error) {
	s := &store{js: js}
	var err error
	if s.study, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: studyBucket}); err != nil {
		return nil, err
	}
	was, err := s.study.Get(ctx, "id")
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return nil, err
	}
	if err == nil && string(was.Value()) != id {
		if !clear {
			return nil, fmt.Errorf("%w: %s; go on with it by --resume, use another server, or remove its cells by --cluster-clear", errOther, s.whose(ctx))
		}
		if err := s.clear(ctx); err != nil {
			return nil, err
		}
		if s.study, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: studyBucket}); err != nil {
			return nil, err
		}
	}
	if _, err := s.study.PutString(ctx, "id", id); err != nil {
		return nil, err
	}
	if s.workers, err = js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: workerBucket, TTL: presenceTTL, Storage: jetstream.MemoryStorage}); err != nil {
		return nil, err
	}
	if s.outcomes, err = js.CreateOrUpdateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: outcomeBucket}); err != nil {
		return nil, err
	}
	if s.stream, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: cellStream, Subjects: []string{subject("*", "*")}, Retention: jetstream.WorkQueuePolicy,
		// A cell that is in the queue is not put there twice, however long ago that was.
		MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
	}); err != nil {
		return nil, err
	}
	build := buildID()
	_, err = s.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{
		Durable: consumerName(build), FilterSubject: subject(build, "*"), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: giveBack, MaxDeliver: -1, MaxAckPending: 100_000,
	})
	return s, err
}

// errOther is returned, wrapped, for a server that has the cells of another study.
var errOther = errors.New("this NATS server has the finished cells of an interrupted study")

// whose says whose cells there are.
func (s *store) whose(ctx context.Context) string {
	var p progress
	if e, err := s.study.Get(ctx, "progress"); err != nil || json.Unmarshal(e.Value(), &p) != nil {
		return "it names no folder"
	}
	if p.Folder == "" {
		return "a study of " + p.Host + " that kept no folder"
	}
	return fmt.Sprintf("%s on %s, with %d cells", p.Folder, p.Host, p.Done)
}

// clear removes what a study has on the server, but for the lock and the workers.
func (s *store) clear(ctx context.Context) error {
	var all []error
	for _, err := range []error{s.js.DeleteStream(ctx, cellStream), s.js.DeleteObjectStore(ctx, outcomeBucket), s.js.DeleteKeyValue(ctx, studyBucket)} {
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, jetstream.ErrBucketNotFound) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// holder is who holds the lock.
type holder struct {
	Host string `json:"host"`
	PID  int    `json:"pid"`
	Dir  string `json:"folder"`
	Once string `json:"session"` // drawn, so that no two are the same
}

// errSecond is returned, wrapped, by a coordinator that is not alone.
var errSecond = errors.New("another coordinator uses this NATS server")

// take takes the lock. If it is held, take waits for a sign of the holder's life, or for the lock of
// one that died to go. own says that nobody else can hold it.
func take(ctx context.Context, js jetstream.JetStream, own bool, me holder) (*held, error) {
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: lockBucket, TTL: lockTTL})
	if err != nil {
		return nil, err
	}
	if own {
		if err := kv.Purge(ctx, "coordinator"); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(me)
	if err != nil {
		return nil, err
	}
	seen := uint64(0)
	for {
		rev, err := kv.Create(ctx, "coordinator", text)
		if err == nil {
			return &held{kv: kv, text: text, rev: rev}, nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return nil, err
		}
		now, err := kv.Get(ctx, "coordinator")
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if seen != 0 && now.Revision() != seen {
			var h holder
			_ = json.Unmarshal(now.Value(), &h) // shown only
			return nil, fmt.Errorf("%w: process %d on %s, for %s; wait until it ends, or use another server", errSecond, h.PID, h.Host, h.Dir)
		}
		seen = now.Revision()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockTTL / 12):
		}
	}
}

// held is a lock that is held.
type held struct {
	kv   jetstream.KeyValue
	text []byte
	rev  uint64
}

// keep renews the lock until ctx is done. It returns an error as soon as the lock may be another's.
func (h *held) keep(ctx context.Context) error {
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lockTTL / 6):
		}
		began := time.Now()
		one, cancel := context.WithTimeout(ctx, lockTTL/3)
		rev, err := h.kv.Update(one, "coordinator", h.text, h.rev)
		if errors.Is(err, jetstream.ErrKeyRevisionMismatch) || errors.Is(err, jetstream.ErrKeyExists) {
			if rev, err = h.again(one); errors.Is(err, errSecond) {
				cancel()
				return fmt.Errorf("%w; the lock was not renewed for %v", err, time.Since(renewed).Round(time.Second))
			}
		}
		cancel()
		if err == nil {
			h.rev, renewed = rev, began
		}
		// Else the server is away, and gives the lock to nobody until it is back. Then the revision decides.
	}
}

// again is for a lock whose revision is another: our own last renewal was not answered, or the lock went
// while the server was away and is to be had, or it is another's.
func (h *held) again(ctx context.Context) (rev uint64, err error) {
	now, err := h.kv.Get(ctx, "coordinator")
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return h.kv.Create(ctx, "coordinator", h.text)
	case err != nil:
		return 0, err
	case !bytes.Equal(now.Value(), h.text):
		return 0, errSecond
	}
	return now.Revision(), nil
}

// release gives the lock up.
func (h *held) release(ctx context.Context) error {
	return h.kv.Delete(ctx, "coordinator", jetstream.LastRevision(h.rev))
}

// keyOfSubject is the key of the cell that a subject asks for.
func keyOfSubject(subject string) string { return subject[strings.LastIndexByte(subject, '.')+1:] }
