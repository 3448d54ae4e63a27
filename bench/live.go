package bench

import (
	"fmt"
	"slices"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/record"
)

// Live is called when a run begins, and returns what sees it: see is called about once per step of the
// series, one call after the other. On real cores that is the goroutine which collects the records,
// so see delays nothing that is measured; in virtual time see delays the run. A run that is made
// again begins again. Several runs may go on at the same time. Live may return nil.
type Live func(About) (see func(Look))

// About says which run is watched.
type About struct {
	Name    string        // SCENARIO queue/admit/retry seed N
	Virtual bool          // run time is not wall time
	End     time.Duration // latest end, in run time
	record.Shape
}

// Look is what the watcher of a run sees.
type Look struct {
	Now     time.Duration // run time, at the end of the latest step; 0 at the end
	Verdict Verdict       // if the run ended now; "" if it ended without one
	// News is what was recorded since the last look; nil at the end. Log formats it. Both are valid
	// during the call.
	News *record.News
	Log  *record.Log
	// Over says, in a few words, how the run has ended; "": it goes on. No look comes after it.
	Over string
}

// verdicts are the verdicts of a Judge, in an order that an index can tell.
var verdicts = []Verdict{Healthy, Recovered, Degraded, Collapsed}

// watched lets Options.Live see the plan's run. The judge belongs to the generator's goroutine: what
// it says so far goes over by one atomic store a step.
func (x *experiment) watched(p *engine.Plan, j *Judge) {
	if x.how.Live == nil {
		return
	}
	x.see = x.how.Live(About{
		Name:    fmt.Sprintf("%s %s/%s/%s seed %d", x.Name, x.Queue, x.Admit, x.Retry, x.seed),
		Virtual: x.virtual, End: x.end, Shape: p.Log.Shape,
	})
	if x.see == nil {
		return
	}
	var so atomic.Int32
	judge, next := p.Watch, time.Duration(0)
	p.Watch = func(now time.Duration, s engine.State) bool {
		end := judge(now, s)
		if end || now >= next {
			next = now + p.Log.Step
			so.Store(int32(slices.Index(verdicts, j.Verdict())))
		}
		return end
	}
	latest := time.Duration(0)
	p.Log.Watch(func(n *record.News) {
		latest = max(latest, time.Duration(n.Rows[len(n.Rows)-1].Step+1)*p.Log.Step)
		x.see(Look{Now: latest, Verdict: verdicts[so.Load()], News: n, Log: p.Log})
	})
}

// over tells the watcher how the run has ended.
func (x *experiment) over(res *Result, err error) {
	switch {
	case x.see == nil:
	case res == nil:
		x.see(Look{Over: fmt.Sprintf("not finished: %v", err)})
	default:
		x.see(Look{Verdict: res.Verdict, Over: res.Brief()})
	}
}
