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
	"strings"
	"sync"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"github.com/valyala/fasthttp"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/queue"
)

// What a request costs that a client makes as fast as it can, over its connections, of a server on the same cores. On a
// busy host the CPU time says more than the wall time.
const overTheWire = "request"

// connections is how many each client has.
const connections = 64

// clients make requests for a time and return how many had a good answer.
var clients = []struct {
	name string
	run  func(url string, length time.Duration) (good int, err error)
}{
	{"leasestorm storm", storm},
	{"vegeta", func(url string, length time.Duration) (good int, err error) {
		a := vegeta.NewAttacker(vegeta.Workers(connections), vegeta.MaxWorkers(connections), vegeta.Connections(connections), vegeta.Timeout(time.Minute))
		for res := range a.Attack(vegeta.NewStaticTargeter(vegeta.Target{Method: http.MethodPost, URL: url + "/17"}), vegeta.Rate{}, length, "") {
			if res.Code == http.StatusOK {
				good++
			} else {
				err = errors.New(res.Error)
			}
		}
		return good, err
	}},
	{"net/http", func(url string, length time.Duration) (int, error) {
		t := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
		defer t.CloseIdleConnections()
		return loops(length, func() error {
			r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url+"/17", nil)
			if err != nil {
				return err
			}
			res, err := t.RoundTrip(r)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, res.Body)
			return errors.Join(err, res.Body.Close())
		})
	}},
	{"fasthttp", func(url string, length time.Duration) (int, error) {
		c := &fasthttp.HostClient{Addr: strings.TrimPrefix(url, "http://"), MaxConns: connections, MaxIdemponentCallAttempts: 1}
		defer c.CloseIdleConnections()
		return loops(length, func() error {
			r, res := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
			defer fasthttp.ReleaseRequest(r)
			defer fasthttp.ReleaseResponse(res)
			r.Header.SetMethod(http.MethodPost)
			r.SetRequestURI(url + "/17")
			return c.DoTimeout(r, res, time.Minute)
		})
	}},
}

// loops has as many goroutines as connections, each with one call at a time.
func loops(length time.Duration, call func() error) (int, error) {
	var all sync.WaitGroup
	var good atomic.Int64
	var failed atomic.Error
	for began, i := time.Now(), 0; i < connections; i++ {
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
func storm(url string, length time.Duration) (good int, err error) {
	s := client.Default()
	s.URL, s.Connections.Most = url, connections
	p, err := client.Open(s)
	if err != nil {
		return 0, err
	}
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
	const out, doze = 16 * connections, 100 * time.Microsecond
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

// serve answers every request until standard input ends. It prints its address.
func serve() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	err = (&fasthttp.Server{Handler: func(c *fasthttp.RequestCtx) { c.SetBodyString("granted") }, NoDefaultDate: true}).Serve(l)
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// startTarget starts the server in a process of its own, as this program.
func startTarget() (url string, stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.Command(self)
	cmd.Env, cmd.Stderr = append(os.Environ(), targetVariable+"=1"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = in.Close()
		_ = cmd.Wait()
	}
	at, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		stop()
		return "", nil, err
	}
	return "http://" + strings.TrimSpace(at), stop, nil
}

// targetVariable tells this program, or its test, to be the target.
const targetVariable = "LEASESTORM_PEERS_TARGET"

// client measures one client.
func (r *runner) client(i int) error {
	c := clients[i]
	began, before := time.Now(), cpuTime()
	n, err := c.run(r.target, clientLengths*r.length)
	if err != nil {
		return err
	}
	spent := cpuTime() - before
	at := func(pattern string) key { return key{overTheWire, pattern, connections, c.name} }
	r.add(at("wall time, as fast as it can"), "µs", perOp(began, max(1, n))/1e3)
	if spent > 0 {
		r.add(at("the client's CPU time"), "µs", float64(spent.Nanoseconds())/float64(max(1, n))/1e3)
	}
	return nil
}

// clientLengths is the length of a client's measurement in those of others: connections must be opened first.
const clientLengths = 20
