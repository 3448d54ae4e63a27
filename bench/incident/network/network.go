// Package network is the Network Manager of the replayed outage. Every launched and every
// terminated instance needs a network configuration, which is propagated through one FIFO queue by
// workers. An instance can be reached once its configuration has been propagated.
//
// What is public: launches came back at 05:28; the Network Manager then began to propagate the
// configurations of new instances and of those that had been terminated during the event, which
// the lease manager's trouble had held back; its latency rose at 06:21 and was normal at 10:36.
//
// What is inferred: the queue is FIFO and one; what was held back is handed over evenly.
//
// What is calibrated: [Default] has two fitted numbers for these two times. Headroom is fitted to
// 10:36. Release is fitted to 06:21, at which a new configuration waits 5 minutes (also an
// estimate: AWS did not publish how late "latency" was).
package network

import (
	"fmt"
	"math"
	"time"
)

// Late is the delay from which on propagation counts as slow, 5 minutes: an estimate.
const Late = 5 * time.Minute

// Config is the configuration of a Manager.
type Config struct {
	Step     time.Duration // between two calls of Step
	Normal   float64       // usual configurations per second: launches and terminations
	Headroom float64       // the workers' capacity in units of Normal; at least 1
	Usual    time.Duration // what a propagation takes with an empty queue
	// Release is the time over which configurations that were held back are handed over. It
	// begins when the hold ends. 0: all at once.
	Release time.Duration
}

// Default returns the calibrated configuration for a usual rate of configurations per second,
// launches and terminations together.
func Default(step time.Duration, normal float64) Config {
	return Config{Step: step, Normal: normal, Headroom: 1.35, Usual: 2 * time.Second, Release: 4*time.Hour + 20*time.Minute}
}

// Validate returns an error that names the first field that is out of range.
func (c Config) Validate() error {
	switch {
	case c.Step <= 0:
		return fmt.Errorf("network: a step of %v: want more than 0", c.Step)
	case !(c.Normal > 0) || math.IsInf(c.Normal, 1):
		return fmt.Errorf("network: %g configurations per second: want more than 0", c.Normal)
	case !(c.Headroom >= 1 && c.Headroom <= 1000):
		return fmt.Errorf("network: a headroom of %g: want 1 to 1000 times the usual rate", c.Headroom)
	case c.Usual < 0 || c.Release < 0:
		return fmt.Errorf("network: a usual delay of %v and a release over %v: want 0 or more", c.Usual, c.Release)
	}
	return nil
}

// Inputs are what happens in one step.
type Inputs struct {
	Launched   float64 // instances launched in the step
	Terminated float64 // instances terminated in the step
	// Held reports that the lease manager hands nothing over: it cannot write the instances'
	// metadata, or it makes no progress. What is launched and terminated then waits in front of
	// the queue.
	Held bool
}

// Outputs are the state at the end of one step.
type Outputs struct {
	Held       float64       // configurations that the lease manager holds back
	Backlog    float64       // configurations in the queue
	Propagated float64       // configurations propagated in the step
	Reached    float64       // launched instances among these
	Delay      time.Duration // what a configuration that arrives now will take
	Oldest     time.Duration // how long the oldest one in the queue has waited
}

// cohort is what arrived in one step.
type cohort struct {
	at   time.Duration
	left float64 // configurations that are not propagated
	new  float64 // of them, the share that belongs to launched instances
}

// Manager is the Network Manager. It is passive: the caller steps it.
type Manager struct {
	cfg       Config
	perSecond float64  // capacity
	queue     []cohort // oldest first
	head      int      // index of the oldest
	backlog   float64
	launched  float64 // held back
	ended     float64 // held back
	handOver  float64 // of what is held, per step, from the end of the hold on
	held      bool
}

// New returns a manager with an empty queue, or an error if the configuration is out of range.
func New(cfg Config) (*Manager, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Manager{cfg: cfg, perSecond: float64(cfg.Normal * cfg.Headroom)}, nil
}

// Step takes the step from now to now + Config.Step. Steps must follow one another.
func (m *Manager) Step(now time.Duration, in Inputs) (out Outputs) {
	launched, ended := in.Launched, in.Terminated
	if in.Held {
		m.launched += launched
		m.ended += ended
		launched, ended = 0, 0
	} else {
		if m.held { // the hold ends now
			m.handOver = 0 // in configurations per step; 0: all at once
			if m.cfg.Release > 0 {
				m.handOver = float64((m.launched + m.ended) * (float64(m.cfg.Step) / float64(m.cfg.Release)))
			}
		}
		if waiting := m.launched + m.ended; waiting > 0 {
			share := 1.0
			if m.handOver > 0 {
				share = min(1, m.handOver/waiting)
			}
			l, e := float64(m.launched*share), float64(m.ended*share)
			m.launched -= l
			m.ended -= e
			launched += l
			ended += e
		}
	}
	m.held = in.Held
	if n := launched + ended; n > 0 {
		m.queue = append(m.queue, cohort{at: now, left: n, new: launched / n})
		m.backlog += n
	}
	end := now + m.cfg.Step
	out.Propagated, out.Reached = m.serve()
	out.Held, out.Backlog = m.launched+m.ended, m.backlog
	if m.head < len(m.queue) {
		out.Oldest = end - m.queue[m.head].at
	}
	out.Delay = m.cfg.Usual + time.Duration(m.backlog/m.perSecond*float64(time.Second))
	return out
}

// serve propagates what the workers manage in one step, oldest first.
func (m *Manager) serve() (all, launched float64) {
	can := float64(m.perSecond * m.cfg.Step.Seconds())
	for can > 0 && m.head < len(m.queue) {
		c := &m.queue[m.head]
		n := min(can, c.left)
		all += n
		launched += float64(n * c.new)
		can -= n
		if c.left -= n; c.left > 0 {
			break
		}
		m.head++
	}
	if m.backlog -= all; m.head == len(m.queue) {
		m.queue, m.head, m.backlog = m.queue[:0], 0, 0 // no rounding error stays
	} else if m.head > len(m.queue)/2 {
		m.queue = m.queue[:copy(m.queue, m.queue[m.head:])]
		m.head = 0
	}
	return all, launched
}
