package record

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"reflect"
	"strconv"
	"testing"

	"github.com/leasestorm/leasestorm/queue"
)

// What a watcher sees adds up to the log: the sums to its totals, and the latest form of each step
// to its series.
func TestWatch(t *testing.T) {
	l := smallLog()
	var sum Tally
	served, slipped := NewCoarse(), NewCoarse()
	rows, last := map[int]Row{}, -1
	calls, again := 0, 0
	l.Watch(func(n *News) {
		calls++
		sum.Add(&n.Tally)
		served.Merge(n.Sojourn)
		slipped.Merge(n.Slip)
		if n.Active != 90 || n.Queued != 7 {
			t.Errorf("call %d: %d active and %d queued, want 90 and 7", calls, n.Active, n.Queued)
		}
		for _, r := range n.Rows {
			if r.Step < last {
				again++
			}
			last = max(last, r.Step)
			rows[r.Step] = *r
		}
	})
	fill(l)
	if want := l.Total(); !reflect.DeepEqual(sum, want) {
		t.Errorf("the sum is %+v, want %+v", sum, want)
	}
	if served.TotalCount() != 90 || slipped.TotalCount() != 100 {
		t.Errorf("%d sojourns and %d slips, want 90 and 100", served.TotalCount(), slipped.TotalCount())
	}
	if calls < 8 || again > 0 {
		t.Errorf("%d calls, and %d steps out of order; want a call for each of 10 steps but those that end together", calls, again)
	}
	for _, want := range l.Rows() {
		if got := rows[want.Step]; !reflect.DeepEqual(got.Tally, want.Tally) || got.Active != want.Active || got.Queued != want.Queued {
			t.Errorf("step %d was seen as %+v, want %+v", want.Step, got, *want)
		}
	}
}

// A recorder that is late adds to a step that has come before: the step comes again.
func TestWatchLate(t *testing.T) {
	l := smallLog()
	seen := map[int]uint64{}
	l.Watch(func(n *News) {
		for _, r := range n.Rows {
			seen[r.Step] = r.Done[queue.Good].Sum()
		}
	})
	gen, worker := l.Recorder(1), l.Recorder(0)
	worker.Served(ms, 2*ms, ms, &queue.Item{Class: queue.Establish}, queue.Good)
	for now := 100 * ms; now <= 400*ms; now += 100 * ms {
		gen.Tick(now)
		l.Collect()
	}
	if n, ok := seen[0]; !ok || n != 0 {
		t.Errorf("step 0 has %d good (seen: %v), before its worker has left it", n, ok)
	}
	worker.Tick(450 * ms)
	l.Collect()
	if seen[0] != 1 {
		t.Errorf("step 0 has %d good after its worker has left it, want 1", seen[0])
	}
}

// A row's members are what series.csv has in the columns of these names.
func TestAppendJSON(t *testing.T) {
	l := smallLog()
	fill(l)
	var text bytes.Buffer
	if err := l.writeSeries(&text); err != nil {
		t.Fatal(err)
	}
	table, err := csv.NewReader(&text).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range l.Rows() {
		var row map[string]any
		if err := json.Unmarshal(append(l.AppendJSON([]byte(`{"run":"x"`), r), '}'), &row); err != nil {
			t.Fatal(err)
		}
		if len(row) != len(table[0])+1 {
			t.Errorf("row %d has %d members, want %d columns and the run", i, len(row), len(table[0]))
		}
		for j, name := range table[0] {
			var want any = table[i+1][j]
			if x, err := strconv.ParseFloat(table[i+1][j], 64); err == nil {
				want = x
			} else if want == "" {
				want = nil
			}
			if got, ok := row[name]; !ok || got != want {
				t.Errorf("row %d: %s is %v, want %v", i, name, got, want)
			}
		}
	}
}
