// Package etcd is the protocol of etcd:// and etcds://: droplets that hold leases of etcd. Importing it
// registers it.
//
// The URL is etcd://HOST:PORT?ttl=30s. To establish is LeaseGrant, to check is LeaseKeepAlive, to launch is
// a transaction that puts the key PREFIX/DROPLET under the lease; ?prefix=, which is leasestorm if not
// given. The leases of a run are left to lapse.
package etcd

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/target/internal/wire"
	"github.com/leasestorm/leasestorm/queue"
)

func init() {
	open := func(s client.Settings) (client.Protocol, error) { return Open(s) }
	client.Register("etcd", open)
	client.Register("etcds", open)
}

// openTime is how long the server may take to grant the lease that shows what it makes of the TTL.
const openTime = 10 * time.Second

// noLease is what a droplet without a lease names: etcd answers that there is none.
const noLease = -1

// Protocol holds the droplets' leases.
type Protocol struct {
	*wire.Target
	ttl    int64 // s
	prefix string
	value  client.Template // of a launch

	mu     sync.Mutex
	leases map[uint32]int64 // by droplet
}

// Open opens the protocol. Its errors wrap client.ErrSettings: a TTL that the server does not grant is one.
func Open(s client.Settings) (*Protocol, error) {
	t, err := wire.Read(s, "ttl", "prefix")
	if err != nil {
		return nil, err
	}
	p := &Protocol{Target: t, prefix: "leasestorm", leases: map[uint32]int64{}}
	ttl, err := time.ParseDuration(t.Query.Get("ttl"))
	if p.ttl = int64(ttl / time.Second); err != nil || ttl <= 0 || ttl%time.Second != 0 {
		return nil, client.Bad("url", "?ttl=%s: want the scenario's ttl in whole seconds, as in %s://%s?ttl=30s", t.Query.Get("ttl"), t.URL.Scheme, t.URL.Host)
	}
	if t.Query.Has("prefix") {
		p.prefix = t.Query.Get("prefix")
	}
	if path := strings.TrimSuffix(t.URL.Path, "/"); path != "" {
		return nil, client.Bad("url", "%s: etcd has no paths", path)
	}
	from := client.Default()
	for class := range queue.Classes {
		r, key := s.Of(class), "class."+class.String()
		switch {
		case r.Path != from.Request.Path:
			return nil, client.Bad(key+".path", "%s: etcd has no paths", r.Path)
		case r.Body != "" && class != queue.Launch:
			return nil, client.Bad(key+".body", "only class.launch.body has a place: it is the value of the key that a launch puts")
		case t.Varies(class):
			return nil, client.Bad(key+".headers", "a header is the same for all of a connection's calls: a keep-alive stream carries many")
		}
	}
	if p.value, err = client.ParseTemplate("class.launch.body", s.Of(queue.Launch).Body); err != nil {
		return nil, err
	}
	return p, p.granted()
}

// granted lets the server grant a lease, and is an error if it changes its TTL.
func (p *Protocol) granted() error {
	ctx, cancel := context.WithTimeout(context.Background(), openTime)
	defer cancel()
	c, err := p.Target.Connect(ctx, 1<<20)
	if err != nil {
		return client.Bad("url", "%v", err)
	}
	defer c.Close()
	began := time.Now()
	a := client.Attempt{Class: queue.Establish, Timeout: queue.ToMicros(openTime)}
	call, end := p.Begin(began.Add(openTime), func() time.Duration { return time.Since(began) }, &a)
	defer end()
	leases := pb.NewLeaseClient(c)
	got, err := leases.LeaseGrant(call, &pb.LeaseGrantRequest{TTL: p.ttl})
	if err != nil {
		return client.Bad("url", "it grants no lease: %v", err)
	}
	_, _ = leases.LeaseRevoke(call, &pb.LeaseRevokeRequest{ID: got.GetID()}) // or it lapses
	if got.GetTTL() != p.ttl {
		return client.Bad("url", "?ttl=%ds: the server makes it %d s, since its election timeout allows no less: take ttl=%[2]ds here and in the scenario", p.ttl, got.GetTTL())
	}
	return nil
}

// lease is a droplet's lease.
func (p *Protocol) lease(droplet uint32) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if id, ok := p.leases[droplet]; ok {
		return id
	}
	return noLease
}

// hold gives a droplet a lease.
func (p *Protocol) hold(droplet uint32, id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leases[droplet] = id
}

// lost takes a lease that is not found from a droplet, unless it has a newer one.
func (p *Protocol) lost(droplet uint32, id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.leases[droplet] == id {
		delete(p.leases, droplet)
	}
}

// Connect implements client.Protocol.
func (p *Protocol) Connect(ctx context.Context) (client.Conn, error) {
	c, err := p.Target.Connect(ctx, p.Answers.Most)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, p: p, leases: pb.NewLeaseClient(c), kv: pb.NewKVClient(c)}, nil
}

// conn is one connection.
type conn struct {
	*wire.Conn
	p      *Protocol
	leases pb.LeaseClient
	kv     pb.KVClient

	mu   sync.Mutex
	idle []*keepAlive
}

// Call implements client.Conn.
func (c *conn) Call(deadline time.Time, now func() time.Duration, r *client.Reply) bool {
	if r.Class == queue.Check {
		return c.check(deadline, now, r)
	}
	call, cancel := c.Begin(deadline, now, &r.Attempt)
	defer cancel()
	options := []grpc.CallOption{grpc.Header(&call.Header), grpc.Trailer(&call.Trailer)}
	if r.Class == queue.Launch {
		return c.launch(call, options, deadline, r)
	}
	got, err := c.leases.LeaseGrant(call, &pb.LeaseGrantRequest{TTL: c.p.ttl}, options...)
	usable := c.End(call, err, r)
	if err == nil {
		c.p.hold(r.Droplet, got.GetID())
	}
	return usable
}

// launch puts a key under the droplet's lease.
func (c *conn) launch(call *wire.Call, options []grpc.CallOption, deadline time.Time, r *client.Reply) bool {
	id := c.p.lease(r.Droplet)
	put := &pb.PutRequest{Key: strconv.AppendUint([]byte(c.p.prefix+"/"), uint64(r.Droplet), 10), Value: c.p.value.Append(nil, &r.Attempt, deadline), Lease: id}
	_, err := c.kv.Txn(call, &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{RequestPut: put}}}}, options...)
	usable := c.End(call, err, r)
	if r.Status == int(codes.NotFound) {
		c.p.lost(r.Droplet, id)
	}
	return usable
}

// keepAlive is a stream of keep-alives with one of them at a time.
type keepAlive struct {
	pb.Lease_LeaseKeepAliveClient
	call *wire.Call
	end  context.CancelCauseFunc
}

// take returns a stream that nobody uses; nil: there is none.
func (c *conn) take() *keepAlive {
	c.mu.Lock()
	defer c.mu.Unlock()
	last := len(c.idle) - 1
	if last < 0 {
		return nil
	}
	k := c.idle[last]
	c.idle = c.idle[:last]
	return k
}

func (c *conn) put(k *keepAlive) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = append(c.idle, k)
}

// check renews the droplet's lease. A stream that a timeout has ended is not used again.
func (c *conn) check(deadline time.Time, now func() time.Duration, r *client.Reply) bool {
	k, err := c.take(), error(nil)
	fresh := k == nil
	if fresh {
		k = &keepAlive{}
		k.call, k.end = c.BeginStream(now, &r.Attempt)
	}
	late := time.AfterFunc(time.Until(deadline), func() { k.end(context.DeadlineExceeded) })
	defer late.Stop()
	if fresh {
		if k.Lease_LeaseKeepAliveClient, err = c.leases.LeaseKeepAlive(k.call); err != nil {
			k.end(nil)
			return c.End(k.call, err, r)
		}
	}
	id := c.p.lease(r.Droplet)
	var got *pb.LeaseKeepAliveResponse
	r.Sent = now()
	if err = k.Send(&pb.LeaseKeepAliveRequest{ID: id}); err == nil || errors.Is(err, io.EOF) { // then Recv says why
		got, err = k.Recv()
	}
	if err == nil && got.GetID() != id {
		k.end(nil)
		r.Kind, r.Outcome = client.Nonsense, queue.Failed
		return c.Usable()
	}
	if err != nil {
		k.call.Header, _ = k.Header()
		k.call.Trailer = k.Trailer()
		usable := c.End(k.call, err, r)
		k.end(nil)
		return usable
	}
	if late.Stop() {
		c.put(k)
	}
	code := codes.OK
	if got.GetTTL() <= 0 {
		code = codes.NotFound
		c.p.lost(r.Droplet, id)
	}
	c.Answered(r, int(code), func(string) string { return "" })
	return c.Usable()
}
