package controllershield

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// instruments are a queue's metrics, as client-go defines them. The depth counts what is due. Calls on a nil
// pointer do nothing. The queue's lock is held.
type instruments struct {
	depth                         func(priority int) workqueue.GaugeMetric
	adds, retries                 workqueue.CounterMetric
	latency, took                 workqueue.HistogramMetric
	unfinishedSeconds, longestNow workqueue.SettableGaugeMetric
}

func (m *instruments) added(priority int) {
	if m != nil {
		m.adds.Inc()
		m.depth(priority).Inc()
	}
}

func (m *instruments) got(priority int, waited time.Duration) {
	if m != nil {
		m.depth(priority).Dec()
		m.latency.Observe(waited.Seconds())
	}
}

func (m *instruments) gaveUp(priority int) {
	if m != nil {
		m.depth(priority).Dec()
	}
}

func (m *instruments) raised(from, to int) {
	if m != nil {
		m.depth(from).Dec()
		m.depth(to).Inc()
	}
}

func (m *instruments) done(took time.Duration) {
	if m != nil {
		m.took.Observe(took.Seconds())
	}
}

func (m *instruments) retried() {
	if m != nil {
		m.retries.Inc()
	}
}

func (m *instruments) unfinished(all, longest time.Duration) {
	m.unfinishedSeconds.Set(all.Seconds())
	m.longestNow.Set(longest.Seconds())
}

func newInstruments(name string, p workqueue.MetricsProvider) (*instruments, error) {
	if p == nil {
		s, err := ofControllerRuntime()
		return &instruments{
			depth: func(priority int) workqueue.GaugeMetric { return s.depth.WithLabelValues(name, name, label(priority)) },
			adds:  s.adds.WithLabelValues(name, name), retries: s.retries.WithLabelValues(name, name),
			latency: s.latency.WithLabelValues(name, name), took: s.took.WithLabelValues(name, name),
			unfinishedSeconds: s.unfinished.WithLabelValues(name, name), longestNow: s.longest.WithLabelValues(name, name),
		}, err
	}
	depth := p.NewDepthMetric(name)
	return &instruments{
		depth: func(int) workqueue.GaugeMetric { return depth },
		adds:  p.NewAddsMetric(name), retries: p.NewRetriesMetric(name),
		latency: p.NewLatencyMetric(name), took: p.NewWorkDurationMetric(name),
		unfinishedSeconds: p.NewUnfinishedWorkSecondsMetric(name), longestNow: p.NewLongestRunningProcessorSecondsMetric(name),
	}, nil
}

// series are what stands in controller-runtime's registry, of all queues.
type series struct {
	depth               *prometheus.GaugeVec
	adds, retries       *prometheus.CounterVec
	latency, took       *prometheus.HistogramVec
	unfinished, longest *prometheus.GaugeVec
}

// ofControllerRuntime finds the series of controller-runtime 0.25. It does not export them, but a registry gives
// back what it has to whom registers the same. Names, labels and texts must be the same.
var ofControllerRuntime = sync.OnceValues(func() (s series, err error) {
	labels := []string{"name", "controller"}
	counter := func(name, help string) *prometheus.CounterVec {
		return registered(prometheus.NewCounterVec(prometheus.CounterOpts{Subsystem: metrics.WorkQueueSubsystem, Name: name, Help: help}, labels), &err)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return registered(prometheus.NewGaugeVec(prometheus.GaugeOpts{Subsystem: metrics.WorkQueueSubsystem, Name: name, Help: help}, labels), &err)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return registered(prometheus.NewHistogramVec(prometheus.HistogramOpts{Subsystem: metrics.WorkQueueSubsystem, Name: name, Help: help}, labels), &err)
	}
	s = series{
		depth: gauge(metrics.DepthKey, "Current depth of workqueue by workqueue and priority", "name", "controller", "priority"),
		adds:  counter(metrics.AddsKey, "Total number of adds handled by workqueue"),
		retries: counter(metrics.RetriesKey, "Total number of items added to the workqueue with a non-zero delay "+
			"(rate-limited requeues, explicit RequeueAfter or AddAfter calls)"),
		latency: histogram(metrics.QueueLatencyKey, "How long in seconds an item stays in workqueue before being requested"),
		took:    histogram(metrics.WorkDurationKey, "How long in seconds processing an item from workqueue takes."),
		unfinished: gauge(metrics.UnfinishedWorkKey, "How many seconds of work has been done that is in progress and hasn't been observed by work_duration. Large "+
			"values indicate stuck threads. One can deduce the number of stuck threads by observing the rate at which this increases.", labels...),
		longest: gauge(metrics.LongestRunningProcessorKey, "How many seconds has the longest running processor for workqueue been running.", labels...),
	}
	return s, err
})

// registered is what the registry has under the collector's name.
func registered[C prometheus.Collector](c C, failed *error) C {
	err := metrics.Registry.Register(c)
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if old, ok := there.ExistingCollector.(C); ok {
			return old
		}
	}
	if err != nil {
		*failed = errors.Join(*failed, fmt.Errorf("controller-runtime has others of its own, name a provider: %w", err))
	}
	return c
}

// label bounds how many series the depth has: priorities far from controller-runtime's own share one.
func label(priority int) string {
	if priority < -100 || priority > 100 {
		return "other"
	}
	return strconv.Itoa(priority)
}
