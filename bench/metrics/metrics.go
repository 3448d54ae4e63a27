// Package metrics serves the metrics of a run to Prometheus: how they are named, in which units they
// are, and the listener.
//
// A name is leasestorm_PART_WHAT, for example leasestorm_dns_queries_total. Units are Prometheus's
// base units: seconds and bytes, and ratios from 0 to 1. A name ends in
//
//   - _total, if it is a counter
//   - _seconds, if it is a distribution of times
//   - its unit (_seconds, _bytes, _ratio), if it is a gauge of that unit; a gauge that counts
//     things ends in their name
//
// A run's loops do not call this package. A metric is a function that is called at each scrape
// and reads what the run keeps anyway: a counter, or an HdrHistogram.
package metrics

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/client_golang/prometheus"
)

// Labels are the labels of one metric, by name.
type Labels = prometheus.Labels

// Registry has the metrics of a run. Its methods are safe for concurrent use. A method that adds
// a metric panics if the name breaks the convention or is there with the same labels: both are
// mistakes of the program, and neither depends on its input.
type Registry struct{ all *prometheus.Registry }

// New returns a registry without metrics.
func New() *Registry { return &Registry{prometheus.NewRegistry()} }

// Counter adds a counter: a number that never falls. read is called at each scrape.
func (r *Registry) Counter(name, help string, labels Labels, read func() float64) {
	must(name, strings.HasSuffix(name, "_total"), "a counter ends in _total")
	r.all.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Gauge adds a gauge: a number that rises and falls. read is called at each scrape.
func (r *Registry) Gauge(name, help string, labels Labels, read func() float64) {
	must(name, !strings.HasSuffix(name, "_total"), "_total is for counters")
	r.all.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, read))
}

// Times adds a distribution of times. read is called at each scrape. It returns a histogram that
// nobody writes any longer, a copy if need be; nil stands for an empty one. The histogram counts whole
// units, rounded down: nanoseconds, or the microseconds of package record.
//
// Prometheus gets the distribution in both of its forms: in the buckets of [Bounds], and as a native
// histogram, which it asks for by the protobuf format.
func (r *Registry) Times(name, help string, labels Labels, unit time.Duration, read func() *hdrhistogram.Histogram) {
	must(name, strings.HasSuffix(name, "_seconds"), "a distribution of times ends in _seconds")
	r.all.MustRegister(&times{prometheus.NewDesc(name, help, nil, labels), unit, read})
}

// named is the form of a name.
var named = regexp.MustCompile(`^leasestorm(_[a-z0-9]+){2,}$`)

func must(name string, ok bool, want string) {
	if !named.MatchString(name) {
		ok, want = false, "want leasestorm_PART_WHAT in lower case"
	}
	if !ok {
		panic(fmt.Sprintf("metrics: name %q: %s", name, want))
	}
}
