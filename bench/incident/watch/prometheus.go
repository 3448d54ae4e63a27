package watch

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The files in scripts/ with the alert rules and their unit tests. A test holds them equal to
// [AlertRules] and [AlertTests].
const (
	RulesFile = "incident-alerts.yml"
	TestsFile = "incident-alerts-test.yml"
)

const made = "# Made from the table in bench/incident/watch by go test ./bench/incident/watch -update; do not edit.\n"

// AlertRules returns the rules as a file of alert rules of Prometheus.
func AlertRules() string {
	var b strings.Builder
	b.WriteString(made + "groups:\n  - name: leasestorm-incident\n    rules:\n")
	for i := range Rules {
		r := &Rules[i]
		fmt.Fprintf(&b, "      - alert: %s\n        expr: %s\n        for: %s\n        labels:\n          severity: page\n        annotations:\n          summary: %q\n",
			r.Alert, r.Expr(), prometheusTime(r.For), r.Summary)
	}
	return b.String()
}

// prometheusTime formats whole seconds as Prometheus reads them: 1m30s.
func prometheusTime(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// every is the interval of the unit tests' samples and evaluations.
const every = 30 * time.Second

// segment is a stretch of equal samples.
type segment struct {
	value   float64 // NaN: the series is gone
	samples int
}

// story is a series for one rule: at the threshold for long, above it for too short a time, twice
// so with a sample missing between, and above it for long.
func story(r *Rule) []segment {
	n := int(r.For / every) // n samples are just too few
	low, high, gone := 0.0, 2*r.Above, math.NaN()
	return []segment{{low, 4}, {r.Above, n + 3}, {low, 2}, {high, n}, {low, 2}, {high, n}, {gone, 1}, {high, n}, {low, 2}, {high, n + 4}, {low, 4}}
}

// AlertTests returns unit tests of the rules for promtool. What they expect is what a [Watch] says
// of the same series. So promtool checks that both evaluate the rules alike.
func AlertTests() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%srule_files:\n  - %s\nevaluation_interval: %v\ntests:\n", made, RulesFile, every)
	for i := range Rules {
		r := &Rules[i]
		per := 1.0
		fmt.Fprintf(&b, "  - interval: %v\n    name: %s\n    input_series:\n", every, r.Alert)
		if r.Per != "" {
			per = 4
		}
		samples := 0
		var text []string
		for _, s := range story(r) {
			samples += s.samples
			text = append(text, sampleText(float64(s.value*per), s.samples))
		}
		fmt.Fprintf(&b, "      - series: %s\n        values: %q\n", r.Metric, strings.Join(text, " "))
		if r.Per != "" {
			fmt.Fprintf(&b, "      - series: %s\n        values: %q\n", r.Per, sampleText(per, samples))
		}
		b.WriteString("    alert_rule_test:\n")
		for _, at := range expected(i) {
			fmt.Fprintf(&b, "      - eval_time: %v\n        alertname: %s\n        exp_alerts:", at.at, r.Alert)
			if !at.fires {
				b.WriteString(" []\n")
				continue
			}
			fmt.Fprintf(&b, "\n          - exp_labels:\n              severity: page\n            exp_annotations:\n              summary: %q\n", r.Summary)
		}
	}
	return b.String()
}

// sampleText formats n equal samples in promtool's notation.
func sampleText(value float64, n int) string {
	text := fmt.Sprintf("%g", value)
	if math.IsNaN(value) {
		text = "stale"
	}
	switch {
	case n == 1:
		return text
	case math.IsNaN(value):
		return strings.TrimSpace(strings.Repeat(text+" ", n))
	}
	return fmt.Sprintf("%s+0x%d", text, n-1)
}

// expectation is whether an alert fires at a time.
type expectation struct {
	at    time.Duration
	fires bool
}

// expected returns what a Watch says of a rule's story: at the last sample of each segment, and
// around each change.
func expected(rule int) (all []expectation) {
	var w Watch
	now, last := time.Duration(0), expectation{}
	for _, s := range story(&Rules[rule]) {
		for k := range s.samples {
			v := Missing()
			v[rule] = s.value
			w.Step(now, v)
			here := expectation{now, w.Firing(rule)}
			if here.fires != last.fires {
				if n := len(all); n == 0 || all[n-1].at != last.at {
					all = append(all, last)
				}
			}
			if here.fires != last.fires || k == s.samples-1 {
				all = append(all, here)
			}
			last = here
			now += every
		}
	}
	return all
}
