// Package desk answers what the playground's page asks: which parts and scenarios there are, what the
// law says about a scenario, what a run of the virtual engine shows, and the report of several runs.
// cmd/leasestorm-play compiles it to WebAssembly. Questions and answers are JSON.
package desk

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/leasestorm/leasestorm/bench"
	"github.com/leasestorm/leasestorm/bench/scenario"
	"github.com/leasestorm/leasestorm/docs"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// MaxQueue is the queue length that ends a run: sim's own limit, so that files are the same.
const MaxQueue = 50_000_000

// Ask is what stands on the page.
type Ask struct {
	Keys        map[string]string `json:"keys"`        // of the scenario's file, as --set writes them
	Contestants []string          `json:"contestants"` // queue, queue/admit or queue/admit/retry
	Seed        uint64            `json:"seed"`
	Run         int               `json:"run"`    // the contestant that is to run
	Folder      string            `json:"folder"` // for the files of a run, or of the runs to report
	Text        string            `json:"text"`   // a scenario file to be read
	Name        string            `json:"name"`   // of that file
}

// ErrQuestion is returned, wrapped, for a question that this package does not know.
var ErrQuestion = errors.New("the playground's page and its engine do not fit together: load the page again")

// Answer answers one question: "catalog", "read", "law", "run" or "report". While a run goes on, tell
// is told its Progress as JSON.
func Answer(ctx context.Context, question string, ask []byte, tell func(progress []byte)) ([]byte, error) {
	var a Ask
	if err := json.Unmarshal(ask, &a); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	var v any
	var err error
	switch question {
	case "catalog":
		v, err = newCatalog()
	case "read":
		v, err = given(a.Name, a.Text)
	case "law":
		v = a.law()
	case "run":
		v, err = a.run(ctx, func(p Progress) {
			if text, err := json.Marshal(p); err == nil {
				tell(text)
			}
		})
	case "report":
		v, err = report(ctx, a.Folder)
	default:
		err = fmt.Errorf("%w: %q is no question", ErrQuestion, question)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// Scenario returns the scenario of a contestant.
func (a *Ask) Scenario(contestant string) (scenario.Scenario, error) {
	var b strings.Builder
	for _, k := range scenario.Keys() {
		text, ok := a.Keys[k.Name]
		if !ok {
			continue
		}
		var value string
		switch k.Zero().(type) {
		case int, float64:
			if value, ok = scenario.Decimal(strings.TrimSpace(text)); !ok {
				return scenario.Scenario{}, scenario.Bad(k.Name, fmt.Sprintf("%q is not a number", text))
			}
		default:
			quoted, err := json.Marshal(text) // whose escapes are TOML's, too
			if err != nil {
				return scenario.Scenario{}, err
			}
			value = string(quoted)
		}
		fmt.Fprintf(&b, "%s = %s\n", k.Name, value)
	}
	s, err := scenario.Parse("playground.toml", []byte(b.String()))
	if err != nil {
		return s, err
	}
	for name := range a.Keys {
		if !slices.ContainsFunc(scenario.Keys(), func(k scenario.Key) bool { return k.Name == name }) {
			return s, scenario.Bad(name, "unknown key")
		}
	}
	if contestant != "" {
		if err := s.Contest(contestant); err != nil {
			return s, err
		}
	}
	s.Workers = max(1, s.Workers) // as sim has it
	return s, cmp.Or(s.Validate(), bench.CheckVirtual(&s), noFolder(&s))
}

// noFolder refuses what would have to be read from a folder of the user's.
func noFolder(s *scenario.Scenario) error {
	if strings.HasPrefix(s.ServiceLaw, scenario.MeasuredServices) {
		return scenario.Bad("service_law", "a measured distribution is a folder on a host, which a browser cannot read; the command can: leasestorm sim")
	}
	return nil
}

// Catalog is what the page offers.
type Catalog struct {
	Scenarios   []Start `json:"scenarios"`
	Queues      []Part  `json:"queues"`
	Controllers []Part  `json:"controllers"`
	Retries     []Part  `json:"retries"`
	Keys        []Key   `json:"keys"`
}

// Start is a scenario to start from.
type Start struct {
	Name   string            `json:"name"`
	About  string            `json:"about"`
	Keys   map[string]string `json:"keys"` // those that the file gives
	Worked bool              `json:"worked"`
}

// Part is a part that a contestant may have.
type Part struct {
	Name string `json:"name"`
	Doc  string `json:"doc"`
}

// Key is a key of a scenario.
type Key struct {
	Name string  `json:"name"`
	Doc  string  `json:"doc"`
	Unit string  `json:"unit"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

func newCatalog() (c Catalog, err error) {
	c.Queues, c.Controllers, c.Retries = parts(queue.Catalog), parts(admit.Controllers), parts(admit.Retries)
	for _, k := range scenario.Keys() {
		c.Keys = append(c.Keys, Key{k.Name, k.Doc, k.Unit, k.Min, k.Max})
	}
	add := func(name, text string, worked bool) {
		var s Start
		if err == nil {
			s, err = given(name, text)
			s.Worked = worked
			c.Scenarios = append(c.Scenarios, s)
		}
	}
	for _, s := range scenario.All() {
		text, _ := scenario.Source(s.Name)
		add(s.Name, text, false)
	}
	worked, globErr := fs.Glob(docs.Scenarios, "examples/scenarios/*.toml")
	for _, file := range worked {
		text, readErr := docs.Scenarios.ReadFile(file)
		err = cmp.Or(err, readErr)
		add(strings.TrimSuffix(path.Base(file), ".toml"), string(text), true)
	}
	return c, cmp.Or(err, globErr)
}

func parts[F any](c *catalog.Catalog[F]) (all []Part) {
	for _, e := range c.List() {
		if !e.HostClock {
			all = append(all, Part{e.Name, e.Doc})
		}
	}
	return all
}

// given reads a scenario file, and returns the keys that it gives.
func given(name, text string) (Start, error) {
	if !strings.HasSuffix(name, ".toml") {
		name += ".toml"
	}
	s, err := scenario.Parse(name, []byte(text))
	if err != nil {
		return Start{}, err
	}
	values := map[string]any{}
	if err := toml.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &values); err != nil {
		return Start{}, err
	}
	start := Start{Name: s.Name, About: s.About, Keys: map[string]string{"name": s.Name}}
	for key, v := range values {
		start.Keys[key] = fmt.Sprint(v)
	}
	return start, nil
}

// finite is x, or nil if there is no such number: JSON has neither infinities nor NaN.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}
