package main

import (
	"fmt"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/incident/watch"
	"github.com/leasestorm/leasestorm/bench/metrics"
)

// indicators are what the alert rules of bench/incident/watch look at. The run's own goroutine
// writes them, and a scrape reads them.
type indicators struct {
	usual time.Duration   // of an enactor's walk, the day's clock
	walk  atomic.Duration // the slowest present one
	empty atomic.Float64  // share of the answers of the last minute of the run
	acts  atomic.Int64    // of the operator

	last   []answers // of the last minute
	before rates     // at the last line
}

// answers are the name server's answers to the clients up to a time of the run.
type answers struct {
	at         time.Duration
	all, empty int64
}

// rates are the manager's counts at a time of the run.
type rates struct {
	at           time.Duration
	good, checks uint64
}

// observe takes the indicators at a time of the day.
func (l *live) observe(now time.Duration) {
	i, at := l.watched, l.wall(now)
	i.walk.Store(time.Duration(l.system.Slowness(now) * float64(i.usual)))
	if n := len(i.last); n > 0 && at-i.last[n-1].at < time.Second {
		return
	}
	d := l.names.Stats() // the run's own look-ups are none of a client's
	is := answers{at, d.Queries - l.looks, d.Empty - l.empty}
	for i.last = append(i.last, is); is.at-i.last[0].at > time.Minute; {
		i.last = i.last[1:]
	}
	if from := i.last[0]; is.all > from.all {
		i.empty.Store(float64(is.empty-from.empty) / float64(is.all-from.all))
	} else {
		i.empty.Store(0)
	}
}

// rates is the manager's state in words. Rates are means since the line before.
func (l *live) rates(now time.Duration) string {
	m, is := l.manager, rates{l.wall(now), l.manager.good.Load(), l.manager.checks.Load()}
	was := l.watched.before
	l.watched.before = is
	seconds := max(1e-3, (is.at - was.at).Seconds())
	return fmt.Sprintf("%7d leases live, %8d queued; good: %6.0f checks/s, %6.0f establishes/s",
		m.active.Load(), m.queued.Load(), float64(is.checks-was.checks)/seconds, float64(is.good-was.good)/seconds)
}

// metrics adds the indicators and the manager's state.
func (l *live) metrics() {
	gauge := func(name, help string, read func() float64) { l.registry.Gauge(name, help, nil, read) }
	rule := func(i int, how string, read func() float64) {
		gauge(watch.Rules[i].Metric, watch.Rules[i].Help+how, read)
	}
	rule(watch.EmptyAnswers, "", l.watched.empty.Load)
	rule(watch.SlowEnactor, ", on the day's clock", func() float64 { return l.watched.walk.Load().Seconds() })
	gauge(watch.Rules[watch.SlowEnactor].Per, watch.Rules[watch.SlowEnactor].PerHelp+", on the day's clock", l.watched.usual.Seconds)
	gauge("leasestorm_incident_compression_ratio", "how many times the day's speed the run has", func() float64 { return l.speed })
	l.registry.Counter("leasestorm_operator_actions_total", "what the operator has done at the manager", nil, func() float64 { return float64(l.watched.acts.Load()) })
	m := l.manager
	if m == nil {
		return
	}
	rule(watch.QueueAge, ", estimated: all that wait, served at the planned capacity", func() float64 { return m.age().Seconds() })
	gauge(watch.Rules[watch.QueueAge].Per, watch.Rules[watch.QueueAge].PerHelp, m.scenario.Timeout.Seconds)
	gauge("leasestorm_manager_live_leases", "leases that are live", func() float64 { return float64(m.active.Load()) })
	gauge("leasestorm_manager_queued_attempts", "attempts that wait for a worker", func() float64 { return float64(m.queued.Load()) })
	for class, n := range map[string]*atomic.Uint64{"check": &m.checks, "establish": &m.good} {
		l.registry.Counter("leasestorm_manager_good_total", "good answers of the manager, by class", metrics.Labels{"class": class}, func() float64 { return float64(n.Load()) })
	}
}
