package study

import (
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// pace learns from the runs that are done how long the next ones take. The zero value is ready.
type pace struct {
	mu     sync.Mutex
	by     map[string][]float64 // s, by contestant
	ratios []float64            // of what runs took over what was expected of them
}

// done tells of a run of a contestant, which was expected to take that long without a pace.
func (p *pace) done(contestant string, expected, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string][]float64{}
	}
	p.by[contestant] = append(p.by[contestant], took.Seconds())
	if expected > 0 {
		p.ratios = append(p.ratios, took.Seconds()/expected.Seconds())
	}
}

// estimate is about how long a run takes: as those of the same contestant; if there is none, as it
// is expected to, times what the others took of that.
func (p *pace) estimate(contestant string, expected time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if m := medianOf(p.by[contestant]); m != nil {
		return time.Duration(*m * float64(time.Second))
	}
	if m := medianOf(p.ratios); m != nil {
		return time.Duration(*m * float64(expected))
	}
	return expected
}

// contestantOf names what makes runs take equally long.
func contestantOf(s scenario.Scenario) string {
	return strings.Join([]string{s.Name, s.Queue, s.Admit, s.Retry, s.Operator, s.ThenQueue, s.ThenAdmit, s.ThenRetry}, "\x00")
}

// apriori is about how long a run takes, set-up included, before any has been made.
func apriori(runner bench.Runner, s scenario.Scenario) time.Duration {
	if !runner.Alone() {
		// Each check and each try of a broken lease is a service or two of a fraction of a microsecond.
		length := (s.Steady + s.Outage + 8*s.Timeout).Seconds()
		services := float64(float64(s.Leases)*(1+length/s.Interval.Seconds())) + float64(8*float64(s.Broken))
		return 5*time.Millisecond + time.Duration(services*300)
	}
	t := 2*time.Second + s.Steady + s.Outage + 8*s.Timeout
	if s.Operator != "none" {
		t += s.OperatorAt + 8*s.Timeout
	}
	if length, ok := bench.RampLength(s); ok {
		t = 2*time.Second + length
	}
	return t
}
