package bench

import (
	"math"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
)

// watch shows the judge a run, described by active leases, queue and rate of good
// establishes at each time, until it ends it or the run is 60 s long.
func watch(j *Judge, at func(t float64) (active, queued int, rate float64)) (ended time.Duration) {
	good := 0.0
	period := j.Timeout / WatchesPerTimeout
	for now := time.Duration(0); now < time.Minute; now += period {
		active, queued, rate := at(now.Seconds())
		good += rate * period.Seconds()
		if j.Watch(now, engine.State{Active: active, Queued: queued, Good: uint64(good)}) {
			return now
		}
	}
	return time.Minute
}

func TestJudge(t *testing.T) {
	const n, b, capacity = 1_000_000, 100_000, 50_000.0
	lost := func(x float64) int { return n - int(x) }
	tests := []struct {
		name    string
		at      func(t float64) (int, int, float64)
		verdict Verdict
		ttr     float64 // s; -1: none
		ended   float64 // s
	}{
		{"nothing happens", func(float64) (int, int, float64) { return n, 3, 0 }, Healthy, 0, 7},
		{"100 lost are nothing", func(t float64) (int, int, float64) { return n - 100, 3, 0 }, Healthy, 0, 7},
		{"back in 4 s", func(t float64) (int, int, float64) {
			if t < 2 {
				return lost(b), 3, 0
			}
			return lost(max(0, b-(t-2)*25_000)), 3, 25_000
		}, Recovered, 3.96, 10.96}, // 99.9 % are back when 1,000 are still lost
		{"nobody comes back", func(t float64) (int, int, float64) {
			if t < 2 {
				return n, 3, 0
			}
			return lost(b), int(t * 1e5), 0
		}, Collapsed, -1, 8}, // a timeout to look back on, five without progress
		{"half come back, then nobody", func(t float64) (int, int, float64) {
			switch {
			case t < 2:
				return n, 3, 0
			case t < 3:
				return lost(b - (t-2)*50_000), int(t * 1e5), 50_000
			}
			return lost(b / 2), int(t * 1e5), 0
		}, Collapsed, -1, 8.95}, // 3 s + a timeout till the window has less than 5 % + five
		{"few, but steadily", func(t float64) (int, int, float64) {
			return lost(b), 100, 0.06 * capacity
		}, Degraded, -1, 60},
		{"a tail that thins out", func(t float64) (int, int, float64) {
			left := b * math.Exp2(-max(0, t-2)/3)
			return lost(left), 3, left * math.Ln2 / 3
		}, Recovered, 19.93, 26.93},
		{"a pause of 4 timeouts", func(t float64) (int, int, float64) {
			switch {
			case t < 6:
				return lost(b), 3, 0
			case t < 10:
				return lost(b - (t-6)*25_000), 3, 25_000
			}
			return n, 3, 0
		}, Recovered, 7.96, 14.96},
		{"a relapse", func(t float64) (int, int, float64) {
			if t > 5 && t < 6 {
				return lost(b), 3, 0
			}
			return n, 3, 0
		}, Recovered, 3.99, 10.99},
		{"leases back, queue not", func(t float64) (int, int, float64) {
			switch {
			case t < 2:
				return n, 3, 0
			case t < 3:
				return lost(b), 50_000, capacity
			}
			return n, 50_000, 0
		}, Recovered, 0.99, 12.99},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := &Judge{Leases: n, Timeout: time.Second, Capacity: capacity, Return: 2 * time.Second}
			ended := watch(j, tt.at)
			ttr, ok := j.TTR()
			if !ok {
				ttr = -time.Second
			}
			if j.Verdict() != tt.verdict || (ttr.Seconds()-tt.ttr) > 0.03 || (tt.ttr-ttr.Seconds()) > 0.03 ||
				ended.Seconds()-tt.ended > 0.06 || tt.ended-ended.Seconds() > 0.06 {
				t.Errorf("%v after %v, ended at %v; want %v, %v s, %v s", j.Verdict(), ttr, ended, tt.verdict, tt.ttr, tt.ended)
			}
		})
	}
}
