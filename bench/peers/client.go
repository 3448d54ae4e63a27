package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"github.com/valyala/fasthttp"
	"go.uber.org/atomic"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/host"
	_ "github.com/leasestorm/leasestorm/bench/target/grpc"
	"github.com/leasestorm/leasestorm/queue"
)

// The works of clients: each asks a server on the same cores as fast as it can, and the cost of a request is
// measured. On a busy host the CPU time says more than the wall time.
const (
	overHTTP1 = "request over HTTP/1.1"
	overH2C   = "request over h2c"
	overGRPC  = "call of gRPC"
)

// overs are the works, in the order in which the target names its addresses.
var overs = []string{overHTTP1, overH2C, overGRPC}

// calls is how many each client makes at a time. Over HTTP/2, streams of them share a connection.
const (
	calls   = 64
	streams = 8
)

// done is what a client did: good answers, in how long, for how much CPU time; 0: not known.
type done struct {
	good        int
	took, spent time.Duration
}

// clients make requests for a time.
var clients = []struct {
	work, name string
	run        func(address string, length time.Duration) (done, error)
}{
	{overHTTP1, "leasestorm storm", own(func(address string, length time.Duration) (int, error) {
		s := client.Default()
		s.URL, s.Connections.Most = "http://"+address, calls
		return storm(s, length)
	})},
	{overHTTP1, "vegeta", own(func(address string, length time.Duration) (int, error) {
		return attack(address, length, vegeta.Connections(calls))
	})},
	{overHTTP1, "net/http", own(func(address string, length time.Duration) (int, error) {
		t := &http.Transport{MaxIdleConnsPerHost: calls, DisableCompression: true}
		defer t.CloseIdleConnections()
		return loops(length, func(int) func() error { return func() error { return roundTrip(t, address) } })
	})},
	{overHTTP1, "fasthttp", own(func(address string, length time.Duration) (int, error) {
		c := &fasthttp.HostClient{Addr: address, MaxConns: calls, MaxIdemponentCallAttempts: 1}
		defer c.CloseIdleConnections()
		return loops(length, func(int) func() error {
			return func() error {
				r, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
				defer fasthttp.ReleaseRequest(r)
				defer fasthttp.ReleaseResponse(res)
				r.Header.SetMethod(http.MethodPost)
				r.SetRequestURI("http://" + address + "/17")
				return c.DoTimeout(r, res, time.Minute)
			}
		})
	})},
	{overH2C, "leasestorm storm", own(func(address string, length time.Duration) (int, error) {
		s := client.Default()
		s.URL, s.Connections.Protocol = "http://"+address, "h2c"
		s.Connections.Most, s.Connections.Streams = calls/streams, streams
		return storm(s, length)
	})},
	{overH2C, "vegeta", own(func(address string, length time.Duration) (int, error) {
		return attack(address, length, vegeta.H2C(true))
	})},
	{overH2C, "net/http", own(func(address string, length time.Duration) (int, error) {
		var ts [calls / streams]http.Transport // each opens one connection
		for i := range ts {
			ts[i].Protocols = new(http.Protocols)
			ts[i].Protocols.SetUnencryptedHTTP2(true)
			defer ts[i].CloseIdleConnections()
		}
		return loops(length, func(i int) func() error {
			return func() error { return roundTrip(&ts[i/streams], address) }
		})
	})},
	{overGRPC, "leasestorm storm", own(func(address string, length time.Duration) (int, error) {
		s := client.Default()
		s.URL, s.Request.Path, s.Request.Body = "grpc://"+address+"/grpc.health.v1.Health", "/Check", "{{}}"
		s.Connections.Most, s.Connections.Streams = calls/streams, streams
		return storm(s, length)
	})},
	{overGRPC, "ghz", ghz},
}

// own measures a client of this process.
func own(run func(address string, length time.Duration) (int, error)) func(string, time.Duration) (done, error) {
	return func(address string, length time.Duration) (done, error) {
		began, before := time.Now(), cpuTime()
		n, err := run(address, length)
		return done{n, time.Since(began), cpuTime() - before}, err
	}
}

// attack is vegeta's, with all its calls out all the time.
func attack(address string, length time.Duration, option func(*vegeta.Attacker)) (good int, err error) {
	a := vegeta.NewAttacker(vegeta.Workers(calls), vegeta.MaxWorkers(calls), vegeta.Timeout(time.Minute), option)
	for res := range a.Attack(vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodPost, URL: "http://" + address + "/17"}), vegeta.Rate{}, length, "") {
		if res.Code == http.StatusOK {
			good++
		} else {
			err = errors.New(res.Error)
		}
	}
	return good, err
}

func roundTrip(t *http.Transport, address string) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://"+address+"/17", nil)
	if err != nil {
		return err
	}
	res, err := t.RoundTrip(r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

// loops has as many goroutines as calls. of makes what goroutine i does, a call at a time.
func loops(length time.Duration, of func(i int) func() error) (int, error) {
	var all sync.WaitGroup
	var good atomic.Int64
	var failed atomic.Error
	for began, i := time.Now(), 0; i < calls; i++ {
		call := of(i)
		all.Go(func() {
			for time.Since(began) < length && failed.Load() == nil {
				if err := call(); err != nil {
					failed.Store(err)
					return
				}
				good.Inc()
			}
		})
	}
	all.Wait()
	return int(good.Load()), failed.Load()
}

// storm is the client of 'leasestorm storm', with a generator that keeps so many attempts out that none of the
// connections is idle while it dozes. Each attempt has its own intended time, droplet, path and record.
func storm(s client.Settings, length time.Duration) (good int, err error) {
	p, err := client.Open(s)
	if err != nil {
		return 0, err
	}
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs + 1)) // as in a storm: the generator keeps one while it dozes
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	c := client.NewPool(s, p, now)
	defer c.Close()
	droplet := uint32(0)
	send := func(n int) {
		for range n {
			c.Send(&client.Attempt{Born: now(), Timeout: queue.ToMicros(time.Minute), Droplet: droplet, Class: queue.Establish})
			droplet++
		}
	}
	const out, doze = 16 * calls, 100 * time.Microsecond
	send(out)
	var replies [256]client.Reply
	for {
		n := c.Replies(replies[:])
		for i := range replies[:n] {
			r := &replies[i]
			if r.Outcome != queue.Good {
				return good, fmt.Errorf("%v, %v", r.Outcome, r.Kind)
			}
			good++
		}
		switch {
		case now() >= length:
			return good, nil
		case n == 0:
			host.Doze(doze)
		default:
			send(n)
		}
	}
}

// serve answers every request until standard input ends. It prints its addresses.
func serve() error {
	var at [3]net.Listener
	for i := range at {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		at[i] = l
	}
	fmt.Println(at[0].Addr(), at[1].Addr(), at[2].Addr())
	failed := make(chan error, len(at)+1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		failed <- err
	}()
	go func() {
		failed <- (&fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) { c.SetBodyString("granted") }, NoDefaultDate: true}).Serve(at[0])
	}()
	go func() {
		h2c := new(http.Protocols)
		h2c.SetUnencryptedHTTP2(true)
		failed <- (&http.Server{Protocols: h2c, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "granted") })}).Serve(at[1])
	}()
	go func() {
		s := grpc.NewServer()
		grpc_health_v1.RegisterHealthServer(s, health.NewServer())
		reflection.Register(s)
		failed <- s.Serve(at[2])
	}()
	return <-failed
}

// startTarget starts the server in a process of its own, as this program.
func startTarget() (addresses map[string]string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), targetVariable+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	at, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return nil, nil, err
	}
	addresses = map[string]string{}
	for i, address := range strings.Fields(at) {
		addresses[overs[i]] = address
	}
	return addresses, stop, nil
}

// targetVariable tells this program, or its test, to be the target.
const targetVariable = "LEASESTORM_PEERS_TARGET"

// client measures one client.
func (r *runner) client(i int) error {
	c := clients[i]
	d, err := c.run(r.targets[c.work], clientLengths*r.length)
	if err != nil {
		return err
	}
	at := func(pattern string) key { return key{c.work, pattern, calls, c.name} }
	micros := func(t time.Duration) float64 { return float64(t.Nanoseconds()) / float64(max(1, d.good)) / 1e3 }
	r.add(at("wall time, as fast as it can"), "µs", micros(d.took))
	if d.spent > 0 {
		r.add(at("the client's CPU time"), "µs", micros(d.spent))
	}
	return nil
}

// clientLengths is the length of a client's measurement in those of others: connections must be opened first.
const clientLengths = 20
