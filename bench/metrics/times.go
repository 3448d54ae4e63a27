package metrics

import (
	"errors"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Bounds are the upper bounds of a distribution's classic buckets, in nanoseconds: 1, 2 and 5 in each
// decade from 10 µs to 500 s.
var Bounds = bounds()

func bounds() (all []int64) {
	for decade := int64(10_000); decade <= 100_000_000_000; decade *= 10 {
		all = append(all, decade, 2*decade, 5*decade)
	}
	return all
}

// Schema is the resolution of the native histograms: 2^Schema buckets in each power of two, so that
// a bucket's upper bound is 9 % above its lower one. Values of 0 stand in the zero bucket, which ends
// at ZeroThreshold.
const (
	Schema        = 3
	ZeroThreshold = 1e-9 // seconds
)

// fractions are the upper bounds of the buckets of one power of two, from 1/2 to below 1: those of the
// specification, 2^(i/2^Schema - 1).
var fractions = func() (all [1 << Schema]float64) {
	for i := range all {
		all[i] = math.Exp2(float64(i)/(1<<Schema) - 1)
	}
	return all
}()

// bucket is the index of the native bucket of x seconds: bucket i holds the values in
// (2^((i-1)/2^Schema), 2^(i/2^Schema)].
func bucket(x float64) int {
	fraction, exponent := math.Frexp(x)
	place, _ := slices.BinarySearch(fractions[:], fraction)
	return (exponent-1)<<Schema + place
}

// times is a distribution that is copied from an HdrHistogram at each scrape. An Observe per
// value would cost ten times what a record in the HdrHistogram does.
type times struct {
	desc *prometheus.Desc
	unit time.Duration
	read func() *hdrhistogram.Histogram
}

// Describe implements prometheus.Collector.
func (t *times) Describe(to chan<- *prometheus.Desc) { to <- t.desc }

// Collect implements prometheus.Collector.
func (t *times) Collect(to chan<- prometheus.Metric) { to <- t.metric(copied(t.read(), t.unit)) }

func (t *times) metric(c counts) prometheus.Metric {
	classic, err := prometheus.NewConstHistogram(t.desc, c.n, c.sum, c.classic)
	if err != nil {
		return prometheus.NewInvalidMetric(t.desc, err)
	}
	native, err := prometheus.NewConstNativeHistogram(t.desc, c.n, c.sum, c.native, nil, c.zero, Schema, ZeroThreshold, time.Time{})
	if err != nil {
		return prometheus.NewInvalidMetric(t.desc, err)
	}
	return both{classic, native}
}

// both is a distribution in its two forms. The text format has the first only.
type both struct{ classic, native prometheus.Metric }

// Desc implements prometheus.Metric.
func (b both) Desc() *prometheus.Desc { return b.classic.Desc() }

// Write implements prometheus.Metric.
func (b both) Write(out *dto.Metric) error {
	var native dto.Metric
	if err := errors.Join(b.classic.Write(out), b.native.Write(&native)); err != nil {
		return err
	}
	h, n := out.Histogram, native.Histogram
	h.Schema, h.ZeroThreshold, h.ZeroCount, h.PositiveSpan, h.PositiveDelta = n.Schema, n.ZeroThreshold, n.ZeroCount, n.PositiveSpan, n.PositiveDelta
	return nil
}

// counts are a histogram in the forms of Prometheus.
type counts struct {
	n       uint64
	sum     float64            // seconds
	classic map[float64]uint64 // values at or below each bound in seconds
	native  map[int]int64      // values in each bucket
	zero    uint64             // values in the zero bucket
}

// copied takes each value where its bucket ends, so that none is counted as faster than it was.
func copied(h *hdrhistogram.Histogram, unit time.Duration) counts {
	c := counts{classic: make(map[float64]uint64, len(Bounds)), native: map[int]int64{}}
	i := 0
	pass := func(end int64) { // the bounds below end
		for ; i < len(Bounds) && end > Bounds[i]; i++ {
			c.classic[seconds(Bounds[i])] = c.n
		}
	}
	if h != nil {
		for _, bar := range h.Distribution() {
			if bar.Count == 0 {
				continue
			}
			end := int64(math.MaxInt64)
			if bar.To < (math.MaxInt64-int64(unit))/int64(unit) {
				end = bar.To*int64(unit) + int64(unit) - 1
			}
			pass(end)
			c.n += uint64(bar.Count)
			c.sum += float64(bar.Count) * seconds(end)
			if end == 0 {
				c.zero += uint64(bar.Count)
			} else {
				c.native[bucket(seconds(end))] += bar.Count
			}
		}
	}
	pass(math.MaxInt64)
	return c
}

func seconds(ns int64) float64 { return float64(ns) / 1e9 }
