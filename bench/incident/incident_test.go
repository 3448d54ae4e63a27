package incident

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/incident/operator"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// small is a day with few leases in few partitions.
func small(t *testing.T, seed uint64, change func(*Config)) Config {
	t.Helper()
	c, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	c.Seed, c.Manager.Leases, c.Partitions = seed, 24000, 8
	if change != nil {
		change(&c)
	}
	return c
}

// long skips a test of whole days under the race detector, which costs ten times as much.
// TestReplayIsTheSame stands for them there.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("replays whole days")
	}
}

func replayed(t *testing.T, c Config) *Result {
	t.Helper()
	res, err := Replay(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func runbook(t *testing.T, name string) operator.Runbook {
	t.Helper()
	b, err := operator.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The order of the day, whatever the seed.
func TestOrderOfTheDay(t *testing.T) {
	long(t)
	for seed := range uint64(5) {
		res := replayed(t, small(t, seed+1, nil))
		if share := float64(res.LeasesOut) / float64(res.Leases); !res.Outage || *res.OutageAt != raceAt.Seconds() || share < .05 || share > .3 {
			t.Errorf("seed %d: outage %v at %v, %.1f %% of the leases lapsed", seed+1, res.Outage, clock(res.OutageAt), 100*share)
		}
		if res.Verdict != bench.Recovered || res.TTR == nil || res.Rescue == nil || res.CollapsedAt == nil {
			t.Fatalf("seed %d: %s, TTR %v", seed+1, res.Verdict, res.TTR)
		}
		last := -1.0
		for _, row := range res.Timeline {
			// The rows' order is that of the public times. Ours may be off by half an hour.
			if row.Ours == nil {
				if row.What != "" {
					t.Errorf("seed %d: %q does not happen", seed+1, row.What)
				}
				continue
			}
			if *row.Ours < last-1800 {
				t.Errorf("seed %d: %q at %s is long before the row above it", seed+1, row.What, clock(row.Ours))
			}
			if row.Off != nil && max(*row.Off, -*row.Off) > 1800 {
				t.Errorf("seed %d: %q is off by %.0f min", seed+1, row.What, *row.Off/60)
			}
			last = max(last, *row.Ours)
		}
		if res.ServicesDownMax < 100 || len(res.Services.Down) < 110 || len(res.Services.Hands) == 0 {
			t.Errorf("seed %d: %d services down at the worst, %d at some time, %d hands", seed+1, res.ServicesDownMax, len(res.Services.Down), len(res.Services.Hands))
		}
		if res.NetworkBacklog == 0 || res.Flaps == 0 || res.TargetsMin > .8 || res.StopsFailed == 0 || res.LimitExceeded == 0 || res.RunningTouched != 0 {
			t.Errorf("seed %d: network %d, flaps %g, targets %.2f, stops failed %d", seed+1, res.NetworkBacklog, res.Flaps, res.TargetsMin, res.StopsFailed)
		}
		if sum := res.LaunchesOK + res.NoCapacity + res.LimitExceeded + res.NoMetadata + res.LaunchesLate; sum != res.LaunchesAsked || res.LaunchesLate > res.LaunchesAsked {
			t.Errorf("seed %d: %d of %d launches have an end", seed+1, sum, res.LaunchesAsked)
		}
	}
}

// What DNS did is in the order of the day, for both causes and forms, and is short enough to read.
func TestEvents(t *testing.T) {
	for i, words := range [][]string{
		{"takes a plan", "lost the endpoint's lock once", "is overtaken", "cleans up", "has the lock at last", "is empty", "stuck", "restored by hand", "switched off"},
		{"times as long as usual", "is overtaken", "cleans up", "is empty", "stuck", "restored by hand", "switched off"},
	} {
		for _, form := range dns.Forms {
			res := replayed(t, small(t, 2, func(c *Config) {
				c.Manager.Leases, c.Partitions, c.DNS.Form, c.DNS.Cause = 800, 2, form, []dns.Cause{dns.Lock, dns.Slow}[i]
			}))
			text := res.eventsText()
			if n := strings.Count(text, "\n"); n > mostEvents+2 || !strings.Contains(text, "lock") {
				t.Errorf("%d lines:\n%s", n, text)
			}
			at := 0
			for _, w := range words {
				k := strings.Index(text[at:], w)
				if k < 0 {
					t.Fatalf("no %q, or too early:\n%s", w, text)
				}
				at += k
			}
			if !slices.IsSortedFunc(res.Events, func(a, b Event) int { return cmp.Compare(a.At, b.At) }) {
				t.Errorf("out of order:\n%s", text)
			}
			for _, e := range res.Events {
				if e.Plan < 1 || e.Plan > 1000 || len(e.Enactor) > 1 || strings.Contains(e.What, "by hand") != (e.Enactor == "" && *res.ReturnAt == e.At) {
					t.Errorf("%+v", e)
				}
			}
		}
	}
	res := Result{Events: make([]Event, mostEvents+5)}
	if text := res.eventsText(); strings.Count(text, "\n") != mostEvents+2 || !strings.Contains(text, "and 6 more") {
		t.Error(text)
	}
	if text := (&Result{}).eventsText(); text != "" {
		t.Errorf("nothing happened: %q", text)
	}
}

// With fencing there is no outage at any seed, in either form of the clean-up.
func TestFencing(t *testing.T) {
	long(t)
	for seed := range uint64(5) {
		res := replayed(t, small(t, seed+1, func(c *Config) {
			c.Manager.Leases, c.DNS.Mends, c.DNS.Form = 2400, dns.Fencing, dns.Forms[seed%2]
		}))
		if res.Outage || res.OutageAt != nil || res.LeasesOut != 0 || res.CollapsedAt != nil || res.Verdict != bench.Healthy || res.TTR != nil || res.ServicesDownMax != 0 {
			t.Errorf("seed %d: outage %v, %d leases lapsed, %s, %d services down", seed+1, res.Outage, res.LeasesOut, res.Verdict, res.ServicesDownMax)
		}
	}
}

// Without an operator the managers live or die by their queue and admission control.
func TestWithoutAnOperator(t *testing.T) {
	long(t)
	for _, tt := range []struct {
		queue, admit string
		survives     bool
	}{{"fifo", "none", false}, {"deadline", "none", true}, {"fifo", "backlog", true}} {
		res := replayed(t, small(t, 3, func(c *Config) {
			c.Manager.Queue, c.Manager.Admit, c.Runbook = tt.queue, tt.admit, runbook(t, "none")
		}))
		if got := res.CollapsedAt == nil && res.Verdict == bench.Recovered; got != tt.survives || res.Rescue != nil {
			t.Errorf("%s/%s: %s, collapsed at %s", tt.queue, tt.admit, res.Verdict, clock(res.CollapsedAt))
		}
	}
}

// The same seed gives the same files, byte for byte, and another seed others.
func TestReplayIsTheSame(t *testing.T) {
	var files []map[string]string
	for i, seed := range []uint64{7, 7, 8} {
		c := small(t, seed, func(c *Config) { c.Manager.Leases, c.Partitions = 800, 2 })
		res := replayed(t, c)
		res.Elapsed = 0
		dir := filepath.Join(t.TempDir(), "out")
		if err := res.Save(dir, &c, nil); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, name := range []string{"incident.json", "incident.txt", "series.csv", "runbook.toml"} {
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			got[name] = string(text)
		}
		files = append(files, got)
		if err := res.Save(dir, &c, nil); !errors.Is(err, record.ErrExists) {
			t.Errorf("replay %d: a folder that is there is written: %v", i, err)
		}
	}
	for name, text := range files[0] {
		if text != files[1][name] {
			t.Errorf("%s differs from run to run", name)
		}
	}
	if files[0]["series.csv"] == files[2]["series.csv"] {
		t.Error("another seed gives the same series")
	}
}

// What --json prints has the fields that others build on.
func TestResultJSON(t *testing.T) {
	long(t)
	res := replayed(t, small(t, 2, func(c *Config) { c.Manager.Leases, c.Partitions = 800, 2 }))
	var b bytes.Buffer
	if err := record.JSON(res)(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, name := range strings.Fields("schema seed outage outage_s leases_lost collapsed_at_s verdict ttr_s ttr_after_operator_s services_down_max timeline events") {
		if _, ok := got[name]; !ok {
			t.Errorf("no %s", name)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"partitions": func(c *Config) { c.Partitions = 0 },
		"leases":     func(c *Config) { c.Manager.Leases, c.Partitions = 5, 8 },
		"pause":      func(c *Config) { c.Manager.Pause = time.Second },
		"timeout":    func(c *Config) { c.Manager.Timeout = time.Millisecond },
		"operator":   func(c *Config) { c.Manager.Operator = "both" },
	} {
		_, err := Replay(t.Context(), small(t, 1, change))
		if !errors.Is(err, scenario.ErrScenario) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A layer is tried alone and in pairs with those that set something else.
func TestCounterfactuals(t *testing.T) {
	long(t)
	c := small(t, 1, func(c *Config) { c.Manager.Leases, c.Partitions = 1200, 2 })
	layers := slices.DeleteFunc(slices.Clone(Layers), func(l Layer) bool {
		return !slices.Contains([]string{"--queue deadline", "--queue lifo", "--static-stability", "--regions 2"}, l.Name)
	})
	table, err := Counterfactuals(t.Context(), bench.Virtual{}, c, layers, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Alone) != 4 || len(table.Pairs) != 5 {
		t.Fatalf("%d alone, %d pairs; two queues are no pair", len(table.Alone), len(table.Pairs))
	}
	all := slices.Concat(table.Alone, table.Pairs)
	for i, f := range all {
		if f.ServiceHours > table.Day.ServiceHours || f.LeaseHours > table.Day.LeaseHours+1e-6 {
			t.Errorf("%v loses more than the day", f.Layers)
		}
		if i > 0 && i != 4 && table.lost(&f) < table.lost(&all[i-1]) {
			t.Errorf("%v is out of order", f.Layers)
		}
	}
	if g := table.Greedy; len(g.Layers) < 2 || table.lost(g) > table.lost(&table.Pairs[0])+1e-9 {
		t.Errorf("greedy: %+v", g)
	}
	if text := table.Text(); !strings.Contains(text, "--queue deadline --static-stability") {
		t.Error(text)
	}
}
