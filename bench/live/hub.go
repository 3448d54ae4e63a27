// Package live shows runs while they go on: a page that draws their curves, the steps as server-sent
// events, metrics for Prometheus, and a line of text for a terminal.
//
// It sees a run by [bench.Live], on the goroutine that collects the records, about once per step of
// the series. What is measured does not wait for it.
package live

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/metrics"
)

// Hub gathers what runs tell, and hands it to the server. Make one by NewHub. A nil Hub sees nothing.
type Hub struct {
	mu      sync.Mutex
	runs    []*run // those that go on, and the last that ended
	history history
	streams int           // open
	over    chan struct{} // closed: no event will come
	ended   sync.Once
}

// keptRuns is the number of ended runs that a scrape still shows.
const keptRuns = 4

// NewHub makes a hub without runs.
func NewHub() *Hub { return &Hub{over: make(chan struct{})} }

// begun is the event of a run's beginning.
type begun struct {
	Run     string  `json:"run"`
	Leases  int     `json:"leases"`
	Workers int     `json:"workers"`
	StepS   float64 `json:"step_s"`
	EndS    float64 `json:"end_s"`   // latest end
	Virtual bool    `json:"virtual"` // run time is not wall time
	Phases  []phase `json:"phases"`
}

type phase struct {
	Name   string  `json:"name"`
	StartS float64 `json:"start_s"`
}

// ended is the event of a run's end.
type ended struct {
	Run     string        `json:"run"`
	Verdict bench.Verdict `json:"verdict,omitempty"`
	Over    string        `json:"over"`
}

// Live implements bench.Live. A run of the name of one that has ended takes its place; beside one
// that goes on it gets a number.
func (h *Hub) Live(a bench.About) func(bench.Look) {
	if h == nil {
		return nil
	}
	e := begun{Leases: a.Leases, Workers: a.Workers, StepS: a.Step.Seconds(), EndS: a.End.Seconds(), Virtual: a.Virtual}
	for _, p := range a.Phases {
		e.Phases = append(e.Phases, phase{p.Name, p.Start.Seconds()})
	}
	r := h.begin(a)
	e.Run = r.name
	h.add("begin", marshal(e))
	name := marshal(r.name)
	return func(l bench.Look) {
		if l.Over != "" {
			r.end(l)
			h.add("end", marshal(ended{r.name, l.Verdict, l.Over}))
			return
		}
		r.see(l)
		for _, row := range l.News.Rows {
			step := fmt.Appendf(nil, `{"run":%s,"verdict":%q`, name, l.Verdict)
			h.add("", append(l.Log.AppendJSON(step, row), '}'))
		}
	}
}

// begin enters a run, under a name that no other run has.
func (h *Hub) begin(a bench.About) *run {
	h.mu.Lock()
	defer h.mu.Unlock()
	going := func(name string) bool {
		return slices.ContainsFunc(h.runs, func(r *run) bool { return r.name == name && !r.isOver() })
	}
	name := a.Name
	for n := 2; going(name); n++ {
		name = fmt.Sprintf("%s (%d)", a.Name, n)
	}
	old := 0
	for _, r := range h.runs {
		if r.isOver() {
			old++
		}
	}
	h.runs = slices.DeleteFunc(h.runs, func(r *run) bool {
		if !r.isOver() || r.name != name && old <= keptRuns {
			return false
		}
		old--
		return true
	})
	r := newRun(name, a)
	h.runs = append(h.runs, r)
	return r
}

// registries are those of the runs that a scrape shows.
func (h *Hub) registries() (all []*metrics.Registry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.runs {
		all = append(all, r.registry)
	}
	return all
}

func (h *Hub) add(kind string, data []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.history.add(event{kind, data})
}

// Close says that no run will come: open streams get what there is, and end.
func (h *Hub) Close() {
	h.ended.Do(func() { close(h.over) })
}

// marshal is v in JSON. v is one of this package's events or a name, and none of them can fail.
func marshal(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

// period is how long a stream gathers events before it sends them.
const period = 100 * time.Millisecond
