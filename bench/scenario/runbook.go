package scenario

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/pelletier/go-toml/v2"
)

// Step is one action of an operator.
type Step struct {
	At string `toml:"at" json:"at"` // time after the dependency's return, as in "8s"
	// Do is the action:
	//
	//   - throttle: limit admissions to Value, a share of capacity
	//   - relax: remove the throttle
	//   - restart: empty Value, a share of the queue; 1/k is one of k partitions
	//   - switch-queue, switch-admit, switch-retry: replace that part by To
	//   - exec: run the shell command To, against a service that is not ours
	Do    string  `toml:"do" json:"do"`
	Value float64 `toml:"value,omitempty" json:"value,omitempty"`
	To    string  `toml:"to,omitempty" json:"to,omitempty"` // a part's reference

	// After is At as a time. Check sets it.
	After time.Duration `toml:"-" json:"-"`
}

// Runbook is an operator's response to a collapse: steps in the order of their times.
type Runbook struct {
	Name  string `toml:"name" json:"name"`
	About string `toml:"about,omitempty" json:"about,omitempty"`
	Steps []Step `toml:"step" json:"steps"`
}

// ReadRunbook reads and checks the runbook in a file. Errors wrap [ErrScenario].
func ReadRunbook(path string) (Runbook, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Runbook{}, fmt.Errorf("%w: %w", ErrScenario, err)
	}
	return ParseRunbook(path, text)
}

// ParseRunbook reads and checks a runbook in TOML. file is the name of the text in errors, which
// wrap [ErrScenario].
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
	return b, b.Check(file)
}

// latestStep is the latest time of a step after the return, equal to that of operator_at.
const latestStep = 24 * time.Hour

// Check sets After of each step from At, and returns an error for the first step that is not
// possible. file is the runbook's name in errors, which wrap [ErrScenario].
func (b *Runbook) Check(file string) error {
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
		if s.After = at; at > latestStep {
			return bad("at %s is too late: %v after the return at most", s.At, latestStep)
		}
		if i > 0 && at < b.Steps[i-1].After {
			return bad("at %s is before the step above it, %s", s.At, b.Steps[i-1].At)
		}
		var part error
		switch s.Do {
		case "throttle":
			if !(s.Value > 0) || s.Value > 100 {
				return bad("a throttle of %g: want a share of capacity, 0.001 to 100", s.Value)
			}
			part = admit.Validate(ThrottleRef(s.Value))
		case "restart":
			if !(s.Value > 0) || s.Value > 1 {
				return bad("a restart of %g: want the share of the queue that it empties, above 0 to 1", s.Value)
			}
		case "relax":
		case "switch-queue":
			part = queue.Validate(s.To)
		case "switch-admit":
			part = admit.Validate(s.To)
		case "switch-retry":
			_, _, part = admit.Retries.Resolve(s.To)
		case "exec":
			if strings.TrimSpace(s.To) == "" {
				return bad(`exec without a command: to = "systemctl restart mine"`)
			}
		default:
			return bad("do = %q: there are throttle, relax, restart, switch-queue, switch-admit, switch-retry, exec", s.Do)
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

// TOML returns the runbook as a file that [ParseRunbook] reads back.
func (b Runbook) TOML() string {
	text, err := toml.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}

// Steps returns the steps of the scenario's own operator.
func (s *Scenario) Steps() (steps []Step) {
	add := func(at time.Duration, do string, value float64, to string) {
		steps = append(steps, Step{Do: do, Value: value, To: to, After: at})
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

// ThrottleRef returns the reference of a throttle at the given rate, a share of capacity.
func ThrottleRef(rate float64) string { return fmt.Sprintf("throttle:rate=%g", rate) }
