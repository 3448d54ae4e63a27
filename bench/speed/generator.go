package speed

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/bench/internal/show"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// GeneratorOptions configure [Generate].
type GeneratorOptions struct {
	Droplets int
	Rate     float64 // attempts per second that the droplets' schedules ask for
	Length   time.Duration
	Seed     uint64
}

// Generated is how well one pinned generator kept its schedule. Its target answers at once. Slip,
// Gaps and Own are p50, p99, p99.9 and the maximum, in s; they are nil if there are no values.
type Generated struct {
	Droplets  int     `json:"droplets"`
	Asked     float64 `json:"asked_per_second"` // attempts
	Issued    int     `json:"attempts"`
	PerSecond float64 `json:"per_second"`           // attempts issued
	Busy      float64 `json:"busy_share"`           // of the generator's time
	Allocs    uint64  `json:"allocations"`          // of the whole process
	Switches  int64   `json:"involuntary_switches"` // of the whole process
	// Slip is the time from when an attempt was due until it was issued.
	Slip *[4]float64 `json:"slip_s"`
	// Gaps are the gaps of a thread on another processor, at the same time, that only reads the
	// clock.
	Gaps *[4]float64 `json:"gaps_s"`
	// Own are the gaps of the generator between two readings of the clock without an attempt.
	Own     *[4]float64   `json:"own_gaps_s"`
	Note    string        `json:"note,omitempty"` // limits of the placement
	Elapsed time.Duration `json:"elapsed_ns"`
}

func quantiles(l *record.Latency) *[4]float64 {
	if l.TotalCount() == 0 {
		return nil
	}
	return &[4]float64{l.Quantile(.5), l.Quantile(.99), l.Quantile(.999), l.Max.Seconds()}
}

// Generate measures the generator in isolation: a fleet whose checks come at o.Rate. The generator
// issues all attempts that are due, up to 64 at a time. The error is that of ctx if the measurement
// was interrupted.
func Generate(ctx context.Context, o GeneratorOptions) (*Generated, error) {
	if o.Droplets < 1 || !(o.Rate > 0) || o.Length <= 0 {
		return nil, errors.New("speed: a generator needs at least one droplet, a rate and a length above 0")
	}
	interval := time.Duration(float64(o.Droplets) / o.Rate * 1e9).Round(time.Microsecond) // as timeouts are
	if interval < time.Microsecond {
		return nil, fmt.Errorf("speed: %d droplets at %.0f attempts a second ask every %v: want 1 µs or more between two of one droplet", o.Droplets, o.Rate, interval)
	}
	retry, err := admit.MakeRetry("immediate", interval)
	if err != nil {
		return nil, err
	}
	f, err := fleet.New(fleet.Config{
		Droplets: o.Droplets, Interval: interval, Timeout: interval, TTL: time.Hour, Retry: retry, Seed: o.Seed,
	}, func(droplet uint32, _ time.Duration) (lease.ID, error) { return lease.MakeID(droplet, 1), nil })
	if err != nil {
		return nil, err
	}
	place := host.ReadTopology().Place(1)
	procs := runtime.GOMAXPROCS(3)
	defer runtime.GOMAXPROCS(procs)
	runtime.GC()
	g := &Generated{Droplets: o.Droplets, Asked: o.Rate, Note: place.Note}
	slip, gaps, own := record.NewLatency(), record.NewLatency(), record.NewLatency()
	var started, stop atomic.Bool
	var ready, done sync.WaitGroup
	var clock host.Clock
	ready.Add(2)
	done.Go(func() { // the idle thread
		_ = host.Pin(place.Workers[0])
		ready.Done()
		for !started.Load() {
			runtime.Gosched()
		}
		for last := clock.Now(); !stop.Load(); {
			now := clock.Now()
			gaps.RecordGap(last, now)
			if last = now; place.TakesTurns {
				time.Sleep(20 * time.Microsecond)
			}
		}
	})
	done.Go(func() {
		defer stop.Store(true)
		if err := host.Pin(place.Generator); err != nil {
			g.Note = "not pinned: " + err.Error()
		}
		ready.Done()
		for !started.Load() {
			runtime.Gosched()
		}
		generate(ctx, f, &clock, o.Length, slip, own, g)
	})
	ready.Wait()
	usage := host.ReadUsage()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	clock = host.NewClock()
	started.Store(true)
	done.Wait()
	runtime.ReadMemStats(&after)
	g.Allocs = after.Mallocs - before.Mallocs
	g.Switches = host.ReadUsage().Sub(usage).Involuntary
	g.Slip, g.Gaps, g.Own = quantiles(slip), quantiles(gaps), quantiles(own)
	return g, ctx.Err()
}

// generate is the generator's loop, with a target that answers at once. It issues every attempt
// that is due within length, however late.
func generate(ctx context.Context, f *fleet.Fleet, clock *host.Clock, length time.Duration, slip, own *record.Latency, g *Generated) {
	var items [64]queue.Item
	var answers [64]dwfm.Answer
	busy, now := time.Duration(0), clock.Now()
	for looks := 0; ; looks++ {
		n := f.Next(min(now, length), items[:])
		if n == 0 {
			if now >= length {
				break
			}
			host.Pause(16)
			if looks%1024 == 0 && ctx.Err() != nil {
				break
			}
			last := now
			now = clock.Now()
			own.RecordGap(last, now)
			continue
		}
		for i := range items[:n] {
			it := &items[i]
			slip.Record(now - it.Born)
			answers[i] = dwfm.Answer{Born: it.Born, Until: now + time.Hour, Lease: it.Lease, Droplet: it.Droplet, Class: it.Class}
		}
		f.Answers(now, answers[:n])
		g.Issued += n
		end := clock.Now()
		busy += end - now
		now = end
	}
	g.Elapsed = now
	g.PerSecond = float64(g.Issued) / now.Seconds()
	g.Busy = float64(busy) / float64(now)
}

// String returns the measurement as lines for a person.
func (g *Generated) String() string {
	line := func(q *[4]float64) string {
		if q == nil {
			return "–"
		}
		return fmt.Sprintf("p50 %.1f µs, p99 %.1f µs, p99.9 %.1f µs, longest %.1f µs", q[0]*1e6, q[1]*1e6, q[2]*1e6, q[3]*1e6)
	}
	s := fmt.Sprintf("%s attempts in %.2f s: %.3g million/s of %.3g million/s on schedule, busy %.0f %%, %s allocations\nslip            %s\nits own gaps    %s\nan idle thread  %s\n",
		show.Count(g.Issued), g.Elapsed.Seconds(), g.PerSecond/1e6, g.Asked/1e6, 100*g.Busy, show.Count(g.Allocs), line(g.Slip), line(g.Own), line(g.Gaps))
	if g.Note != "" {
		s += g.Note + "\n"
	}
	return s
}
