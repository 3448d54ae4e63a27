package study

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
)

// A suite and a study that remembers count tries alike: up to the first valid one, and each that
// does not count is among the spoilt.
func TestSettle(t *testing.T) {
	bad := func(why string) *bench.Result { return &bench.Result{Because: why} }
	good := &bench.Result{Valid: true}
	for _, tt := range []struct {
		tries  []*bench.Result
		valid  bool
		n      int
		spoilt []string
	}{
		{[]*bench.Result{good}, true, 0, nil},
		{[]*bench.Result{bad("a")}, false, 0, nil},
		{[]*bench.Result{bad("a"), good, bad("never")}, true, 2, []string{"a"}},
		{[]*bench.Result{bad("a"), bad("b")}, false, 2, []string{"a", "b"}},
	} {
		got := settle(tt.tries)
		if got.Valid != tt.valid || got.Tries != tt.n || !reflect.DeepEqual(got.Spoilt, tt.spoilt) {
			t.Errorf("%d tries: %+v; want %v, %d, %v", len(tt.tries), got, tt.valid, tt.n, tt.spoilt)
		}
		made := 0
		m, err := Remember(runnerFunc(func(context.Context, scenario.Scenario, bench.Options) (*bench.Result, error) {
			r := *tt.tries[made]
			made++
			return &r, nil
		}), "", len(tt.tries)-1)
		if err != nil {
			t.Fatal(err)
		}
		if run, err := m.Run(t.Context(), surgeStudy(t), bench.Options{}); err != nil || !reflect.DeepEqual(run, got) {
			t.Errorf("%d tries of a run: %+v, %v; want %+v", len(tt.tries), run, err, got)
		}
	}
}

// From the fifth run on an estimate is within a factor of two, for contestants of unlike speed.
func TestPace(t *testing.T) {
	s := surgeStudy(t)
	slow := s
	slow.Queue = "slack"
	p := pace{runner: bench.Virtual{}}
	for range 3 {
		p.done(s, time.Second)
		p.done(slow, 5*time.Second)
	}
	if got := p.estimate(s, slow, slow); got != 11*time.Second {
		t.Errorf("three runs: %v, want 11s", got)
	}
	unknown := s
	unknown.Queue = "lifo"
	if got := p.estimate(unknown); got < time.Second || got > 5*time.Second {
		t.Errorf("a contestant that was not run yet: %v, want what the others took", got)
	}
	if got := p.estimate(); got != 0 {
		t.Errorf("no runs: %v", got)
	}
}

// A line that could not be written whole is the last: no other follows it in the file.
func TestJournalStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, err := openJournal(path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.append(1, true); err != nil {
		t.Fatal(err)
	}
	if err := j.file.Close(); err != nil {
		t.Fatal(err)
	}
	first := j.append(2, false)
	if second := j.append(3, false); first == nil || !errors.Is(second, first) {
		t.Errorf("%v, then %v", first, second)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "1\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// What a study's method says reaches each run.
func TestMethodReachesRuns(t *testing.T) {
	s, want := surgeStudy(t), Method{Idle: "park", MaxQueue: 77, Wait: 1.5}
	var runs atomic.Int32
	runner := runnerFunc(func(_ context.Context, _ scenario.Scenario, got bench.Options) (*bench.Result, error) {
		runs.Add(1)
		if got.Idle != "park" || got.MaxQueue != 77 || got.Wait != 1500*time.Millisecond {
			t.Errorf("a sweep's run: %+v", got)
		}
		return &bench.Result{Valid: true}, nil
	})
	l := Sweep{Scenario: s.TOML(), X: scenario.Range{Axis: "rho", Low: .2, High: .3, N: 2}, Contestants: []string{"fifo"}, Seeds: 1, Seed: 1, Method: want}
	if err := l.Run(t.Context(), runner, nil); err != nil {
		t.Fatal(err)
	}
	if runs.Load() != 2 {
		t.Errorf("%d runs of 2", runs.Load())
	}
	for _, bad := range []Method{{Redo: -1}, {Redo: MaxRedo + 1}, {Wait: -1}, {Wait: 3601}} {
		if bad.validate() == nil {
			t.Errorf("%+v is valid", bad)
		}
	}
}
