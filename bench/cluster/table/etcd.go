// Package table has lease tables that another process keeps: "etcd", whose leases are etcd's, and "grpc",
// which is the lockfree table behind gRPC. Importing it registers them. A program with these tables has
// [Command] among its verbs.
package table

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"
	"unsafe"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

const (
	etcdName = "etcd"
	grpcName = "grpc"
)

var timeoutParam = catalog.Param{Name: "timeout", Unit: catalog.Seconds, Default: 1, Min: .01, Max: 60, Doc: "of a call; an attempt whose call takes longer fails"}

func init() {
	lease.Catalog.Register(catalog.Entry[lease.New]{
		Name:      etcdName,
		Doc:       "leases of etcd, up to 10^4 of whole seconds: an embedded member, or the one that --etcd names",
		Source:    "etcd 3.7, server/lease/lessor.go; client/v3",
		HostClock: true,
		Params: []catalog.Param{timeoutParam,
			{Name: "fsync", Unit: "1", Default: 1, Max: 1, Doc: "1: the embedded member waits for the disk, as etcd does; 0: it does not"}},
		New: newEtcd,
	})
}

// Endpoint is the URL of the etcd that the table "etcd" uses; "": it starts a member for itself.
var Endpoint string

const (
	// slotBits is the size of a slot in the ID that a lease has in etcd:
	//
	//	bit  63      0, since etcd's IDs are positive
	//	bits 62..46  the table, at random: several may share a server
	//	bits 45..32  slot
	//	bits 31..0   epoch
	slotBits  = 14
	mostSlots = 1 << slotBits
	// leastTTL is etcd's: one and a half of its election timeout, rounded up to seconds.
	leastTTL = 2 * time.Second
	// sweepEvery is the time between two looks for leases that etcd has revoked. etcd revokes that often.
	sweepEvery = 500 * time.Millisecond
	// keepAlives is how many keep-alives are on a stream before their answers are read. Both sides would wait
	// for one another if they filled the stream's window, which is 64 KiB.
	keepAlives = 512
)

// etcdTable keeps its leases in etcd. Whether a lease is live is etcd's to say, by its own clock: now plays
// no part but in the TTL of a grant. The table knows only which lease a slot has.
type etcdTable struct {
	ttl     time.Duration // least that is asked for
	timeout time.Duration
	fsync   bool
	base    int64 // the table's part of etcd's IDs

	connect sync.Once // at the first grant, since many tables are made only to be looked at
	down    error     // of connect
	child   *child
	client  *clientv3.Client
	leases  pb.LeaseClient

	mu      sync.Mutex
	slots   []etcdSlot
	free    []uint32
	streams []*stream // idle
	sweepAt time.Time
}

type etcdSlot struct {
	epoch uint32 // of its lease
	asked uint32 // the latest epoch that etcd was asked for: it may have granted it without saying so
	held  bool   // there is a lease of this epoch
	busy  bool   // and a call is about to end it
	ttl   time.Duration
	until time.Time // it does not lapse before
}

func newEtcd(env lease.Env, v catalog.Values) (lease.Table, error) {
	if env.Leases > mostSlots {
		return nil, fmt.Errorf("table etcd: %d leases: it takes 10000, since etcd revokes no more than 1000 a second: set leases = 10000", env.Leases)
	}
	if env.TTL > 0 && (env.TTL < leastTTL || env.TTL%time.Second != 0) {
		return nil, fmt.Errorf("table etcd: a lease time of %v: etcd has whole seconds of at least %v: set ttl = %v", env.TTL, leastTTL, max(leastTTL, wholeSeconds(env.TTL)))
	}
	t := &etcdTable{
		ttl: max(env.TTL, leastTTL), timeout: v.Duration("timeout"), fsync: v.Int("fsync") == 1,
		base: (1 + rand.Int64N(1<<(31-slotBits)-1)) << (32 + slotBits), slots: make([]etcdSlot, env.Leases),
	}
	for i := env.Leases - 1; i >= 0; i-- {
		t.free = append(t.free, uint32(i))
	}
	return t, nil
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

func failed(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", lease.ErrFailed, what, err)
}

// open connects to etcd, once.
func (t *etcdTable) open() error {
	t.connect.Do(func() {
		if t.down = t.dial(); t.down != nil {
			t.down = failed("etcd", t.down)
		}
	})
	return t.down
}

func (t *etcdTable) dial() error {
	endpoint := Endpoint
	if endpoint == "" {
		dir, err := os.MkdirTemp("", "leasestorm-etcd-")
		if err != nil {
			return err
		}
		if t.child, err = start(order{Kind: etcdName, Dir: dir, Fsync: t.fsync}); err != nil {
			return errors.Join(err, os.RemoveAll(dir))
		}
		t.child.dir, endpoint = dir, "http://"+t.child.address
	}
	var err error
	if t.client, err = clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, DialTimeout: startTime, Logger: zap.NewNop()}); err != nil {
		return err
	}
	t.leases = pb.NewLeaseClient(t.client.ActiveConnection())
	return nil
}

// Close implements lease.Remote. Leases of an etcd that goes on are left to lapse.
func (t *etcdTable) Close() error {
	t.connect.Do(func() { t.down = failed("etcd", errors.New("the table is closed")) })
	for _, s := range t.streams {
		s.end()
	}
	var err error
	if t.client != nil {
		err = t.client.Close()
	}
	if t.child != nil {
		err = errors.Join(err, t.child.stop())
	}
	return err
}

// call is the context of one call.
func (t *etcdTable) call() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), t.timeout)
}

func (t *etcdTable) name(slot, epoch uint32) int64 {
	return t.base | int64(slot)<<32 | int64(epoch)
}

func lifetime(now, deadline time.Duration) (time.Duration, error) {
	if deadline <= max(now, 0) || deadline > lease.MaxDeadline {
		return 0, lease.ErrDeadline
	}
	return deadline - min(max(now, 0), lease.MaxDeadline), nil
}

// grant asks etcd for a lease of at least so long. It returns the TTL that etcd gave it.
func (t *etcdTable) grant(slot, epoch uint32, life time.Duration) (time.Duration, error) {
	ctx, cancel := t.call()
	defer cancel()
	ask := max(wholeSeconds(life), t.ttl)
	got, err := t.leases.LeaseGrant(ctx, &pb.LeaseGrantRequest{ID: t.name(slot, epoch), TTL: int64(ask / time.Second)})
	if err != nil {
		return 0, failed("LeaseGrant", err)
	}
	return time.Duration(got.GetTTL()) * time.Second, nil
}

// revoke asks etcd to end a lease. It is no error if there is none.
func (t *etcdTable) revoke(slot, epoch uint32) error {
	ctx, cancel := t.call()
	defer cancel()
	_, err := t.leases.LeaseRevoke(ctx, &pb.LeaseRevokeRequest{ID: t.name(slot, epoch)})
	if err != nil && !notFound(err) {
		return failed("LeaseRevoke", err)
	}
	return nil
}

func notFound(err error) bool {
	return status.Code(err) == codes.NotFound || errors.Is(err, rpctypes.ErrLeaseNotFound)
}

// Grant implements lease.Table.
func (t *etcdTable) Grant(now, deadline time.Duration, _ int) (lease.ID, error) {
	life, err := lifetime(now, deadline)
	if err != nil {
		return 0, err
	}
	if err := t.open(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	last := len(t.free) - 1
	if last < 0 {
		t.mu.Unlock()
		return 0, lease.ErrFull
	}
	slot := t.free[last]
	t.free = t.free[:last]
	epoch := t.slots[slot].nextEpoch()
	t.mu.Unlock()

	began := time.Now()
	ttl, err := t.grant(slot, epoch, life)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.free = append(t.free, slot)
		return 0, err
	}
	s := &t.slots[slot]
	s.epoch, s.held, s.ttl, s.until = epoch, true, ttl, began.Add(ttl)
	return lease.MakeID(slot, epoch), nil
}

// nextEpoch returns an epoch that etcd was not asked for. It is never 0. The caller holds mu.
func (s *etcdSlot) nextEpoch() uint32 {
	s.asked = max(1, s.asked+1)
	return s.asked
}

// of returns the slot of a lease that has not ended, as far as this table knows; nil: it has. The caller holds mu.
func (t *etcdTable) of(id lease.ID) *etcdSlot {
	if int64(id.Slot()) >= int64(len(t.slots)) {
		return nil
	}
	if s := &t.slots[id.Slot()]; s.held && !s.busy && s.epoch == id.Epoch() {
		return s
	}
	return nil
}

// lives returns the TTL of a lease that has not ended, as far as this table knows; 0: it has.
func (t *etcdTable) lives(id lease.ID) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.of(id); s != nil {
		return s.ttl
	}
	return 0
}

// renewed notes that etcd has renewed a lease, in answer to a call at began.
func (t *etcdTable) renewed(id lease.ID, began time.Time, ttl int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.of(id); s != nil {
		s.until = began.Add(time.Duration(ttl) * time.Second)
	}
}

// Renew implements lease.Table. etcd renews a lease for the TTL of its grant: to renew it for longer is an
// error that wraps lease.ErrFailed.
func (t *etcdTable) Renew(id lease.ID, now, deadline time.Duration) error {
	var ok [1]bool
	n, err := t.RenewAll([]lease.ID{id}, now, deadline, ok[:])
	if err == nil && n == 0 {
		err = lease.ErrStale
	}
	return err
}

// RenewAll implements lease.Table. The keep-alives share a stream. With an error that wraps lease.ErrFailed,
// renewed says of which leases it is known that they were renewed.
func (t *etcdTable) RenewAll(ids []lease.ID, now, deadline time.Duration, renewed []bool) (n int, err error) {
	life, err := lifetime(now, deadline)
	if err != nil {
		return 0, err
	}
	clear(renewed)
	var sent []int // indices
	for i, id := range ids {
		switch ttl := t.lives(id); {
		case ttl == 0:
		case life > ttl:
			return n, failed("LeaseKeepAlive", fmt.Errorf("%v was granted for %v and cannot be renewed for %v: set lease.Env's TTL", id, ttl, life))
		default:
			sent = append(sent, i)
		}
	}
	for len(sent) > 0 && err == nil {
		part := sent[:min(len(sent), keepAlives)]
		sent = sent[len(part):]
		err = t.keepAlive(ids, part, func(i int) {
			n++
			if renewed != nil {
				renewed[i] = true
			}
		})
	}
	return n, err
}

// stream carries keep-alives. One caller at a time uses it.
type stream struct {
	grpc.BidiStreamingClient[pb.LeaseKeepAliveRequest, pb.LeaseKeepAliveResponse]
	end context.CancelFunc
}

func (t *etcdTable) stream() (*stream, error) {
	t.mu.Lock()
	if last := len(t.streams) - 1; last >= 0 {
		s := t.streams[last]
		t.streams = t.streams[:last]
		t.mu.Unlock()
		return s, nil
	}
	t.mu.Unlock()
	ctx, end := context.WithCancel(context.Background())
	c, err := t.leases.LeaseKeepAlive(ctx)
	if err != nil {
		end()
		return nil, err
	}
	return &stream{c, end}, nil
}

// keepAlive sends keep-alives for ids at these indices and calls live for those that etcd has renewed.
func (t *etcdTable) keepAlive(ids []lease.ID, at []int, live func(i int)) (err error) {
	s, err := t.stream()
	if err != nil {
		return failed("LeaseKeepAlive", err)
	}
	late := time.AfterFunc(t.timeout, s.end)
	defer func() {
		if !late.Stop() || err != nil {
			s.end() // answers may still be on their way: it is not used again
			return
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.streams = append(t.streams, s)
	}()
	began := time.Now()
	for _, i := range at {
		if err = s.Send(&pb.LeaseKeepAliveRequest{ID: t.name(ids[i].Slot(), ids[i].Epoch())}); err != nil {
			break // Recv says why
		}
	}
	for _, i := range at {
		got, err := s.Recv()
		if err != nil {
			return failed("LeaseKeepAlive", err)
		}
		if want := t.name(ids[i].Slot(), ids[i].Epoch()); got.GetID() != want {
			return failed("LeaseKeepAlive", fmt.Errorf("an answer about lease %x, want %x", got.GetID(), want))
		}
		if got.GetTTL() > 0 {
			t.renewed(ids[i], began, got.GetTTL())
			live(i)
		}
	}
	if err != nil {
		err = failed("LeaseKeepAlive", err)
	}
	return err
}

// Verify implements lease.Table.
func (t *etcdTable) Verify(id lease.ID, _ time.Duration) error {
	if t.lives(id) == 0 {
		return lease.ErrStale
	}
	ctx, cancel := t.call()
	defer cancel()
	got, err := t.leases.LeaseTimeToLive(ctx, &pb.LeaseTimeToLiveRequest{ID: t.name(id.Slot(), id.Epoch())})
	switch {
	case err != nil && !notFound(err):
		return failed("LeaseTimeToLive", err)
	case err != nil || got.GetTTL() < 0:
		return lease.ErrStale
	}
	return nil
}

// Revoke implements lease.Table.
func (t *etcdTable) Revoke(id lease.ID) error {
	return t.finish(id, func() (free bool, err error) {
		err = t.revoke(id.Slot(), id.Epoch())
		return err == nil, err
	})
}

// finish lets end end a lease that nobody else ends meanwhile. free: its slot is free now.
func (t *etcdTable) finish(id lease.ID, end func() (free bool, err error)) error {
	t.mu.Lock()
	s := t.of(id)
	if s == nil {
		t.mu.Unlock()
		return lease.ErrStale
	}
	s.busy = true
	t.mu.Unlock()

	free, err := end()
	t.mu.Lock()
	defer t.mu.Unlock()
	s.busy = false
	if free {
		s.held = false
		t.free = append(t.free, id.Slot())
	}
	return err
}

// Regrant implements lease.Table. It is two entries of etcd's log. If it fails between them, the lease has
// ended and Expire says so when its time is over.
func (t *etcdTable) Regrant(id lease.ID, now, deadline time.Duration) (lease.ID, error) {
	life, err := lifetime(now, deadline)
	if err != nil {
		return 0, err
	}
	var epoch uint32
	err = t.finish(id, func() (bool, error) {
		if err := t.revoke(id.Slot(), id.Epoch()); err != nil {
			return false, err
		}
		t.mu.Lock()
		epoch = t.slots[id.Slot()].nextEpoch()
		t.mu.Unlock()
		began := time.Now()
		ttl, err := t.grant(id.Slot(), epoch, life)
		if err != nil {
			return false, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		s := &t.slots[id.Slot()]
		s.epoch, s.ttl, s.until = epoch, ttl, began.Add(ttl)
		return false, nil
	})
	if err != nil {
		return 0, err
	}
	return lease.MakeID(id.Slot(), epoch), nil
}

// Prefetch implements lease.Table. It does nothing.
func (t *etcdTable) Prefetch([]lease.ID) {}

// Expire implements lease.Table. A lease is expired when etcd has revoked it. The table asks twice a second
// at most, and only if a lease's time is over.
func (t *etcdTable) Expire(_ time.Duration, lapsed func(lease.ID)) int {
	due := t.due()
	if len(due) == 0 {
		return 0
	}
	ctx, cancel := t.call()
	defer cancel()
	// The list is that of the member that answers. One of several members may lag, but not by a TTL.
	all, err := t.leases.LeaseLeases(ctx, &pb.LeaseLeasesRequest{})
	if err != nil {
		return 0
	}
	there := make(map[int64]bool, len(all.GetLeases()))
	for _, l := range all.GetLeases() {
		there[l.GetID()] = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, id := range due {
		s := t.of(id)
		if s == nil || there[t.name(id.Slot(), id.Epoch())] {
			continue
		}
		lapsed(id)
		s.held = false
		t.free = append(t.free, id.Slot())
		n++
	}
	return n
}

// due lists the leases whose time is over. It lists none if it did so a moment ago.
func (t *etcdTable) due() (ids []lease.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if now.Before(t.sweepAt) {
		return nil
	}
	t.sweepAt = now.Add(sweepEvery)
	for i := range t.slots {
		if s := &t.slots[i]; s.held && !s.busy && now.After(s.until) {
			ids = append(ids, lease.MakeID(uint32(i), s.epoch))
		}
	}
	return ids
}

// Live implements lease.Table.
func (t *etcdTable) Live() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for i := range t.slots {
		if t.slots[i].held {
			n++
		}
	}
	return n
}

// Bytes implements lease.Table. It is the memory of this process.
func (t *etcdTable) Bytes() int64 {
	return int64(unsafe.Sizeof(*t)) + int64(len(t.slots))*int64(unsafe.Sizeof(etcdSlot{})+4)
}
