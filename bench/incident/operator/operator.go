// Package operator is the operator of the replayed outage: a runbook of steps at times of the
// day. The built-in runbook "day" has the public times of 20 October 2025. A runbook in a TOML
// file can replace it.
//
// What is known: the times whose source is "public". What is not: how much was throttled, how many
// hosts were restarted and in which order, and which mitigations failed before. The values in
// day.toml are estimates, each marked.
//
// A runbook is data. The replay carries its steps out.
package operator

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// ErrRunbook is returned, wrapped, for a runbook that cannot be carried out as written.
var ErrRunbook = errors.New("bad runbook")

// What a step does.
const (
	FindCause       = "find-cause"        // the cause is known
	MendInternal    = "mend-internal"     // the name resolves for internal callers
	MendName        = "mend-name"         // the DNS record is restored by hand
	Restart         = "restart"           // empty the queues of Value, a share of the manager's partitions
	Throttle        = "throttle"          // limit the manager's incoming work to Value, a share of its capacity
	Relax           = "relax"             // remove the manager's throttle
	ThrottleLaunch  = "throttle-launches" // let in Value, a share of the usual launches; others get "request limit exceeded"
	RelaxLaunch     = "relax-launches"    // remove the throttle on launches
	FailOverOff     = "fail-over-off"     // the load balancers remove no zone, and take all zones back
	FailOverOn      = "fail-over-on"      // the load balancers may remove zones again
	AutomationOff   = "automation-off"    // planner, enactors and clean-up stop
	Attempt         = "attempt"           // a mitigation that failed: a mark without effect
	Note            = "note"              // a mark without effect
	SourcePublic    = "public"            // the step's time was published by AWS
	SourceEstimated = "estimated"         // the step's time is an estimate
)

// actions are all actions, with the range of their values: least is exclusive, most inclusive.
var actions = []struct {
	do          string
	least, most float64 // 0, 0: the action has no value
	value       string
}{
	{FindCause, 0, 0, ""},
	{MendInternal, 0, 0, ""},
	{MendName, 0, 0, ""},
	{Restart, 0, 1, "the share of the manager's partitions whose queues it empties"},
	{Throttle, 0, 100, "the share of the manager's capacity that it lets in"},
	{Relax, 0, 0, ""},
	{ThrottleLaunch, 0, 100, "the share of the usual launches that it lets in"},
	{RelaxLaunch, 0, 0, ""},
	{FailOverOff, 0, 0, ""},
	{FailOverOn, 0, 0, ""},
	{AutomationOff, 0, 0, ""},
	{Attempt, 0, 0, ""},
	{Note, 0, 0, ""},
}

// Step is one action of the operator.
type Step struct {
	Clock  string  `toml:"at" json:"at"` // PDT time of day, as in "00:38"
	Do     string  `toml:"do" json:"do"`
	Value  float64 `toml:"value,omitempty" json:"value,omitempty"`
	Source string  `toml:"source,omitempty" json:"source,omitempty"` // SourcePublic or SourceEstimated; empty: the user's own
	Note   string  `toml:"note,omitempty" json:"note,omitempty"`

	// At is Clock as a time since the replay's start. Check sets it.
	At time.Duration `toml:"-" json:"-"`
	// From is where a restart begins, a share of the partitions: restarts go round. Check sets it.
	From float64 `toml:"-" json:"-"`
}

// Runbook is what the operator does, in the order of the steps' times.
type Runbook struct {
	Name  string `toml:"name" json:"name"`
	About string `toml:"about,omitempty" json:"about,omitempty"`
	Steps []Step `toml:"step" json:"steps"`
}

//go:embed *.toml
var builtin embed.FS

// Names returns the names of the built-in runbooks, sorted.
func Names() []string {
	files, err := fs.Glob(builtin, "*.toml")
	if err != nil {
		panic(err) // a malformed pattern
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".toml")
	}
	return files
}

// Load returns the built-in runbook of the given name. A name that ends in ".toml" is the path of
// a file to read. Errors wrap [ErrRunbook].
func Load(name string) (Runbook, error) {
	if strings.HasSuffix(name, ".toml") {
		text, err := os.ReadFile(name)
		if err != nil {
			return Runbook{}, fmt.Errorf("%w: %w", ErrRunbook, err)
		}
		return Parse(name, text)
	}
	text, err := builtin.ReadFile(name + ".toml")
	if err != nil {
		return Runbook{}, fmt.Errorf("%w: no runbook %q; there are: %s; a file's name must end in .toml",
			ErrRunbook, name, strings.Join(Names(), ", "))
	}
	return Parse(name+".toml", text)
}

// byteOrderMark is the UTF-8 mark with which some editors begin a file.
var byteOrderMark = []byte("\ufeff")

// Parse reads and checks a runbook in TOML. file is the name of the text in errors, which wrap
// [ErrRunbook].
func Parse(file string, text []byte) (b Runbook, err error) {
	d := toml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(text, byteOrderMark)))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		if e, ok := errors.AsType[*toml.StrictMissingError](err); ok {
			line, column := e.Errors[0].Position()
			return b, fmt.Errorf("%s:%d:%d: %w: unknown key %s: there are name, about, and [[step]] with at, do, value, source, note",
				file, line, column, ErrRunbook, strings.Join(e.Errors[0].Key(), "."))
		}
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := e.Position()
			return b, fmt.Errorf("%s:%d:%d: %w: %s", file, line, column, ErrRunbook, strings.TrimPrefix(e.Error(), "toml: "))
		}
		return b, fmt.Errorf("%s: %w: %w", file, ErrRunbook, err)
	}
	if b.Name == "" {
		b.Name = strings.TrimSuffix(path.Base(file), ".toml")
	}
	return b, b.Check(file)
}

// Check sets At and From of each step, and returns an error for the first step that is not
// possible. file is the runbook's name in errors, which wrap [ErrRunbook].
func (b *Runbook) Check(file string) error {
	if len(b.Steps) == 0 {
		return fmt.Errorf("%s: %w: a runbook needs a [[step]]", file, ErrRunbook)
	}
	from := 0.0
	for i := range b.Steps {
		s := &b.Steps[i]
		bad := func(format string, args ...any) error {
			return fmt.Errorf("%s: %w: step %d: %s", file, ErrRunbook, i+1, fmt.Sprintf(format, args...))
		}
		at, err := At(s.Clock)
		if err != nil {
			return bad("at = %v", err)
		}
		if s.At = at; i > 0 && at < b.Steps[i-1].At {
			return bad("at %s is before the step above it, %s: put the steps in the order of their times, from 23:30 on", s.Clock, b.Steps[i-1].Clock)
		}
		if err := s.checkAction(); err != nil {
			return bad("%v", err)
		}
		switch s.Source {
		case "", SourcePublic, SourceEstimated:
		default:
			return bad("source = %q: there are %s, %s; leave it out for a step of your own", s.Source, SourcePublic, SourceEstimated)
		}
		switch n := b.before(i, s.Do); s.Do {
		case FindCause, MendInternal, MendName, AutomationOff:
			if n > 0 {
				return bad("%s can be done once", s.Do)
			}
		case Restart:
			s.From = from
			if from += s.Value; from >= 1 {
				from -= math.Floor(from)
			}
		}
	}
	return nil
}

// checkAction returns an error for an action that does not exist or whose value is out of range.
func (s *Step) checkAction() error {
	names := make([]string, len(actions))
	for i, a := range actions {
		names[i] = a.do
		switch {
		case a.do != s.Do:
		case a.most == 0 && s.Value != 0:
			return fmt.Errorf("%s has no value: leave out value = %g", s.Do, s.Value)
		case a.most > 0 && !(s.Value > a.least && s.Value <= a.most):
			return fmt.Errorf("%s with value = %g: want %s, above %g to %g", s.Do, s.Value, a.value, a.least, a.most)
		default:
			return nil
		}
	}
	return fmt.Errorf("do = %q: there are %s", s.Do, strings.Join(names, ", "))
}

// before counts the steps above the i-th with the given action.
func (b *Runbook) before(i int, do string) (n int) {
	for _, s := range b.Steps[:i] {
		if s.Do == do {
			n++
		}
	}
	return n
}

// Due returns the steps whose time is from from up to but not including to. Windows that tile the
// day, one for each step of the replay, meet every step of the runbook once.
func (b *Runbook) Due(from, to time.Duration) []Step {
	at := func(s Step, t time.Duration) int { return cmp.Compare(s.At, t) }
	i, _ := slices.BinarySearchFunc(b.Steps, from, at)
	j, _ := slices.BinarySearchFunc(b.Steps, to, at)
	return b.Steps[i:max(i, j)]
}

// First returns the time of the first step with one of the actions. ok is false if there is none.
func (b *Runbook) First(do ...string) (at time.Duration, ok bool) {
	for _, s := range b.Steps {
		if slices.Contains(do, s.Do) {
			return s.At, true
		}
	}
	return 0, false
}

// AtManager returns the time of the first action at the lease manager, a throttle or a restart. ok
// is false if there is none.
func (b *Runbook) AtManager() (at time.Duration, ok bool) { return b.First(Throttle, Restart) }

// Restarts reports whether a restart step empties the queue of partition i of n. The share Value
// begins at From and goes round, so four restarts of 0.25 reach each partition once.
func (s *Step) Restarts(i, n int) bool {
	middle := (float64(i) + 0.5) / float64(n)
	if middle < s.From {
		middle++
	}
	return s.Do == Restart && middle < s.From+s.Value
}

// Text returns a built-in runbook as the TOML file that it is, for a user to copy and change. ok is
// false if there is no such runbook.
func Text(name string) (text string, ok bool) {
	b, err := builtin.ReadFile(name + ".toml")
	return string(b), err == nil
}

// What returns the step in a few words, for a legend.
func (s *Step) What() string {
	percent := fmt.Sprintf("%.0f %%", 100*s.Value)
	switch s.Do {
	case FindCause:
		return "cause found"
	case MendInternal:
		return "name mended for internal callers"
	case MendName:
		return "name mended"
	case Restart:
		return "restart of " + percent + " of the partitions"
	case Throttle:
		return "throttle at " + percent
	case Relax:
		return "throttle off"
	case ThrottleLaunch:
		return "launches limited to " + percent
	case RelaxLaunch:
		return "launches free"
	case FailOverOff:
		return "fail-over off"
	case FailOverOn:
		return "fail-over on"
	case AutomationOff:
		return "DNS automation off"
	case Attempt:
		return "an attempt fails"
	}
	return "noticed"
}

// TOML returns the runbook as a file that [Parse] reads back.
func (b Runbook) TOML() string {
	text, err := toml.Marshal(b)
	if err != nil {
		panic(err) // strings and numbers
	}
	return string(text)
}
