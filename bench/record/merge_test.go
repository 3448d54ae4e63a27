package record

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/internal/testseed"
	"github.com/leasestorm/leasestorm/queue"
)

// Logs of several processes, sent as JSON, merge to the log of one that saw it all: every count and
// histogram is the same, and leases and queue are summed.
func TestMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(testseed.Draw(t), 0))
	shape := Shape{Leases: 100, Workers: 1, Step: 10 * time.Millisecond, Phases: []Phase{{"steady", 0}, {"return", 40 * time.Millisecond}}}
	const parts = 3
	whole := NewLog(shape)
	var logs []*Log
	for range parts {
		logs = append(logs, NewLog(shape))
	}
	for now := time.Duration(0); now < 100*time.Millisecond; now += time.Millisecond {
		for part, l := range logs {
			if part == 2 && now > 50*time.Millisecond {
				continue // it ended early: its last leases and queue stay
			}
			it := queue.Item{Born: now - time.Duration(rng.IntN(1000))*time.Microsecond, Class: queue.Class(rng.IntN(int(queue.Classes)))}
			it.SetOffered(now)
			end, out := now+time.Duration(rng.Int64N(int64(3*time.Hour))), queue.Outcome(rng.IntN(2))
			for _, l := range []*Log{l, whole} {
				r := l.Recorder(1)
				r.Tick(now)
				r.Offered(now, []queue.Item{it})
				r.Served(now, end, time.Microsecond, &it, out)
				r.TimeToLease(end)
			}
			l.Recorder(1).Sample(part+1, 10)
		}
		whole.Recorder(1).Sample(6, 30)
		for _, l := range append(logs, whole) {
			l.Collect()
		}
	}
	whole.Finish()
	merged := NewLog(shape)
	for _, l := range logs {
		l.Finish()
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		var copied Log
		if err := json.Unmarshal(text, &copied); err != nil {
			t.Fatal(err)
		}
		if err := merged.Merge(&copied); err != nil {
			t.Fatal(err)
		}
	}
	a, b := merged.Total(), whole.Total()
	if a.Offered != b.Offered || a.Busy != b.Busy || a.Done != b.Done || a.Unaccounted(0) != 0 {
		t.Errorf("total %+v, want %+v", a, b)
	}
	same := func(what string, a, b *Latency) {
		if a.Max != b.Max || a.n != b.n || !reflect.DeepEqual(a.counts[:a.high], b.counts[:b.high]) {
			t.Errorf("%s: %d values up to %v, want %d up to %v", what, a.n, a.Max, b.n, b.Max)
		}
	}
	same("slip", merged.Slip(), whole.Slip())
	same("time to lease", merged.TimeToLease(), whole.TimeToLease())
	for phase := range shape.Phases {
		for class := range queue.Classes {
			for clock := range Clocks {
				same(class.String(), merged.Latency(phase, class, clock), whole.Latency(phase, class, clock))
			}
		}
	}
	var got, want bytes.Buffer
	if err := merged.writeSojourns(&got, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if err := whole.writeSojourns(&want, time.Unix(0, 0)); err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Errorf("the series of sojourns differs: %v", err)
	}
	for i, r := range merged.Rows() {
		if w := whole.Rows()[i]; r.Step != w.Step || r.Active != 6 || r.Queued != 30 || r.Offered != w.Offered {
			t.Errorf("step %d: %d active, %d queued, %v offered; want step %d, 6, 30 and %v", r.Step, r.Active, r.Queued, r.Offered, w.Step, w.Offered)
		}
	}
	if n := Sum([]*Row{logs[0].Rows()[2], logs[1].Rows()[2]}); n.Active != 3 || n.Queued != 20 || n.Offered.Sum() != 20 || n.Slip.n != 20 {
		t.Errorf("the sum of two steps: %+v", n)
	}
}

// What is no log of the same run is refused.
func TestMergeRefuses(t *testing.T) {
	shape := Shape{Leases: 1, Workers: 1, Step: time.Second, Phases: []Phase{{"steady", 0}}}
	l, other := NewLog(shape), shape
	other.Leases = 2
	if err := l.Merge(NewLog(other)); err == nil {
		t.Error("a log of another shape was merged")
	}
	l.Finish()
	text, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range [][2]string{
		{`"digits":3`, `"digits":4`}, {`"Workers":1`, `"Workers":2`}, {`"Step":1000000000`, `"Step":0`}, {`"counts":null`, `"counts":[1]`},
		{`"counts":null`, `"counts":[5,1,5,1]`}, {`"counts":null`, `"counts":[99999999,1]`}, {`"counts":null`, `"counts":[1,-1]`},
		{`"counts":null`, `"counts":[1,9223372036854775807,2,1]`}, {`"time_to_lease":{"digits":3`, `"time_to_lease":{"digits":2`}, {`"step":0`, `"step":-1`},
		{`"sojourn":{`, `"sojourn":null,"x":{`}, {`"rows":[`, `"rows":[null,`},
	} {
		bad := strings.Replace(string(text), change[0], change[1], 1)
		if bad == string(text) {
			t.Fatalf("the log has no %s: %s", change[0], text)
		}
		var copied Log
		if err := json.Unmarshal([]byte(bad), &copied); err == nil {
			t.Errorf("%s in place of %s was read", change[1], change[0])
		}
	}
}
