package oracle

import (
	"context"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// realService is the mean service time on the host's clock: long compared with the overhead per
// customer, and short enough for many customers.
const realService = 20 * time.Microsecond

// MeasureReal runs a model on this host's cores for about the given length, with real work. It
// compares with the theory at the measured load, because the service time depends on the host. It
// leaves out the probabilities of waiting, and mean squares. Time that the host takes away lengthens the waits: on a
// shared host rows fail that pass on a quiet one. Errors are those of [CheckReal], of ctx, or of a
// host that is too busy.
func MeasureReal(ctx context.Context, m Model, length time.Duration, seed uint64) ([]Row, error) {
	if err := CheckReal(m, length); err != nil {
		return nil, err
	}
	place, arrivals := host.ReadTopology().Place(m.Servers), m.arrivals(length)
	real := &engine.Real{Placement: place, Batch: 1, Seed: seed}
	if err := calibrate(ctx, real); err != nil {
		return nil, err
	}
	real.Draw = m.draw()
	w := newWatch(m, arrivals)
	// The watch counts waits in nominal services. The timeout is in those of the real engine.
	w.timeout = time.Duration(m.Timeout * float64(realService))
	plan, err := w.plan(m)
	if err != nil {
		return nil, err
	}
	src := w.source(m, arrivals, seed, realService)
	plan.Source, plan.WatchPeriod = src, 10*time.Millisecond
	plan.Watch = func(now time.Duration, _ engine.State) bool {
		return src.over() && w.ended+w.lost >= arrivals || now > 3*length
	}
	res, err := real.Run(ctx, plan)
	if err != nil {
		return nil, err
	}
	if done := w.ended + w.lost; done < arrivals {
		return nil, fmt.Errorf("%v: %d of %d customers were answered in %v: the host is too busy, or too slow for services of %v", m, done, arrivals, 3*length, realService)
	}
	total := plan.Log.Total()
	served := total.Done[queue.Failed].Sum()
	if served == 0 {
		return nil, fmt.Errorf("%v: nobody was served: the host is too busy", m)
	}
	// As measured: the service, and with it load and patience in services.
	got := m
	mean := float64(total.Busy) / float64(served)
	scale := mean / float64(realService)
	if m.Name == "repairman" {
		got.Think = m.Think / scale
	} else {
		got.Rho = mean * float64(served) / (float64(res.Elapsed) * float64(m.Servers))
		got.Timeout = m.Timeout / scale
	}
	if m.Name != "repairman" && m.Name != "mmck" && got.Rho >= 1 {
		return nil, fmt.Errorf("%v: the host serves so slowly that the load is %.2f of capacity", m, got.Rho)
	}
	if p, ok := src.(*poisson); ok {
		w.rescale(&w.good, got.Rho/p.rho)
	}
	var rows []Row
	for _, r := range w.rows("real", got, scale*float64(realService)/float64(service)) {
		// Neither probability compares: every customer waits some 100 ns for a worker, and the
		// mean wait in "wait above mean wait" is the nominal one. One gap of the host, of some
		// hundred services, outweighs all squares.
		if r.Quantity == "mean wait" || r.Quantity == "goodput over capacity" || r.Quantity == "loss" {
			r.Params = m.String()
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (w *watch) rescale(s *sums, by float64) {
	for i := range s.sum {
		s.sum[i] = float64(s.sum[i] * by)
	}
}

// calibrate fits the work of a service to realService.
func calibrate(ctx context.Context, real *engine.Real) error {
	const droplets = 1000
	table, err := lease.Make("mutex", lease.Env{Leases: droplets})
	if err != nil {
		return err
	}
	cfg := queue.Config{Timeout: engine.Patience, Workers: len(real.Placement.Workers)}
	q, err := queue.Make("fifo", cfg)
	if err != nil {
		return err
	}
	door, err := admit.Make("none", admit.Config{Timeout: engine.Patience, Capacity: 1, Workers: 1})
	if err != nil {
		return err
	}
	costs := dwfm.Costs{Class: [queue.Classes]float64{1, 1, 1}, Dead: 1}
	mgr, err := dwfm.New(dwfm.Config{Droplets: droplets, TTL: 2 * engine.Patience, Table: table, Queue: q, Admit: door, Costs: costs})
	if err != nil {
		return err
	}
	c, err := engine.NewCalibration(real, mgr, droplets)
	if err != nil {
		return err
	}
	_, err = c.Fit(ctx, engine.Service{realService, realService, realService}, costs)
	return err
}
