package study

import (
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// pace learns from the runs that are done how long the next ones take.
type pace struct {
	runner bench.Runner
	mu     sync.Mutex
	by     map[string][]float64 // s, by contestant
	ratios []float64            // of what runs took over what was expected of them
}

// done tells of a run.
func (p *pace) done(s scenario.Scenario, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by == nil {
		p.by = map[string][]float64{}
	}
	who := contestantOf(s)
	p.by[who] = append(p.by[who], took.Seconds())
	if expected := apriori(p.runner, s); expected > 0 {
		p.ratios = append(p.ratios, took.Seconds()/expected.Seconds())
	}
}

// estimate is about how long these runs take, one after another: each as those of the same
// contestant; if there is none, as it is expected to, times what the others took of that.
func (p *pace) estimate(runs ...scenario.Scenario) (sum time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ratio := 1.0
	if m := medianOf(p.ratios); m != nil {
		ratio = *m
	}
	medians := map[string]*float64{}
	for _, s := range runs {
		who := contestantOf(s)
		m, known := medians[who]
		if !known {
			m = medianOf(p.by[who])
			medians[who] = m
		}
		if m != nil {
			sum += time.Duration(*m * float64(time.Second))
		} else {
			sum += time.Duration(ratio * float64(apriori(p.runner, s)))
		}
	}
	return sum
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
