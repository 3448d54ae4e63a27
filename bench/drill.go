package bench

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/leasestorm/leasestorm/bench/engine"
	"github.com/leasestorm/leasestorm/bench/fleet"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// Step is one thing that an operator does.
type Step struct {
	At string `toml:"at" json:"at"` // after the dependency's return
	Do string `toml:"do" json:"do"` // throttle, relax, restart, switch-queue, switch-admit, switch-retry
	// Value is the throttle's rate, as a share of capacity, or the share of the queue that
	// a restart empties (one of k partitions: 1/k).
	Value float64 `toml:"value,omitempty" json:"value,omitempty"`
	To    string  `toml:"to,omitempty" json:"to,omitempty"` // what is switched to

	at time.Duration
}

// Runbook is what an operator does about a collapse, step by step.
type Runbook struct {
	Name  string `toml:"name" json:"name"`
	About string `toml:"about,omitempty" json:"about,omitempty"`
	Steps []Step `toml:"step" json:"steps"`
}

// ReadRunbook reads a runbook's file.
func ReadRunbook(path string) (Runbook, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Runbook{}, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	return ParseRunbook(path, text)
}

// ParseRunbook reads a runbook; file names it in errors.
func ParseRunbook(file string, text []byte) (b Runbook, err error) {
	d := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, byteOrderMark)))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := e.Position()
			return b, fmt.Errorf("%s:%d:%d: %w: %s", file, line, column, ErrScenario, strings.TrimPrefix(e.Error(), "toml: "))
		}
		return b, fmt.Errorf("%s: %w: %w: there are name, about, and [[step]] with at, do, value, to", file, ErrScenario, err)
	}
	return b, b.check(file)
}

// latestStep is as late as operator_at may be.
const latestStep = 24 * time.Hour

func (b *Runbook) check(file string) error {
	if len(b.Steps) == 0 {
		return fmt.Errorf("%s: %w: a runbook needs a [[step]]", file, ErrScenario)
	}
	for i := range b.Steps {
		s := &b.Steps[i]
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s: %w: step %d: %s", file, ErrScenario, i+1, fmt.Sprintf(format, args...))
		}
		at, err := time.ParseDuration(s.At)
		if err != nil || at < 0 {
			return bad(`at = %q: want a time after the return, as in "8s"`, s.At)
		}
		if s.at = at; at > latestStep {
			return bad("at %s is too late: %v after the return at most", s.At, latestStep)
		}
		if i > 0 && at < b.Steps[i-1].at {
			return bad("at %s is before the step above it, %s", s.At, b.Steps[i-1].At)
		}
		var part error
		switch s.Do {
		case "throttle":
			if !(s.Value > 0) || s.Value > 100 {
				return bad("a throttle of %g: want a share of capacity, 0.001 to 100", s.Value)
			}
			_, _, part = admit.Controllers.Resolve(throttleRef(s.Value))
		case "restart":
			if !(s.Value > 0) || s.Value > 1 {
				return bad("a restart of %g: want the share of the queue that it empties, above 0 to 1", s.Value)
			}
		case "relax":
		case "switch-queue":
			part = queue.Validate(s.To)
		case "switch-admit":
			_, _, part = admit.Controllers.Resolve(s.To)
		case "switch-retry":
			_, _, part = admit.Retries.Resolve(s.To)
		default:
			return bad("do = %q: there are throttle, relax, restart, switch-queue, switch-admit, switch-retry", s.Do)
		}
		if part != nil {
			return bad("%v", part)
		}
		if n := b.count(s.Do); n > 1 && strings.HasPrefix(s.Do, "switch-") {
			return bad("%s can be done once", s.Do)
		}
	}
	return nil
}

func (b *Runbook) count(do string) (n int) {
	for _, s := range b.Steps {
		if s.Do == do {
			n++
		}
	}
	return n
}

// TOML is the runbook as a file.
func (b Runbook) TOML() string {
	text, err := toml.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// operator is the steps of the operator that the scenario itself has.
func (s *Scenario) operator() (steps []Step) {
	add := func(at time.Duration, do string, value float64, to string) {
		steps = append(steps, Step{Do: do, Value: value, To: to, at: at})
	}
	if s.Operator == "throttle" || s.Operator == "both" {
		add(s.OperatorAt, "throttle", s.Throttle, "")
	}
	if s.Operator == "restart" || s.Operator == "both" {
		for i := range s.Restarts {
			add(s.OperatorAt+time.Duration(i)*s.RestartEvery, "restart", 1, "")
		}
	}
	for _, then := range [][2]string{{"switch-queue", s.ThenQueue}, {"switch-admit", s.ThenAdmit}, {"switch-retry", s.ThenRetry}} {
		if then[1] != "" {
			add(s.OperatorAt, then[0], 0, then[1])
		}
	}
	return steps
}

// act is when the i-th step is taken.
func (x *experiment) act(i int) time.Duration { return x.outage.To + x.steps[i].at }

// play lays a runbook into an experiment, in the place of the scenario's own operator.
func (x *experiment) play(b Runbook) error {
	if x.Outage == 0 {
		return &keyError{"outage", "a runbook's steps are after the return of an outage; set outage"}
	}
	b.Steps = slices.Clone(b.Steps) // a runbook is many runs'
	if err := b.check(cmp.Or(b.Name, "runbook")); err != nil {
		return err
	}
	for _, s := range []*Scenario{&x.Scenario, &x.Asked} {
		s.Operator, s.ThenQueue, s.ThenAdmit, s.ThenRetry = "none", "", "", ""
	}
	if last := len(x.phases) - 1; len(x.steps) > 0 {
		x.phases = x.phases[:last] // the scenario's operator does nothing
	}
	x.runbook, x.steps = &b, b.Steps
	for _, s := range b.Steps {
		switch s.Do {
		case "switch-queue":
			x.ThenQueue = s.To
		case "switch-admit":
			x.ThenAdmit = s.To
		case "switch-retry":
			x.ThenRetry = s.To
		}
	}
	x.end = max(x.end, x.act(len(x.steps)-1)+x.Duration)
	x.disturb() // what is for good ends with the run
	return x.check()
}

func throttleRef(rate float64) string { return fmt.Sprintf("throttle:rate=%g", rate) }

// stepEvents are the operator's steps as events.
func (x *experiment) stepEvents(m *dwfm.Manager, f *fleet.Fleet, s engine.Service) ([]engine.Event, error) {
	var events []engine.Event
	for i, step := range x.steps {
		var throttle admit.Controller
		var retry admit.Retry
		var err error
		switch step.Do {
		case "throttle":
			throttle, err = admit.Make(throttleRef(step.Value), x.admitConfig(s))
		case "switch-retry":
			retry, err = admit.MakeRetry(step.To, x.Timeout)
		}
		if err != nil {
			return nil, err
		}
		events = append(events, engine.Event{At: x.act(i), Do: func(time.Duration) {
			switch step.Do {
			case "throttle":
				m.Throttle(throttle)
			case "relax":
				m.Throttle(nil)
			case "restart":
				m.Restart(step.Value)
			case "switch-queue":
				x.switchQueue.Do()
			case "switch-admit":
				x.switchAdmit.Do()
			case "switch-retry":
				f.SetRetry(retry)
			}
		}})
	}
	return events, nil
}

// DrillScore is how a runbook did.
type DrillScore struct {
	Runbook Runbook  `json:"runbook"`
	Verdict Verdict  `json:"verdict"`
	Score   *float64 `json:"last_lease_back_s"` // from the first step; null: not all came back
	Shed    uint64   `json:"shed"`
	Healthy int      `json:"healthy_lost"`
	Result  *Result  `json:"result"`
}

// Drill plays a runbook on a scenario that has collapsed by its first step.
func Drill(ctx context.Context, runner Runner, s Scenario, b Runbook, o Options) (*DrillScore, error) {
	o.Runbook = &b
	res, err := runner.Run(ctx, s, o)
	if err != nil {
		return nil, err
	}
	return &DrillScore{Runbook: b, Verdict: res.Verdict, Score: res.Rescue, Shed: res.Shed, Healthy: res.HealthyLost, Result: res}, nil
}

// SearchRunbook tries runbooks of throttle and restarts in batches, and returns them with the best first: by the time to the last lease back. If ctx ends it,
// those that were tried are returned beside its error.
func SearchRunbook(ctx context.Context, runner Runner, s Scenario, o Options, first time.Duration) ([]DrillScore, error) {
	var books []Runbook
	for _, share := range []float64{1, 0.5, 0.25, 0.1} {
		for _, every := range []float64{0.25, 0.5, 1, 2} { // timeouts
			for _, throttle := range []float64{0, 0.5, 0.7, 0.8, 0.9, 1, 1.2} {
				for _, rounds := range []int{1, 2, 3} {
					books = append(books, batches(first, s.Timeout, share, every, throttle, rounds))
				}
			}
		}
	}
	o.drawSeed() // one for all of them
	all := make([]DrillScore, len(books))
	err := parallel(ctx, runner, len(books), func(ctx context.Context, i int) error {
		score, err := Drill(ctx, runner, s, books[i], o)
		if err == nil {
			all[i] = *score
		}
		return err
	})
	all = slices.DeleteFunc(all, func(d DrillScore) bool { return d.Result == nil }) // interrupted
	slices.SortStableFunc(all, func(a, b DrillScore) int {
		of := func(d DrillScore) float64 {
			if d.Score == nil {
				return 1e9
			}
			return *d.Score
		}
		return cmp.Or(cmp.Compare(of(a), of(b)), cmp.Compare(len(a.Runbook.Steps), len(b.Runbook.Steps)))
	})
	return all, err
}

// batches is a runbook: throttle, then restart a share of the queue at a time until all of
// it was, so many rounds, then relax.
func batches(first, timeout time.Duration, share, every, throttle float64, rounds int) Runbook {
	b := Runbook{Name: fmt.Sprintf("share%g-every%g-throttle%g-rounds%d", share, every, throttle, rounds)}
	add := func(at time.Duration, do string, value float64) {
		b.Steps = append(b.Steps, Step{At: at.String(), Do: do, Value: value, at: at})
	}
	if throttle > 0 {
		add(first, "throttle", throttle)
	}
	at := first
	for range rounds {
		k := max(1, int(1/share+.5))
		for i := range k {
			add(at, "restart", 1/float64(k-i)) // of what is left, so that each partition's is alike
			at += time.Duration(every * float64(timeout))
		}
	}
	b.About = fmt.Sprintf("restart %g of the queue every %g timeouts, %d rounds; throttle %g of capacity (0: none)", share, every, rounds, throttle)
	return b
}

// Text is the score for a person.
func (d *DrillScore) Text() string {
	return fmt.Sprintf("%s: %s; the last lease is back %s after the first step; %d attempts shed, %d healthy leases lost\n",
		d.Runbook.Name, d.Verdict, orDash(d.Score, "%.2f s"), d.Shed, d.Healthy)
}

// DrillTable is the best so many, the worst that worked, and how many did not.
func DrillTable(all []DrillScore, best int) string {
	rows := [][]string{{"rank", "last lease back (s)", "shed", "healthy lost", "runbook"}}
	worked := 0
	for _, d := range all {
		if d.Score != nil {
			worked++
		}
	}
	for i, d := range all {
		if i < min(best, worked) || i == worked-1 {
			rows = append(rows, []string{fmt.Sprint(i + 1), orDash(d.Score, "%.2f"), fmt.Sprint(d.Shed), fmt.Sprint(d.Healthy), d.Runbook.About})
		}
	}
	return columns(rows) + fmt.Sprintf("%d of %d runbooks did not bring all leases back\n", len(all)-worked, len(all))
}
