package etcd

import (
	"cmp"
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"net"
	"slices"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/atomic"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// server starts etcd and returns its address and its own API.
func server(t *testing.T) (address string, leases pb.LeaseClient, kv pb.KVClient) {
	t.Helper()
	cfg := embed.NewConfig()
	cfg.Dir, cfg.LogLevel, cfg.LogOutputs = t.TempDir(), "error", []string{"/dev/null"}
	any, _ := url.Parse("http://127.0.0.1:0")
	cfg.ListenClientUrls, cfg.ListenPeerUrls = []url.URL{*any}, []url.URL{*any}
	cfg.UnsafeNoFsync = true
	e, err := embed.StartEtcd(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	select {
	case <-e.Server.ReadyNotify():
	case <-time.After(30 * time.Second):
		t.Fatal("etcd does not start")
	}
	address = e.Clients[0].Addr().String()
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return address, pb.NewLeaseClient(c), pb.NewKVClient(c)
}

func settingsOf(t *testing.T, url string, set ...string) client.Settings {
	t.Helper()
	s := client.Default()
	s.URL = url
	if err := s.Set(set...); err != nil {
		t.Fatal(err)
	}
	return s
}

// caller makes calls on one connection.
type caller struct {
	t     *testing.T
	conn  client.Conn
	began time.Time
}

func dial(t *testing.T, p *Protocol) *caller {
	t.Helper()
	c, err := p.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &caller{t, c, time.Now()}
}

// call makes a call. usable is wanted.
func (c *caller) call(class queue.Class, droplet uint32, timeout time.Duration, wantUsable bool) client.Reply {
	c.t.Helper()
	now := func() time.Duration { return time.Since(c.began) }
	r := client.Reply{Status: -1, Attempt: client.Attempt{Class: class, Droplet: droplet, Born: now(), Timeout: queue.ToMicros(timeout)}}
	if usable := c.conn.Call(time.Now().Add(timeout), now, &r); usable != wantUsable {
		c.t.Errorf("%s of %d: usable %v: %v, status %d", class, droplet, usable, r.Kind, r.Status)
	}
	return r
}

const long = 20 * time.Second

// Droplets establish, check and launch under leases of etcd's, and establish anew when a lease is lost.
func TestLeases(t *testing.T) {
	address, leases, kv := server(t)
	p, err := Open(settingsOf(t, "etcd://"+address+"?ttl=60s&prefix=x", "class.launch.body=vm {droplet}"))
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, p)
	is := func(what string, r client.Reply, code codes.Code) {
		t.Helper()
		want := queue.Failed
		if code == codes.OK {
			want = queue.Good
		}
		if r.Outcome != want || r.Kind != client.Answered || r.Status != int(code) || r.Sent == 0 {
			t.Errorf("%s: %v, %v, status %d, sent at %v; want %v", what, r.Outcome, r.Kind, r.Status, r.Sent, code)
		}
	}
	is("a check without a lease", c.call(queue.Check, 7, long, true), codes.NotFound)
	is("a launch without a lease", c.call(queue.Launch, 7, long, true), codes.NotFound)
	is("an establish", c.call(queue.Establish, 7, long, true), codes.OK)
	id := p.lease(7)
	is("a check", c.call(queue.Check, 7, long, true), codes.OK)
	is("another droplet's check", c.call(queue.Check, 8, long, true), codes.NotFound)
	is("a launch", c.call(queue.Launch, 7, long, true), codes.OK)
	got, err := kv.Range(t.Context(), &pb.RangeRequest{Key: []byte("x/7")})
	if err != nil || got.GetCount() != 1 || got.GetKvs()[0].GetLease() != id || string(got.GetKvs()[0].GetValue()) != "vm 7" {
		t.Errorf("the key: %v, %v", got, err)
	}
	if n := len(c.conn.(*conn).idle); n != 1 {
		t.Errorf("%d streams for calls that followed each other", n)
	}
	if _, err := leases.LeaseRevoke(t.Context(), &pb.LeaseRevokeRequest{ID: id}); err != nil {
		t.Fatal(err)
	}
	is("a check of a lost lease", c.call(queue.Check, 7, long, true), codes.NotFound)
	if p.lease(7) != noLease {
		t.Error("the lost lease is kept")
	}
	is("an establish anew", c.call(queue.Establish, 7, long, true), codes.OK)
	if now := p.lease(7); now == id || now == noLease {
		t.Errorf("the lease is %d", now)
	}
	is("a check", c.call(queue.Check, 7, long, true), codes.OK)
	ttl, err := leases.LeaseTimeToLive(t.Context(), &pb.LeaseTimeToLiveRequest{ID: p.lease(7)})
	if err != nil || ttl.GetGrantedTTL() != 60 {
		t.Errorf("the TTL: %v, %v", ttl, err)
	}
}

// A fleet's pool asks at once, with many streams of one connection.
func TestPool(t *testing.T) {
	address, leases, _ := server(t)
	s := settingsOf(t, "etcd://"+address+"?ttl=60s")
	p, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	c := client.NewPool(s, p, now)
	defer c.Close()
	const droplets = 50
	for _, class := range []queue.Class{queue.Establish, queue.Check} {
		for i := range uint32(droplets) {
			c.Send(&client.Attempt{Born: now(), Timeout: queue.ToMicros(long), Droplet: i, Class: class})
		}
		var buf [droplets]client.Reply
		for c.Out() > 0 && now() < 2*long {
			for _, r := range buf[:c.Replies(buf[:])] {
				if r.Outcome != queue.Good {
					t.Errorf("%s of %d: %v, %v, status %d", class, r.Droplet, r.Outcome, r.Kind, r.Status)
				}
			}
			time.Sleep(time.Millisecond)
		}
	}
	all, err := leases.LeaseLeases(t.Context(), &pb.LeaseLeasesRequest{})
	if err != nil || len(all.GetLeases()) != droplets || c.Stats().Dials != 1 {
		t.Errorf("%d leases by %d connections, %v", len(all.GetLeases()), c.Stats().Dials, err)
	}
}

// What etcd would change or does not have is refused.
func TestRefused(t *testing.T) {
	address, _, _ := server(t)
	at := "etcd://" + address
	for _, tt := range [][3]string{
		{at, "", "?ttl=30s"},
		{at + "?ttl=1500ms", "", "whole seconds"},
		{at + "?ttl=1s", "", "the server makes it 2 s"},
		{at + "/x?ttl=30s", "", "paths"},
		{at + "?ttl=30s&x=1", "", "?x="},
		{at + "?ttl=30s", "request.path=/x", "paths"},
		{at + "?ttl=30s", "class.check.body=x", "class.launch.body"},
		{at + "?ttl=30s", "request.headers.x={droplet}", "headers"},
		{at + "?ttl=30s", "request.headers.grpc-timeout={left_ms}m", "headers"},
		{at + "?ttl=30s", "class.launch.body={x}", "{x}"},
		{"etcds://" + address + "?ttl=30s", "", "tls"},
		{"etcd://127.0.0.1:1?ttl=30s", "", "connection refused"},
	} {
		s := settingsOf(t, tt[0])
		if tt[1] != "" {
			s = settingsOf(t, tt[0], tt[1])
		}
		if _, err := client.Open(s); !errors.Is(err, client.ErrSettings) || !strings.Contains(err.Error(), tt[2]) {
			t.Errorf("%s %s: %v, want %s", tt[0], tt[1], err, tt[2])
		}
	}
}

// mute grants leases and answers so many checks. Then it keeps silent.
type mute struct {
	pb.UnimplementedLeaseServer
	answers int
	id      int64 // that it answers for; 0: the one that it is asked for
	began   atomic.Bool
	ended   chan error
}

func (m *mute) LeaseGrant(context.Context, *pb.LeaseGrantRequest) (*pb.LeaseGrantResponse, error) {
	return &pb.LeaseGrantResponse{ID: 1, TTL: 30}, nil
}

func (m *mute) LeaseKeepAlive(s pb.Lease_LeaseKeepAliveServer) error {
	for range m.answers {
		in, err := s.Recv()
		if err != nil {
			return err
		}
		if err := s.Send(&pb.LeaseKeepAliveResponse{ID: cmp.Or(m.id, in.GetID()), TTL: 30}); err != nil {
			return err
		}
	}
	m.began.Store(true)
	<-s.Context().Done()
	m.ended <- s.Context().Err()
	return s.Context().Err()
}

func (m *mute) serve(t *testing.T) (*grpc.Server, *Protocol) {
	t.Helper()
	s := grpc.NewServer()
	pb.RegisterLeaseServer(s, m)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	p, err := Open(settingsOf(t, "etcd://"+l.Addr().String()+"?ttl=30s"))
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

// A server that answers for another lease is no etcd.
func TestAnotherLease(t *testing.T) {
	m := &mute{answers: 1, id: 99, ended: make(chan error, 2)}
	_, p := m.serve(t)
	c := dial(t, p)
	c.call(queue.Establish, 1, long, true)
	if r := c.call(queue.Check, 1, long, true); r.Kind != client.Nonsense || r.Outcome != queue.Failed {
		t.Errorf("%v, %v", r.Outcome, r.Kind)
	}
}

// A connection that is closed leaves nothing running: no stream, and no call on one.
func TestLeavesNothing(t *testing.T) {
	m := &mute{answers: 2, ended: make(chan error, 2)}
	_, p := m.serve(t)
	before := goleak.IgnoreCurrent()
	c := dial(t, p)
	c.call(queue.Establish, 1, long, true)
	for range m.answers {
		if r := c.call(queue.Check, 1, long, true); r.Outcome != queue.Good {
			t.Errorf("%v, %v", r.Outcome, r.Kind)
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !m.began.Load() {
			time.Sleep(time.Millisecond)
		}
		c.conn.Close()
	}()
	if r := c.call(queue.Check, 1, long, false); r.Outcome != queue.Failed {
		t.Errorf("a call on a connection that is closed: %v, %v", r.Outcome, r.Kind)
	}
	<-ended
	goleak.VerifyNone(t, before)
}

// A keep-alive without an answer ends at its timeout, or with the server, and its stream is not used again.
func TestSilence(t *testing.T) {
	m := &mute{ended: make(chan error, 2)}
	s, p := m.serve(t)
	c := dial(t, p)
	c.call(queue.Establish, 1, long, true)
	if r := c.call(queue.Check, 1, 300*time.Millisecond, true); r.Kind != client.TimedOut || r.Outcome != queue.Late || r.Sent == 0 {
		t.Errorf("%v, %v, sent at %v", r.Outcome, r.Kind, r.Sent)
	}
	if err := <-m.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the server sees %v", err)
	}
	if n := len(c.conn.(*conn).idle); n != 0 {
		t.Errorf("%d streams are kept", n)
	}
	m.began.Store(false)
	begun := make(chan struct{})
	go func() {
		defer close(begun)
		for !m.began.Load() {
			time.Sleep(time.Millisecond)
		}
		s.Stop()
	}()
	if r := c.call(queue.Check, 1, long, false); r.Outcome != queue.Failed || !slices.Contains([]client.Kind{client.Closed, client.Reset, client.GoAway}, r.Kind) {
		t.Errorf("a server that is killed: %v, %v", r.Outcome, r.Kind)
	}
	<-begun
}
