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

// Times adds a distribution of times. read is called at each scrape. It returns a histogram in
// nanoseconds that nobody writes any longer, a copy if need be; nil stands for an empty one.
func (r *Registry) Times(name, help string, labels Labels, read func() *hdrhistogram.Histogram) {
	must(name, strings.HasSuffix(name, "_seconds"), "a distribution of times ends in _seconds")
	r.all.MustRegister(&times{prometheus.NewDesc(name, help, nil, labels), read})
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

// Bounds are the upper bounds of a distribution's buckets, in nanoseconds: 1, 2 and 5 in each
// decade from 10 µs to 500 s.
var Bounds = bounds()

func bounds() (all []int64) {
	for decade := int64(10_000); decade <= 100_000_000_000; decade *= 10 {
		all = append(all, decade, 2*decade, 5*decade)
	}
	return all
}

// times is a distribution that is copied from an HdrHistogram at each scrape. An Observe per
// value would cost ten times what a record in the HdrHistogram does.
type times struct {
	desc *prometheus.Desc
	read func() *hdrhistogram.Histogram
}

// Describe implements prometheus.Collector.
func (t *times) Describe(to chan<- *prometheus.Desc) { to <- t.desc }

// Collect implements prometheus.Collector.
func (t *times) Collect(to chan<- prometheus.Metric) {
	count, sum, buckets := copied(t.read())
	to <- prometheus.MustNewConstHistogram(t.desc, count, sum, buckets)
}

// copied is a histogram in the form of Prometheus: the number of values, their sum in seconds, and
// the number of values at or below each bound in seconds. A value is where its bucket ends, so
// that none is counted as faster than it was.
func copied(h *hdrhistogram.Histogram) (count uint64, sum float64, buckets map[float64]uint64) {
	buckets = make(map[float64]uint64, len(Bounds))
	if h != nil {
		i := 0
		for _, bar := range h.Distribution() {
			for i < len(Bounds) && bar.To > Bounds[i] {
				buckets[seconds(Bounds[i])] = count
				i++
			}
			count += uint64(bar.Count)
			sum += float64(bar.Count) * seconds(bar.To)
		}
		for ; i < len(Bounds); i++ {
			buckets[seconds(Bounds[i])] = count
		}
		return count, sum, buckets
	}
	for _, b := range Bounds {
		buckets[seconds(b)] = 0
	}
	return 0, 0, buckets
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
