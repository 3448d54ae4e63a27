package engine

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
)

// Patience is the timeout of a calibration's attempts, long enough that none is late. The leases
// of the calibration's manager must live at least as long.
const Patience = time.Hour

// floodBacklog is the number of waiting attempts per worker. No worker finds the queue empty
// between two turns of the generator.
const floodBacklog = 256

// A measurement lasts slicesLead slices that are not counted and slicesCount that are, each of
// sliceLength. The rate is the median over the slices, so one stall of the host has no effect. Slices
// are longer where a slice would have fewer than sliceServices services, up to sliceMost: with four of
// them a rate is a quarter off.
const (
	sliceLength   = 10 * time.Millisecond
	sliceMost     = 200 * time.Millisecond
	sliceServices = 16
	slicesLead    = 2
	slicesCount   = 11
)

// slice is the length of a slice for a class.
func (c *Calibration) slice(class queue.Class) time.Duration {
	each := c.want[class] / time.Duration(len(c.real.Placement.Workers))
	return min(max(sliceLength, sliceServices*each), sliceMost)
}

// flood is a Source that keeps the backlog full with attempts of one class.
type flood struct {
	m       *dwfm.Manager
	tokens  []uint64 // lease by droplet
	class   queue.Class
	backlog int // attempts
	next    int // the latest droplet that asked
	stride  int // from one droplet that asks to the next
	served  int
	marks   []mark // one per slice
}

type mark struct {
	at     time.Duration
	served int
}

func (f *flood) Next(now time.Duration, dst []queue.Item) int {
	n := min(len(dst), f.backlog-f.m.Queued())
	for i := range max(0, n) {
		f.next = (f.next + f.stride) % len(f.tokens)
		dst[i] = queue.Item{
			Born: now, Timeout: queue.ToMicros(Patience), Droplet: uint32(f.next), Lease: f.tokens[f.next], Class: f.class,
		}
	}
	return max(0, n)
}

func (f *flood) Refused(time.Duration, []queue.Item) {}

func (f *flood) Answers(_ time.Duration, answers []dwfm.Answer) {
	f.served += len(answers)
	for i := range answers {
		f.tokens[answers[i].Droplet] = answers[i].Lease
	}
}

// watch marks the end of each slice and ends the flood after the last. On a host on which the
// workers hardly run it waits longer: up to floodPatience for slicesCount services, and up to
// starvation for the first.
func (f *flood) watch(now time.Duration, _ State) bool {
	f.marks = append(f.marks, mark{now, f.served})
	return len(f.marks) > slicesLead+slicesCount && (f.served >= slicesCount || f.served > 0 && now > floodPatience || now > starvation)
}

// floodPatience and starvation bound the length of a flood. See watch.
const floodPatience, starvation = 5 * time.Second, 30 * time.Second

// perSecond is the services per second: the median over the slices, or the mean rate if the
// median is 0.
func (f *flood) perSecond() float64 {
	var rates []float64
	for i := slicesLead + 1; i < len(f.marks); i++ {
		a, b := f.marks[i-1], f.marks[i]
		rates = append(rates, float64(b.served-a.served)/(b.at-a.at).Seconds())
	}
	if len(rates) == 0 {
		return 0
	}
	slices.Sort(rates)
	if median := rates[len(rates)/2]; median > 0 {
		return median
	}
	return float64(f.served) / f.marks[len(f.marks)-1].at.Seconds()
}

// Service is the mean service time by class, on one worker.
type Service [queue.Classes]time.Duration

// Calibration measures service times through the whole path of an attempt: queue, work, epoch
// check and record. The generator runs beside the workers, as in a run. A bare loop would be off
// by up to half, because sibling processors share a core.
type Calibration struct {
	real    *Real
	manager *dwfm.Manager
	tokens  []uint64
	want    Service // of the latest fit
}

// NewCalibration seeds m with a lease for each of n droplets. m must admit every attempt.
func NewCalibration(r *Real, m *dwfm.Manager, n int) (*Calibration, error) {
	c := &Calibration{real: r, manager: m, tokens: make([]uint64, n)}
	for i := range c.tokens {
		id, err := m.Seed(0, min(Patience, lease.MaxDeadline), uint32(i))
		if err != nil {
			return nil, fmt.Errorf("calibration: %w", err)
		}
		c.tokens[i] = uint64(id)
	}
	return c, nil
}

// Measure floods the manager with attempts of one class and returns the mean service time on one
// worker. The error is that of ctx if the measurement was interrupted.
func (c *Calibration) Measure(ctx context.Context, class queue.Class) (time.Duration, error) {
	workers := len(c.real.Placement.Workers)
	f := &flood{
		m: c.manager, tokens: c.tokens, class: class,
		backlog: max(1, min(floodBacklog*workers, len(c.tokens)/2)),
		stride:  coprime(len(c.tokens)), marks: make([]mark, 0, slicesLead+slicesCount+1),
	}
	log := record.NewLog(record.Shape{
		Leases: len(c.tokens), Workers: workers, Step: 100 * time.Millisecond, Phases: []record.Phase{{Name: "calibration"}},
	})
	if _, err := c.real.Run(ctx, &Plan{
		Manager: Local(c.manager), Source: f, Log: log, End: math.MaxInt64, Watch: f.watch, WatchPeriod: c.slice(class),
	}); err != nil {
		return 0, err
	}
	// The next measurement must find the queue empty.
	for side, dst := c.manager.Worker(0), make([]queue.Item, 64); ; {
		if taken, dropped := side.Take(0, dst); taken+dropped == 0 {
			break
		}
	}
	rate := f.perSecond()
	if rate <= 0 {
		return 0, fmt.Errorf("calibration: no %v was served within %v: this host is too busy, or cannot run the scenario; look at leasestorm doctor", class, starvation)
	}
	return time.Duration(float64(workers) / rate * 1e9), nil
}

// coprime is a stride of about 0.618·n that visits all n droplets.
func coprime(n int) int {
	for s := max(1, n*618/1000); ; s++ {
		if gcd(s, n) == 1 {
			return s
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

const (
	fitGood  = 0.02 // relative error of a service at which its fit is done
	fitTries = 6    // most measurements in a fit, after the first
)

// Fit finds the number of blocks for which each class has the service time that want asks for,
// and sets the engine's Blocks. It returns the service times measured with these Blocks. A launch
// is not measured: it has the establish's blocks per unit of cost.
func (c *Calibration) Fit(ctx context.Context, want Service, costs dwfm.Costs) (got Service, err error) {
	c.want = want
	for class := range queue.Launch {
		if got[class], err = c.fit(ctx, class, want[class], costs.Class[class]); err != nil {
			return got, err
		}
	}
	perUnit := c.real.Blocks[queue.Establish]
	c.real.Blocks[queue.Launch] = perUnit
	got[queue.Launch] = time.Duration(float64(got[queue.Establish]) * costs.Class[queue.Launch] / costs.Class[queue.Establish])
	return got, nil
}

// fit solves service = path + slope·blocks for one class: it measures, corrects the slope, and
// repeats. The best of fitTries measurements counts.
func (c *Calibration) fit(ctx context.Context, class queue.Class, want time.Duration, cost float64) (time.Duration, error) {
	blocks := math.Max(2, float64(want)/float64(blockTime()))
	at := func(n float64) (time.Duration, error) {
		c.real.Blocks[class] = n / cost
		return c.Measure(ctx, class)
	}
	low, err := at(blocks / 2)
	if err != nil {
		return 0, err
	}
	slope := float64(want) / blocks
	best, bestBlocks := time.Duration(0), blocks
	n := blocks
	for range fitTries {
		got, err := at(n)
		if err != nil {
			return 0, err
		}
		if best == 0 || (got-want).Abs() < (best-want).Abs() {
			best, bestBlocks = got, n
		}
		if float64((got - want).Abs()) < fitGood*float64(want) {
			break
		}
		if n > blocks*0.6 {
			if s := float64(got-low) / (n - float64(blocks/2)); s > 0 {
				slope = s
			}
		}
		// A slope from two noisy measurements may be next to nothing: a step is bounded.
		if n = max(1, n/4, min(4*n, n+float64(want-got)/slope)); n == 1 && bestBlocks <= 1 {
			break // the path takes longer than want, or the host is busy: the run reports it
		}
	}
	c.real.Blocks[class] = bestBlocks / cost
	return best, nil
}

// blockTime is a first estimate of the time to hash one block, from a bare loop.
func blockTime() time.Duration {
	const turns, blocks = 200, 250
	l := newLabourer()
	start := time.Now()
	for range turns {
		l.work(0, blocks)
	}
	return max(1, time.Since(start)/(turns*blocks))
}
