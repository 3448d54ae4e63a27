// Package watch has the alerts that would have told of the replayed outage. It holds:
//
//   - [Rules], a table of indicators with thresholds and durations
//   - a [Watch], which evaluates them as Prometheus does and says when each would have fired
//   - the same table as alert rules of Prometheus, and as unit tests for promtool
//
// The outage report names three indicators: empty answers, an enactor that is 10 to 100 times
// slow, and a spike of heartbeat time-outs. The age of the queue and the launches' failures are
// added here. Thresholds and durations are this project's choice: AWS published none of its own.
package watch

import (
	"fmt"
	"math"
	"time"
)

// The rules, by their place in [Rules] and in [Values].
const (
	EmptyAnswers = iota
	SlowEnactor
	HeartbeatTimeouts
	QueueAge
	LaunchFailures
	Count
)

// Rule is one alert: it fires when the indicator has been above a threshold for a time.
type Rule struct {
	Alert   string
	Metric  string // gauge of Prometheus; the largest of all its series counts
	Help    string // of the metric
	Per     string // gauge that Metric is divided by; empty: none
	PerHelp string
	Above   float64       // threshold of Metric, or of Metric over Per
	For     time.Duration // how long the indicator is above the threshold before the alert fires
	Summary string
	// Reported: the outage report names the indicator.
	Reported bool
	// Knew is the PDT time at which the day's people are known to have known, as in "00:38".
	// Empty: not public.
	Knew string
}

// Rules are all rules.
var Rules = [Count]Rule{
	EmptyAnswers: {
		Alert: "LeasestormEmptyAnswers", Metric: "leasestorm_dns_empty_answers_ratio",
		Help:  "share of the DNS answers of the last minute that have no error and no record",
		Above: 0.01, For: time.Minute, Reported: true, Knew: "00:38",
		Summary: "DNS answers without an error and without a record: the name is empty",
	},
	SlowEnactor: {
		Alert: "LeasestormSlowEnactor", Metric: "leasestorm_dns_enactor_walk_seconds",
		Help: "how long the enactor's present walk over the endpoints has taken, or its last if that is longer",
		Per:  "leasestorm_dns_usual_walk_seconds", PerHelp: "median of the enactors' walks",
		Above: 10, For: time.Minute, Reported: true, Knew: "00:38",
		Summary: "an enactor takes more than ten times as long as usual: its plan may be stale",
	},
	HeartbeatTimeouts: {
		Alert: "LeasestormHeartbeatTimeouts", Metric: "leasestorm_manager_timeouts_ratio",
		Help:  "share of the droplets' attempts of the last minute that timed out, checks and establishes",
		Above: 0.01, For: 2 * time.Minute, Reported: true, Knew: "04:14",
		Summary: "heartbeats time out: usual is one in ten thousand",
	},
	QueueAge: {
		Alert: "LeasestormQueueAge", Metric: "leasestorm_queue_age_seconds", Help: "age of the oldest attempt in the manager's queue",
		Per: "leasestorm_manager_timeout_seconds", PerHelp: "how long a droplet waits for an answer",
		Above: 1, For: 2 * time.Minute, Knew: "04:14",
		Summary: "the manager works for droplets that no longer wait: restart or throttle",
	},
	LaunchFailures: {
		Alert: "LeasestormLaunchFailures", Metric: "leasestorm_launch_failures_ratio",
		Help:  "share of the launches of the last minute that failed",
		Above: 0.05, For: 5 * time.Minute,
		Summary: "instance launches fail",
	},
}

// Values are the indicators at one time: Metric, or Metric over Per. NaN: there is no such series.
type Values [Count]float64

// Missing returns values without any series.
func Missing() (v Values) {
	for i := range v {
		v[i] = math.NaN()
	}
	return v
}

// Firing is one alert that fired.
type Firing struct {
	Rule     int
	Pending  time.Duration // first time above the threshold
	Fired    time.Duration
	Resolved time.Duration // 0: it still fires
}

// Watch evaluates the rules at regular times, as Prometheus does: an alert is pending from the
// first evaluation above the threshold, fires at the first one that is For later, and starts anew
// after an evaluation that is not above the threshold.
type Watch struct {
	pending [Count]bool
	since   [Count]time.Duration
	open    [Count]int // place in fired of the alert that fires now, from 1 on; 0: none fires
	fired   []Firing
}

// Step evaluates all rules at now. It returns the rules that begin to fire.
func (w *Watch) Step(now time.Duration, v Values) (began []int) {
	for i := range Rules {
		if !(v[i] > Rules[i].Above) {
			if w.open[i] > 0 {
				w.fired[w.open[i]-1].Resolved = now
			}
			w.pending[i], w.open[i] = false, 0
			continue
		}
		if !w.pending[i] {
			w.pending[i], w.since[i] = true, now
		}
		if w.open[i] == 0 && now-w.since[i] >= Rules[i].For {
			w.fired = append(w.fired, Firing{Rule: i, Pending: w.since[i], Fired: now})
			w.open[i] = len(w.fired)
			began = append(began, i)
		}
	}
	return began
}

// Firing reports whether a rule's alert fires now.
func (w *Watch) Firing(rule int) bool { return w.open[rule] > 0 }

// Fired returns all alerts that fired, in the order of their times.
func (w *Watch) Fired() []Firing { return append([]Firing(nil), w.fired...) }

// First returns the first alert of a rule. ok is false if the rule has not fired.
func (w *Watch) First(rule int) (f Firing, ok bool) {
	for _, f := range w.fired {
		if f.Rule == rule {
			return f, true
		}
	}
	return Firing{}, false
}

// Expr is the rule's expression in PromQL.
func (r *Rule) Expr() string {
	if r.Per == "" {
		return fmt.Sprintf("max(%s) > %g", r.Metric, r.Above)
	}
	return fmt.Sprintf("max(%s) / max(%s) > %g", r.Metric, r.Per, r.Above)
}
