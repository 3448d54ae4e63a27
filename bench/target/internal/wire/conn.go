// Package wire makes one connection of grpc-go a client.Conn's: it opens it once, makes calls on it, and
// says how they ended. grpc-go's own second attempts are off; only what the server has refused unseen
// does it send again, on the same connection.
package wire

import (
	"context"
	"errors"
	"net"
	"sync"

	"go.uber.org/atomic"
	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/leasestorm/leasestorm/bench/client"
)

// mostHeaders is the largest list of headers or trailers of an answer, in bytes.
const mostHeaders = 64 << 10

// Conn is one connection of HTTP/2. It is not opened a second time.
type Conn struct {
	*grpc.ClientConn
	*Target
	net *watched
}

// Connect opens a connection before the deadline of ctx. Its error is a client.KindError. most is the
// largest answer in bytes.
func (t *Target) Connect(ctx context.Context, most int64) (*Conn, error) {
	raw, err := t.dialer.Dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &Conn{Target: t, net: &watched{Conn: raw}}
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(encrypted{insecure.NewCredentials(), t.secure}),
		grpc.WithContextDialer(c.net.dial), grpc.WithAuthority(t.URL.Host), grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(),
		grpc.WithIdleTimeout(0), grpc.WithMaxHeaderListSize(mostHeaders), grpc.WithStatsHandler(watcher{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(most))),
	}
	if t.Streams() == 1 { // there may be many of them
		options = append(options, grpc.WithReadBufferSize(4<<10), grpc.WithWriteBufferSize(4<<10))
	}
	if c.ClientConn, err = grpc.NewClient("passthrough:///connected", options...); err != nil {
		_ = raw.Close()
		return nil, &client.KindError{Kind: client.OtherError, Err: err}
	}
	c.ClientConn.Connect() // else it waits for a call
	for state := c.GetState(); state != connectivity.Ready; state = c.GetState() {
		if state == connectivity.TransientFailure || state == connectivity.Idle && c.net.lost.Load() {
			kind, err := c.net.broke()
			if err == nil {
				kind, err = client.Nonsense, errors.New("the server speaks no HTTP/2")
			}
			c.Close()
			return nil, &client.KindError{Kind: kind, Err: err}
		}
		if !c.WaitForStateChange(ctx, state) {
			c.Close()
			return nil, &client.KindError{Kind: client.DialTimeout, Err: ctx.Err()}
		}
	}
	return c, nil
}

// Usable reports whether the connection can carry another call.
func (c *Conn) Usable() bool {
	_, err := c.net.broke()
	return err == nil && c.GetState() == connectivity.Ready
}

// Close implements client.Conn.
func (c *Conn) Close() {
	_ = c.ClientConn.Close()
	_ = c.net.Close() // if grpc-go has never asked for it
}

// errLost is what grpc-go gets when it asks for the connection a second time.
var errLost = errors.New("the connection is gone")

// watched is a connection that remembers how the peer broke it.
type watched struct {
	net.Conn
	given  atomic.Bool // to grpc-go
	lost   atomic.Bool // closed on this side
	closed sync.Once
	mu     sync.Mutex
	err    error // the first that was not this side's doing
}

func (w *watched) dial(context.Context, string) (net.Conn, error) {
	if w.given.Swap(true) {
		return nil, errLost
	}
	return w, nil
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	w.note(err)
	return n, err
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.note(err)
	return n, err
}

func (w *watched) note(err error) {
	if err == nil || w.lost.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
}

func (w *watched) Close() (err error) {
	w.closed.Do(func() {
		w.lost.Store(true)
		err = w.Conn.Close()
	})
	return err
}

// broke is how the peer broke the connection; nil: it did not.
func (w *watched) broke() (client.Kind, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		return client.Answered, nil
	}
	return client.BrokenKind(w.err), w.err
}

// encrypted are the credentials of a connection whose handshake is done: they give requests their scheme.
type encrypted struct {
	credentials.TransportCredentials
	secure bool
}

func (e encrypted) Info() credentials.ProtocolInfo {
	if e.secure {
		return credentials.ProtocolInfo{SecurityProtocol: "tls"}
	}
	return e.TransportCredentials.Info()
}

func (e encrypted) Clone() credentials.TransportCredentials { return e }
