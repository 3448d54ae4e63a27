package table

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

func init() {
	lease.Catalog.Register(catalog.Entry[lease.New]{
		Name:      grpcName,
		Doc:       "the lockfree table in a process of its own, behind gRPC on loopback: what the boundary costs",
		Source:    "gRPC over HTTP/2, unary calls",
		HostClock: true,
		Params:    []catalog.Param{timeoutParam},
		New:       newGRPC,
	})
}

const (
	service = "leasestorm.Table"
	// mostBytes is the size of a message: the names of 10^7 leases.
	mostBytes = 1 << 27
)

// The calls of the service, each of them a message there and one back. A message is 64-bit words in little
// endian: the arguments of lease.Table's method in their order, and its results with the status first.
var methods = []struct {
	name  string
	serve func(t lease.Table, args []uint64) (int, []uint64)
}{
	{"Grant", func(t lease.Table, a []uint64) (int, []uint64) {
		id, err := t.Grant(time.Duration(a[0]), time.Duration(a[1]), int(a[2]))
		return code(err), []uint64{uint64(id)}
	}},
	{"RenewAll", func(t lease.Table, a []uint64) (int, []uint64) {
		ids, renewed := idsOf(a[2:]), make([]bool, len(a)-2)
		_, err := t.RenewAll(ids, time.Duration(a[0]), time.Duration(a[1]), renewed)
		answer := make([]uint64, len(ids))
		for i, ok := range renewed {
			if ok {
				answer[i] = 1
			}
		}
		return code(err), answer
	}},
	{"Verify", func(t lease.Table, a []uint64) (int, []uint64) {
		return code(t.Verify(lease.ID(a[0]), time.Duration(a[1]))), nil
	}},
	{"Revoke", func(t lease.Table, a []uint64) (int, []uint64) { return code(t.Revoke(lease.ID(a[0]))), nil }},
	{"Regrant", func(t lease.Table, a []uint64) (int, []uint64) {
		id, err := t.Regrant(lease.ID(a[0]), time.Duration(a[1]), time.Duration(a[2]))
		return code(err), []uint64{uint64(id)}
	}},
	{"Expire", func(t lease.Table, a []uint64) (int, []uint64) {
		var ids []uint64
		t.Expire(time.Duration(a[0]), func(id lease.ID) { ids = append(ids, uint64(id)) })
		return 0, ids
	}},
	{"Live", func(t lease.Table, _ []uint64) (int, []uint64) { return 0, []uint64{uint64(t.Live())} }},
}

// errs are the errors of a table, by their code.
var errs = []error{nil, lease.ErrStale, lease.ErrFull, lease.ErrDeadline}

func code(err error) int {
	for c, e := range errs {
		if errors.Is(err, e) {
			return c
		}
	}
	panic(err) // a table in this process has no others
}

func idsOf(words []uint64) []lease.ID {
	ids := make([]lease.ID, len(words))
	for i, w := range words {
		ids[i] = lease.ID(w)
	}
	return ids
}

// words is the codec of the messages.
type words struct{}

// Name implements encoding.Codec.
func (words) Name() string { return "words" }

// Marshal implements encoding.Codec.
func (words) Marshal(v any) ([]byte, error) {
	w := *v.(*[]uint64)
	b := make([]byte, 0, 8*len(w))
	for _, x := range w {
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b, nil
}

// Unmarshal implements encoding.Codec.
func (words) Unmarshal(b []byte, v any) error {
	if len(b)%8 != 0 {
		return fmt.Errorf("a message of %d bytes: want a multiple of 8", len(b))
	}
	w := make([]uint64, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		w = append(w, binary.LittleEndian.Uint64(b))
	}
	*v.(*[]uint64) = w
	return nil
}

// startServer serves a lockfree table on loopback.
func startServer(o order) (address string, stop func(), err error) {
	t, err := lease.Make("lockfree", o.Env)
	if err != nil {
		return "", nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	d := grpc.ServiceDesc{ServiceName: service, HandlerType: (*any)(nil)}
	for _, m := range methods {
		d.Methods = append(d.Methods, grpc.MethodDesc{MethodName: m.name, Handler: func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var args []uint64
			if err := read(&args); err != nil {
				return nil, err
			}
			status, results := m.serve(t, args)
			answer := append([]uint64{uint64(status)}, results...)
			return &answer, nil
		}})
	}
	s := grpc.NewServer(grpc.ForceServerCodec(words{}), grpc.MaxRecvMsgSize(mostBytes), grpc.MaxSendMsgSize(mostBytes))
	s.RegisterService(&d, t)
	go func() { _ = s.Serve(l) }() // until stop
	return l.Addr().String(), s.Stop, nil
}

// grpcTable is the client's side.
type grpcTable struct {
	env     lease.Env
	timeout time.Duration

	connect sync.Once // at the first call, since many tables are made only to be looked at
	down    error
	child   *child
	conn    *grpc.ClientConn
}

func newGRPC(env lease.Env, v catalog.Values) (lease.Table, error) {
	return &grpcTable{env: env, timeout: v.Duration("timeout")}, nil
}

func (t *grpcTable) dial() (err error) {
	if t.child, err = start(order{Kind: grpcName, Env: t.env}); err != nil {
		return err
	}
	t.conn, err = grpc.NewClient("passthrough:///"+t.child.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(words{}), grpc.MaxCallRecvMsgSize(mostBytes), grpc.MaxCallSendMsgSize(mostBytes)))
	return err
}

// Close implements lease.Remote.
func (t *grpcTable) Close() error {
	t.connect.Do(func() { t.down = errors.New("the table is closed") })
	var err error
	if t.conn != nil {
		err = t.conn.Close()
	}
	if t.child != nil {
		err = errors.Join(err, t.child.stop())
	}
	return err
}

// call makes a call and returns its results, of which there are n at least if there is no error.
func (t *grpcTable) call(method string, n int, args ...uint64) ([]uint64, error) {
	t.connect.Do(func() { t.down = t.dial() })
	if t.down != nil {
		return nil, failed("grpc", t.down)
	}
	ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
	defer cancel()
	var answer []uint64
	err := t.conn.Invoke(ctx, "/"+service+"/"+method, &args, &answer)
	switch {
	case err != nil:
	case len(answer) == 0 || answer[0] >= uint64(len(errs)):
		err = errors.New("an answer without a status")
	case answer[0] > 0:
		return nil, errs[answer[0]]
	case len(answer) <= n:
		err = fmt.Errorf("an answer of %d words, want %d", len(answer), n+1)
	default:
		return answer[1:], nil
	}
	return nil, failed(method, err)
}

func (t *grpcTable) named(method string, args ...uint64) (lease.ID, error) {
	got, err := t.call(method, 1, args...)
	if err != nil {
		return 0, err
	}
	return lease.ID(got[0]), nil
}

// Grant implements lease.Table.
func (t *grpcTable) Grant(now, deadline time.Duration, worker int) (lease.ID, error) {
	return t.named("Grant", uint64(now), uint64(deadline), uint64(worker))
}

// Regrant implements lease.Table.
func (t *grpcTable) Regrant(id lease.ID, now, deadline time.Duration) (lease.ID, error) {
	return t.named("Regrant", uint64(id), uint64(now), uint64(deadline))
}

// Renew implements lease.Table.
func (t *grpcTable) Renew(id lease.ID, now, deadline time.Duration) error {
	got, err := t.call("RenewAll", 1, uint64(now), uint64(deadline), uint64(id))
	if err == nil && got[0] == 0 {
		err = lease.ErrStale
	}
	return err
}

// RenewAll implements lease.Table.
func (t *grpcTable) RenewAll(ids []lease.ID, now, deadline time.Duration, renewed []bool) (n int, err error) {
	args := make([]uint64, 2, 2+len(ids))
	args[0], args[1] = uint64(now), uint64(deadline)
	for _, id := range ids {
		args = append(args, uint64(id))
	}
	got, err := t.call("RenewAll", len(ids), args...)
	if err != nil {
		return 0, err
	}
	for i := range ids {
		n += int(got[i])
		if renewed != nil {
			renewed[i] = got[i] == 1
		}
	}
	return n, nil
}

// Verify implements lease.Table.
func (t *grpcTable) Verify(id lease.ID, now time.Duration) error {
	_, err := t.call("Verify", 0, uint64(id), uint64(now))
	return err
}

// Revoke implements lease.Table.
func (t *grpcTable) Revoke(id lease.ID) error {
	_, err := t.call("Revoke", 0, uint64(id))
	return err
}

// Prefetch implements lease.Table. It does nothing.
func (t *grpcTable) Prefetch([]lease.ID) {}

// Expire implements lease.Table.
func (t *grpcTable) Expire(now time.Duration, lapsed func(lease.ID)) int {
	ids, err := t.call("Expire", 0, uint64(now))
	if err != nil {
		return 0
	}
	for _, id := range ids {
		lapsed(lease.ID(id))
	}
	return len(ids)
}

// Live implements lease.Table. It is 0 if the other process does not answer.
func (t *grpcTable) Live() int {
	got, err := t.call("Live", 1)
	if err != nil {
		return 0
	}
	return int(got[0])
}

// Bytes implements lease.Table. It is what the table takes in the other process.
func (t *grpcTable) Bytes() int64 {
	inner, err := lease.Make("lockfree", t.env)
	if err != nil {
		return 0
	}
	return inner.Bytes()
}
