package study

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// measuredRun is a run all of whose figures are x.
func measuredRun(seed uint64, v bench.Verdict, x float64) *bench.Result {
	return &bench.Result{
		Scenario: "surge", Table: "lockfree", Queue: "fifo", Admit: "none", Retry: "immediate", Seed: seed, Verdict: v, Valid: v != bench.Invalid,
		Beta: x, TTR: &x, Rescue: &x, Efficiency: &x, LaunchesOK: &x, IdleShare: &x, Goodput: map[string]float64{"establish": x}, WastedWork: &x,
		Shed: uint64(x), HealthyLost: int(x), Fairness: &x, Slip: bench.Pair{P50: &x, P999: &x}, TimeToLease: bench.Quantiles{P50: &x, P99: &x, P999: &x, Max: &x, N: 1},
		Zones: []bench.ZoneShare{{Asked: 1, Good: &x, Mean: &x}, {Asked: 1, Good: &x, Mean: &x}},
	}
}

// aggregates are everything that makes one figure of several runs.
var aggregates = map[string]func(all []*bench.Result) string{
	"Table":       Table,
	"CompareText": func(all []*bench.Result) string { return CompareText(Compare(all), false) },
	"CSV": func(all []*bench.Result) string {
		var b bytes.Buffer
		_ = WriteCompareCSV(&b, Compare(all))
		return b.String()
	},
	"FairnessText": func(all []*bench.Result) string { return FairnessText(Compare(all), false) },
	"RemedyText":   func(all []*bench.Result) string { return RemedyText(Compare(all), false) },
	"Repetition": func(all []*bench.Result) string {
		return repetition(all).Text()
	},
	"Experiment": func(all []*bench.Result) string {
		var c ExperimentCell
		c.sum(all, measureOf("goodput"))
		text, _ := json.Marshal(c)
		return string(text)
	},
	"Sweep": func(all []*bench.Result) string {
		var p SweepPoint
		p.sum(all)
		text, _ := json.Marshal(p)
		return string(text)
	},
}

// What the host spoilt is counted among the verdicts, and nowhere else.
func TestInvalidRunsDoNotCount(t *testing.T) {
	for name, of := range aggregates {
		with := func(x float64) string {
			return of([]*bench.Result{measuredRun(1, bench.Invalid, x), measuredRun(2, bench.Recovered, 1), measuredRun(3, bench.Invalid, x)})
		}
		if a, b := with(77), with(0.5); a != b {
			t.Errorf("%s: figures of invalid runs count:\n%s\n%s", name, a, b)
		}
	}
	if text := Table([]*bench.Result{measuredRun(1, bench.Invalid, 99), measuredRun(2, bench.Recovered, 1)}); !strings.Contains(text, "recovered 1 of 2, invalid 1 of 2") {
		t.Error(text)
	}
	row := Compare([]*bench.Result{measuredRun(1, bench.Invalid, 99), measuredRun(2, bench.Invalid, 99), measuredRun(3, bench.Recovered, 1)})[0]
	if row.Verdict != bench.Recovered || row.Collapse.N != 1 || row.Verdicts[bench.Invalid] != 2 {
		t.Errorf("%+v", row)
	}
}

// Of a contestant without a valid run nothing is known: no figure, and the last rank.
func TestOnlyInvalidRuns(t *testing.T) {
	spoilt, lost := measuredRun(1, bench.Invalid, 77), measuredRun(1, bench.Collapsed, 5)
	lost.Queue, lost.TTR = "lifo", nil
	rows := Compare([]*bench.Result{spoilt, lost})
	if rows[1].Queue != "fifo" || rows[1].Verdict != bench.Invalid {
		t.Errorf("ranked %s, %s", rows[0].Queue, rows[1].Queue)
	}
	for name, text := range map[string]string{
		"Table": Table([]*bench.Result{spoilt}), "CompareText": CompareText(rows[1:], false), "FairnessText": FairnessText(rows[1:], false),
		"Repetition": aggregates["Repetition"]([]*bench.Result{spoilt}),
	} {
		if strings.Contains(text, "77") || !strings.Contains(text, "–") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
	rows[1].Runs = nil
	text, err := json.Marshal(rows[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"p", "ttr_s", "efficiency", "establishes_per_s", "wasted_work", "shed", "fairness", "time_to_lease_p99_s", "healthy_lost"} {
		if !strings.Contains(string(text), `"`+key+`":null`) {
			t.Errorf("%s is not null: %s", key, text)
		}
	}
}

// Small rates keep their digits.
func TestRates(t *testing.T) {
	for x, want := range map[float64]string{0: "0", 0.000123456: "0.000123", 0.4: "0.4", 0.456789: "0.457", 1: "1", 9.876: "9.88", 9.994: "9.99", 9.999: "10", 12.4: "12", 24999.6: "25,000"} {
		if got := show.Rate(x); got != want {
			t.Errorf("%v is written %s, want %s", x, got, want)
		}
	}
	r := measuredRun(1, bench.Recovered, 0.5)
	r.Capacity, r.Goodput["establish"], r.Goodput["check"] = 0.375, 0.123, 2.46
	for name, of := range map[string]func([]*bench.Result) string{"Text": func(all []*bench.Result) string { return all[0].Text() }, "Table": Table, "CompareText": aggregates["CompareText"]} {
		if text := of([]*bench.Result{r}); !strings.Contains(text, "0.123") || name == "Text" && (!strings.Contains(text, "0.375") || !strings.Contains(text, "2.46")) {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// A point of no runs has nothing.
func TestPointOfNothing(t *testing.T) {
	var p SweepPoint
	p.sum(nil)
	if p.TTR != nil || p.Idle != nil || p.Eta != nil {
		t.Errorf("%+v", p)
	}
}
