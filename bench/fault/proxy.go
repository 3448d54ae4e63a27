package fault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/internal/stat"
)

// proxy carries connections to one service, and during an outage does not.
type proxy struct {
	spec   Spec
	target string
	addr   string
	all    sync.WaitGroup
	door   chan struct{}
	ctx    context.Context
	cancel context.CancelFunc

	mu     sync.Mutex // guards what follows
	listen net.Listener
	pairs  map[*pair]bool
	away   chan struct{} // closed at the end of the present outage; nil: there is none
	closed bool
	began  time.Time // of the last Begin or End
	report Report
	err    error

	connections, broken, bytes, failures atomic.Uint64
}

// pair is a connection with the one that goes on to the service.
type pair struct{ in, out *net.TCPConn }

const (
	dialTimeout = 10 * time.Second
	copyBuffer  = 16 << 10
)

func newProxy(s Spec, target string) (*proxy, error) {
	listen, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("%w: the proxy before the service: %w", ErrOutage, err)
	}
	p := &proxy{spec: s, target: target, addr: listen.Addr().String(), listen: listen, door: make(chan struct{}, 2*runtime.NumCPU()), pairs: map[*pair]bool{}}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.report.How = s.String()
	p.all.Go(func() { p.accept(listen) })
	return p, nil
}

func (p *proxy) Via() string { return p.addr }

// accept serves a listener until it is closed.
func (p *proxy) accept(listen net.Listener) {
	for {
		conn, err := listen.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if own(err) {
				p.failures.Inc()
			}
			time.Sleep(time.Millisecond)
			continue
		}
		in := conn.(*net.TCPConn)
		p.mu.Lock()
		switch {
		case p.closed:
			_ = in.Close()
		case p.away != nil && p.spec.Kind == "empty":
			p.broken.Inc()
			_ = in.Close()
		default:
			k := &pair{in: in}
			p.pairs[k] = true
			p.all.Go(func() { p.carry(k) })
		}
		p.mu.Unlock()
	}
}

// carry connects a pair to the service and copies both ways until both are done.
func (p *proxy) carry(k *pair) {
	defer p.drop(k)
	p.door <- struct{}{} // one after the other: thousands at once would keep the generator waiting
	late := time.AfterFunc(2*time.Millisecond, func() { <-p.door })
	ctx, cancel := context.WithTimeout(p.ctx, dialTimeout)
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	cancel()
	if late.Stop() {
		<-p.door
	}
	if err != nil {
		if own(err) {
			p.failures.Inc()
		}
		_ = k.in.SetLinger(0) // what the client of a service that is not there sees
		return
	}
	p.mu.Lock()
	alive := p.pairs[k]
	k.out = conn.(*net.TCPConn)
	p.mu.Unlock()
	if !alive {
		return
	}
	p.connections.Inc()
	var both sync.WaitGroup
	both.Go(func() {
		p.copy(k.out, k.in, k.in, 0)
		// Clients that give up close both ways. The service sees the same, and this process does not keep
		// what the service has not yet noticed.
		_ = k.out.Close()
	})
	p.copy(k.in, k.out, k.in, p.spec.Delay)
	both.Wait()
}

// chunk is what was read at once, and when it may go on.
type chunk struct {
	data []byte
	at   time.Time
	err  error // of the reading, behind the data
}

// inFlight is the number of chunks that one way of a connection holds.
const inFlight = 64

// copy copies one way. In an outage that hangs it waits; in one that is slow each chunk goes on so much
// after it was read, whatever waits before it.
func (p *proxy) copy(to, from, client *net.TCPConn, delay time.Duration) {
	if delay == 0 {
		buffer := make([]byte, copyBuffer)
		for {
			n, err := from.Read(buffer)
			if n > 0 && !p.hold(from, client, &buffer, &n) {
				err = net.ErrClosed // whoever sent it has gone
			}
			if !p.pass(to, from, buffer[:n], err) {
				return
			}
		}
	}
	chunks := make(chan chunk, inFlight)
	p.all.Go(func() {
		defer close(chunks)
		for {
			buffer := make([]byte, copyBuffer)
			n, err := from.Read(buffer)
			at := time.Now()
			if p.isAway() != nil {
				at = at.Add(delay)
			}
			chunks <- chunk{buffer[:n], at, err}
			if err != nil {
				return
			}
		}
	})
	more := true
	for c := range chunks {
		if wait := time.Until(c.at); more && wait > 0 {
			late := time.NewTimer(wait)
			select {
			case <-late.C:
			case <-p.ctx.Done():
			}
			late.Stop()
		}
		more = more && p.pass(to, from, c.data, c.err) // else only empties the channel
	}
}

// pass hands on what was read, and the end of it. It returns false at the end.
func (p *proxy) pass(to, from *net.TCPConn, data []byte, err error) bool {
	p.bytes.Add(uint64(len(data)))
	if len(data) > 0 && !errors.Is(err, net.ErrClosed) {
		if _, err := to.Write(data); err != nil {
			_ = from.SetLinger(0)
			_ = from.Close()
			return false
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, io.EOF):
		_ = to.CloseWrite() // the other way may go on
	default: // it was reset: so is the other side
		_ = to.SetLinger(0)
		_ = to.Close()
	}
	return false
}

// isAway is the present outage; nil: there is none.
func (p *proxy) isAway() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.away
}

const (
	holdLook = 50 * time.Millisecond
	holdMost = 1 << 20 // bytes that are held of one connection
)

// hold keeps what was read while nothing moves, and reads on meanwhile: who hangs up must not keep its
// connection here. It returns false if it is the client that has gone.
func (p *proxy) hold(from, client *net.TCPConn, buffer *[]byte, n *int) bool {
	away := p.isAway()
	if away == nil || p.spec.Kind != "hang" {
		return true
	}
	defer func() { _ = from.SetReadDeadline(time.Time{}) }()
	for {
		select {
		case <-away:
			return true
		default:
		}
		if *n == len(*buffer) {
			if *n >= holdMost {
				<-away
				return true
			}
			*buffer = append(*buffer, make([]byte, len(*buffer))...)
		}
		_ = from.SetReadDeadline(time.Now().Add(holdLook))
		m, err := from.Read((*buffer)[*n:])
		if *n += m; err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			continue
		}
		if from == client {
			return false
		}
		<-away // a service that has answered and closed: its answer goes on
		return true
	}
}

// drop closes a pair.
func (p *proxy) drop(k *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, k)
	_ = k.in.Close()
	if k.out != nil {
		_ = k.out.Close()
	}
}

// breakAll ends all connections, by RST if hard, in a goroutine of its own: there may be thousands. p.mu is
// held.
func (p *proxy) breakAll(hard bool) {
	var all []*net.TCPConn
	for k := range p.pairs {
		p.broken.Inc()
		for _, c := range []*net.TCPConn{k.in, k.out} {
			if c != nil {
				all = append(all, c)
			}
		}
		delete(p.pairs, k)
	}
	p.all.Go(func() {
		for _, c := range all {
			if hard {
				_ = c.SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

// own reports whether an error is this host's: no local port, or no file descriptor, is left.
func own(err error) bool {
	return errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// Begin implements Outage. refuse closes the listener, so that the kernel refuses, as it does for a service
// that has gone.
func (p *proxy) Begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away != nil || p.closed {
		return
	}
	began := time.Now()
	p.away = make(chan struct{})
	switch p.spec.Kind {
	case "refuse":
		_ = p.listen.Close()
		p.breakAll(true)
	case "empty":
		p.breakAll(false)
	}
	took := time.Since(began).Seconds()
	p.report.Began = &took
}

// End implements Outage.
func (p *proxy) End() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away == nil || p.closed {
		return
	}
	close(p.away)
	p.away, p.began = nil, time.Now()
	if p.spec.Kind != "refuse" {
		took := 0.0
		p.report.Ended = &took
		return
	}
	p.all.Go(p.listenAgain)
}

// listenAgain opens the listener again. A connection of this host may have taken the port meanwhile: then
// it waits until it is free.
func (p *proxy) listenAgain() {
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return
		}
		listen, err := net.Listen("tcp", p.addr)
		took := time.Since(p.began)
		if err == nil {
			seconds := took.Seconds()
			p.report.Ended, p.listen = &seconds, listen
			p.all.Go(func() { p.accept(listen) })
		} else if took > patience {
			p.err = fmt.Errorf("%w: the proxy's port is taken: %w", ErrOutage, err)
		}
		over := err == nil || p.err != nil
		p.mu.Unlock()
		if over {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Close implements Outage.
func (p *proxy) Close() (Report, error) {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		p.cancel()
		p.report.Broken = p.broken.Load()
		_ = p.listen.Close()
		if p.away != nil {
			close(p.away)
			p.away = nil
		}
		p.breakAll(true)
	}
	p.mu.Unlock()
	p.all.Wait()
	p.report.Connections, p.report.Bytes, p.report.Failures = p.connections.Load(), p.bytes.Load(), p.failures.Load()
	return p.report, p.err
}

// Cost is what the proxy costs: a small exchange on loopback through it, and without it.
type Cost struct {
	Direct float64 `json:"direct_us"` // median time of an exchange without it
	Via    float64 `json:"via_us"`    // and through it
}

// costRounds is the number of exchanges, each way in turns.
const costRounds = 400

// MeasureCost measures the proxy against an echo on loopback, one exchange at a time.
func MeasureCost(ctx context.Context) (*Cost, error) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = echo.Close() }()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	p, err := newProxy(Spec{Kind: "refuse"}, echo.Addr().String())
	if err != nil {
		return nil, err
	}
	defer func() { _, _ = p.Close() }()
	var conns [2]net.Conn
	for i, at := range []string{echo.Addr().String(), p.addr} {
		if conns[i], err = (&net.Dialer{}).DialContext(ctx, "tcp", at); err != nil {
			return nil, err
		}
		defer func() { _ = conns[i].Close() }()
	}
	var took [2][]float64
	var text [100]byte
	for range costRounds {
		for i, c := range conns {
			began := time.Now()
			if _, err = c.Write(text[:]); err == nil {
				_, err = io.ReadFull(c, text[:])
			}
			if err != nil {
				return nil, err
			}
			took[i] = append(took[i], float64(time.Since(began).Nanoseconds())/1e3)
		}
	}
	return &Cost{Direct: stat.Median(took[0]), Via: stat.Median(took[1])}, nil
}
