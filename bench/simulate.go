package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Virtual is the Runner that drives the model through a calendar of events, without waiting.
// The same scenario, options and seed give the same files, byte for byte.
type Virtual struct {
	// Service, if not zero, replaces the mean service times that the scenario asks for.
	// Services, if not nil, replaces their distribution. A real run measures both.
	Service  engine.Service
	Services []record.Quantile

	single bool // engine.Virtual.Single
}

// Name implements Runner.
func (Virtual) Name() string { return "virtual" }

// Alone implements Runner.
func (Virtual) Alone() bool { return false }

// virtualStart is the nominal start of a virtual run: in the outage of 20 October 2025, when the
// dependency returned, in UTC.
var virtualStart = time.Date(2025, 10, 20, 9, 25, 0, 0, time.UTC)

// ServiceLaw returns the distribution of service times that a scenario names. Real services have
// a distribution of their own.
func ServiceLaw(ctx context.Context, s *scenario.Scenario) (engine.Distribution, error) {
	switch s.ServiceLaw {
	case "", scenario.FixedServices:
		return engine.Fixed, nil
	case scenario.ExponentialServices:
		return engine.Exponential, nil
	}
	if cv, ok := s.CV(); ok {
		return engine.Lognormal(cv), nil
	}
	dir, ok := strings.CutPrefix(s.ServiceLaw, scenario.MeasuredServices)
	if !ok {
		return nil, s.Validate()
	}
	m, err := ReadManifest(ctx, dir)
	if err == nil && len(m.Services) < 2 {
		err = errors.New("it has no distribution of services: want the folder of a run on the real engine")
	}
	if err != nil {
		return nil, scenario.Bad("service_law", fmt.Sprintf("%q: %v", s.ServiceLaw, err))
	}
	return engine.Measured(m.Services), nil
}

// Run implements Runner.
func (v Virtual) Run(ctx context.Context, s scenario.Scenario, o Options) (res *Result, err error) {
	began := time.Now()
	draw, err := ServiceLaw(ctx, &s)
	if err != nil {
		return nil, err
	}
	if o.Idle != "" {
		return nil, scenario.Bad("idle", "nobody is idle in virtual time: it goes with the real engine")
	}
	if v.Services != nil {
		draw = engine.Measured(v.Services)
	}
	x, err := layOut(s, o, 1)
	if err != nil {
		return nil, err
	}
	if err := CheckVirtual(&x.Scenario); err != nil {
		return nil, err
	}
	if v.Service != (engine.Service{}) {
		x.Want = v.Service
	}
	if err := x.begin(false); err != nil {
		return nil, err
	}
	defer x.abandon()
	defer func() { x.over(res, err) }()
	virtual := &engine.Virtual{Workers: x.Workers, Service: x.Want, Draw: draw, Seed: x.seed, Single: v.single}
	res, p, _, err := x.run(x.Want, func(p *engine.Plan) (engine.Result, error) { return virtual.Run(ctx, p) })
	if err != nil {
		return res, err
	}
	res.Engine = "virtual"
	if x.folder != nil {
		if err := x.write(p.Log, res, virtualStart, Manifest{}); err != nil {
			return res, err
		}
	}
	res.Elapsed = time.Since(began).Seconds() // not in the files, which are the same everywhere
	return res, nil
}

// Check implements Checker.
func (Virtual) Check(s *scenario.Scenario) error { return CheckVirtual(s) }

// CheckVirtual returns an error if a part of the scenario cannot run in virtual time, since it reads
// the host's clock.
func CheckVirtual(s *scenario.Scenario) error {
	for _, part := range []struct {
		key, ref string
		clock    func(ref string) bool
	}{
		{"table", s.Table, TableReadsClock},
		{"queue", s.Queue, queueReadsClock}, {"then_queue", s.ThenQueue, queueReadsClock},
		{"admit", s.Admit, admit.ReadsClock}, {"then_admit", s.ThenAdmit, admit.ReadsClock},
		{"retry", s.Retry, readsClock(admit.Retries)}, {"then_retry", s.ThenRetry, readsClock(admit.Retries)},
	} {
		if part.clock(part.ref) {
			return scenario.Bad(part.key, fmt.Sprintf("%q reads the host's clock: it runs on the real engine only", part.ref))
		}
	}
	return nil
}

// TableReadsClock reports whether a lease table reads the host's clock, as one in another process does.
func TableReadsClock(ref string) bool { return readsClock(lease.Catalog)(ref) }

func readsClock[F any](parts *catalog.Catalog[F]) func(ref string) bool {
	return func(ref string) bool {
		e, _, err := parts.Resolve(ref)
		return err == nil && e.HostClock
	}
}

// queueReadsClock reports whether any part of a composed discipline reads the host's clock.
func queueReadsClock(ref string) bool {
	for {
		wrapper, rest, more := strings.Cut(ref, "+")
		if !more {
			return readsClock(queue.Catalog)(ref)
		}
		if readsClock(queue.Wrappers)(wrapper) {
			return true
		}
		ref = rest
	}
}
