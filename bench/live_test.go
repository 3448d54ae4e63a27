package bench

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/queue"
)

func surge(t *testing.T, set ...string) scenario.Scenario {
	t.Helper()
	s, err := scenario.Load("surge")
	if err == nil {
		err = s.Set(append([]string{"leases=2000", "broken=500", "timeout=100ms", "duration=3s"}, set...)...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A watcher sees the whole run, in order, and its verdict; and the result is that of a run that
// nobody watches.
func TestLive(t *testing.T) {
	for _, discipline := range []string{"fifo", "deadline"} {
		s := surge(t, "queue="+discipline)
		var about About
		var sum record.Tally
		var over Look
		begun, now := 0, time.Duration(0)
		seen := map[Verdict]bool{}
		res, err := Virtual{}.Run(t.Context(), s, Options{Seed: 1, Live: func(a About) func(Look) {
			about = a
			begun++
			return func(l Look) {
				switch {
				case over.Over != "":
					t.Errorf("%s: a look after the end", discipline)
				case l.Over != "":
					over = l
					return
				case l.Now < now || l.Now > a.End+a.Step:
					t.Errorf("%s: a look at %v after one at %v; the run ends at %v", discipline, l.Now, now, a.End)
				}
				now = l.Now
				seen[l.Verdict] = true
				sum.Add(&l.News.Tally)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		if want := "surge " + discipline + "/none/immediate seed 1"; about.Name != want || !about.Virtual || about.Leases != 2000 || begun != 1 {
			t.Errorf("%s: %d runs began, the last as %+v", discipline, begun, about)
		}
		if sum.Offered.Sum() == 0 || discipline == "deadline" && res.Shed == 0 || sum.Done[queue.Shed].Sum() != res.Shed {
			t.Errorf("%s: %d attempts were shed in what was seen, and %d in the result", discipline, sum.Done[queue.Shed].Sum(), res.Shed)
		}
		if over.Verdict != res.Verdict || !strings.HasPrefix(over.Over, string(res.Verdict)) || !seen[res.Verdict] || !seen[Healthy] {
			t.Errorf("%s: %s ended as %q, verdicts on the way %v", discipline, res.Verdict, over.Over, seen)
		}
		alone, err := Virtual{}.Run(t.Context(), s, Options{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		if alone.Elapsed = res.Elapsed; !reflect.DeepEqual(alone, res) {
			t.Errorf("%s: watched: %s; unwatched: %s", discipline, res.Text(), alone.Text())
		}
	}
}

// A run that is interrupted says so; one that nobody wants to see has no watcher.
func TestLiveEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	over := ""
	_, err := Virtual{}.Run(ctx, surge(t), Options{Seed: 1, Live: func(About) func(Look) {
		return func(l Look) { cancel(); over = l.Over }
	}})
	if !errors.Is(err, context.Canceled) || !strings.Contains(over, "not finished") {
		t.Errorf("%v, and the last look is %q", err, over)
	}
	if _, err := (Virtual{}).Run(t.Context(), surge(t), Options{Seed: 1, Live: func(About) func(Look) { return nil }}); err != nil {
		t.Error(err)
	}
}

// What the generator does for a watcher allocates nothing.
func TestLiveAllocatesNothing(t *testing.T) {
	x, err := layOut(surge(t), Options{Seed: 1, Live: func(About) func(Look) { return func(Look) {} }}, 1)
	if err != nil {
		t.Fatal(err)
	}
	p, j, err := x.plan(x.Want, 0)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Duration(0)
	if n := testing.AllocsPerRun(5000, func() { now += time.Millisecond; p.Watch(now, engine.State{Active: 1500, Queued: 10}) }); n > 0 {
		t.Errorf("%v allocations a sample, want none", n)
	}
	if j.Verdict() == Healthy {
		t.Error("the judge saw nothing of it")
	}
}
