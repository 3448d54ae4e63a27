package client

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/metrics"
)

// Outcome is how a check ended.
type Outcome int

// The outcomes.
const (
	Good        Outcome = iota
	NoAddress           // the name has no address
	Unreachable         // the name has an address, and the call did not get through
	Other               // an answer of the store that is not success
	outcomes
)

func (o Outcome) String() string {
	return [...]string{"good", "no_address", "unreachable", "other"}[o]
}

// outcome is how a check ended, by its error.
func outcome(err error) Outcome {
	if err == nil {
		return Good
	}
	// A check that was late is no failure of DynamoDB.
	if _, late := errors.AsType[*types.ConditionalCheckFailedException](err); late {
		return Good
	}
	if e, ok := errors.AsType[*net.DNSError](err); ok && e.IsNotFound {
		return NoAddress
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return Unreachable
	}
	return Other
}

// Sample makes state checks at a steady rate by many clients.
type Sample struct {
	clients []*Client
	names   *Names // of all clients; nil: each has its own
	seen    []seen
	every   time.Duration // between two checks of a client
	began   time.Time

	counts [outcomes]atomic.Int64
	mu     sync.Mutex
	times  *hdrhistogram.Histogram // of good checks, in nanoseconds

	end   context.CancelFunc
	ended sync.WaitGroup
}

// seen is what a client saw last. It fills a cache line, as each client writes its own.
type seen struct {
	bad   atomic.Bool
	takes atomic.Duration
	_     [48]byte
}

// NewSample returns a sample of some clients that together make rate checks a second.
func NewSample(cfg Config, clients int, rate float64) *Sample {
	s := &Sample{
		seen: make([]seen, clients), every: time.Duration(float64(clients) / rate * float64(time.Second)),
		times: hdrhistogram.New(1, int64(time.Minute), 3), names: cfg.Names,
	}
	for i := range clients {
		// The connections are of all ages when the sample begins, as they are later: each is in the
		// middle of its part of the lifetime.
		cfg.Age = cfg.Lifetime * time.Duration(2*i+1) / time.Duration(2*clients)
		s.clients = append(s.clients, New(cfg))
	}
	return s
}

// Start begins to check, until ctx ends or Close is called. The clients begin one after the other,
// so that their checks and the ends of their connections are spread evenly.
func (s *Sample) Start(ctx context.Context) {
	ctx, s.end = context.WithCancel(ctx)
	s.began = time.Now()
	for i := range s.clients {
		s.ended.Add(1)
		go func() {
			defer s.ended.Done()
			s.loop(ctx, i)
		}()
	}
}

func (s *Sample) loop(ctx context.Context, i int) {
	defer s.clients[i].Close()
	next := time.NewTimer(s.every * time.Duration(i) / time.Duration(len(s.clients)))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		began := time.Now()
		err := s.clients[i].Check(ctx, Lease{Manager: "live", Droplet: uint32(i), Deadline: began.Sub(s.began)})
		if ctx.Err() != nil {
			return // an interrupted check says nothing
		}
		o := outcome(err)
		s.saw(i, o, time.Since(began))
		next.Reset(s.wait(o, began))
	}
}

// wait is the time to a client's next check. A client that has no address looks the name up as soon
// as the shared cache lets it.
func (s *Sample) wait(o Outcome, began time.Time) time.Duration {
	rest := s.every - time.Since(began)
	if o == NoAddress && s.names != nil {
		rest = min(rest, time.Until(s.names.Missing()))
	}
	return max(0, rest)
}

// Every is the time between two checks of a client.
func (s *Sample) Every() time.Duration { return s.every }

// saw enters how a client's check ended.
func (s *Sample) saw(i int, o Outcome, takes time.Duration) {
	s.counts[o].Inc()
	s.seen[i].bad.Store(o != Good)
	s.seen[i].takes.Store(takes)
	if o == Good {
		s.mu.Lock()
		_ = s.times.RecordValue(int64(min(takes, time.Minute))) // within the histogram's range
		s.mu.Unlock()
	}
}

// Ask implements dwfm.Dependency. A droplet's call ends as the last check of its client did: each
// client stands for the connection of its share of the droplets.
func (s *Sample) Ask(_ time.Duration, droplet uint32) (ok bool, takes time.Duration) {
	// A multiplicative hash, so that a zone or a block of droplets does not share a client.
	c := &s.seen[uint64(droplet*0x9E3779B1)*uint64(len(s.seen))>>32]
	return !c.bad.Load(), c.takes.Load()
}

// AtOnce reports that calls take time. Who leaves the time out of a service wraps the Sample.
func (s *Sample) AtOnce() bool { return false }

// Close ends the checks and their connections.
func (s *Sample) Close() {
	if s.end != nil {
		s.end()
	}
	s.ended.Wait()
}

// Stats are a sample's counts since its start.
type Stats struct {
	Good, NoAddress, Unreachable, Other int64
	Failing                             int // clients whose last check failed
	Clients                             int
	Dials                               int64 // connections that were made
}

// Checks is the number of all checks.
func (s Stats) Checks() int64 { return s.Good + s.NoAddress + s.Unreachable + s.Other }

// Stats returns the counts.
func (s *Sample) Stats() Stats {
	out := Stats{
		Good: s.counts[Good].Load(), NoAddress: s.counts[NoAddress].Load(), Unreachable: s.counts[Unreachable].Load(),
		Other: s.counts[Other].Load(), Clients: len(s.clients),
	}
	for i := range s.seen {
		if s.seen[i].bad.Load() {
			out.Failing++
		}
		out.Dials += s.clients[i].Dials()
	}
	return out
}

// Times is a copy of the latencies of good checks, in nanoseconds.
func (s *Sample) Times() *hdrhistogram.Histogram {
	s.mu.Lock()
	defer s.mu.Unlock()
	return hdrhistogram.Import(s.times.Export())
}

// Metrics adds the sample's metrics to a registry.
func (s *Sample) Metrics(r *metrics.Registry) {
	for o := range outcomes {
		r.Counter("leasestorm_checks_sampled_total", "Sampled state checks, by how they ended.", metrics.Labels{"outcome": o.String()},
			func() float64 { return float64(s.counts[o].Load()) })
	}
	r.Gauge("leasestorm_checks_failing_ratio", "Share of the clients whose last check failed.", nil, func() float64 {
		st := s.Stats()
		return float64(st.Failing) / float64(st.Clients)
	})
	r.Counter("leasestorm_checks_connections_total", "Connections that the clients have made.", nil, func() float64 { return float64(s.Stats().Dials) })
	r.Times("leasestorm_checks_latency_seconds", "Latency of sampled state checks that succeeded.", nil, time.Nanosecond, s.Times)
}
