// Package scenario defines what an experiment asks for. It holds:
//
//   - a [Scenario], its keys and its TOML files
//   - a [Fitted] scenario: its loads and costs turned into times for a number of workers
//   - an [Axis], along which a map or a search varies a scenario
//   - a [Runbook], the steps of an operator
//   - a [Disturbance], the events that a scenario can suffer
//
// The package checks the names of tables, disciplines, controllers and retry policies against
// their catalogs. It runs nothing.
package scenario

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/pelletier/go-toml/v2"

	"github.com/leasestorm/leasestorm/bench/internal/require"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// ErrScenario is returned, wrapped, for a scenario that cannot be run as written.
var ErrScenario = errors.New("bad scenario")

// Refused reports whether err refuses the scenario itself: because of the scenario's own values
// ([ErrScenario]) or of the parameters of one of its parts (catalog.ErrParam).
func Refused(err error) bool {
	return errors.Is(err, ErrScenario) || errors.Is(err, catalog.ErrParam)
}

// Scenario is one experiment. Its loads are shares of capacity and its costs are in units of one
// check's service. So every host runs the same experiment: with Scale "service" the service time
// of a check is fitted to the host. [Keys] documents the meaning, unit and range of each field.
type Scenario struct {
	Name, About            string
	Leases, Broken         int
	Timeout, Interval, TTL time.Duration
	Rho, Sigma             float64
	Delta, Kappa           float64
	RefuseCost             float64
	ConnectCost            float64
	CancelSeen             float64
	HedgeAfter             time.Duration
	HedgeMost              int
	Spread, Wait           time.Duration
	Steady, Outage         time.Duration
	Duration               time.Duration
	Slow                   float64
	SlowFor                time.Duration
	SlowAt                 string
	Pause, PauseAt         time.Duration
	Launch                 float64
	LaunchTries            int
	LaunchLaw              string
	Operator               string
	OperatorAt             time.Duration
	Throttle               float64
	Restarts               int
	RestartEvery           time.Duration
	Loads, Between         string
	ThenQueue, ThenAdmit   string
	ThenRetry              string
	SurgeZones             int
	ExpirySpread, Grace    time.Duration
	CheckJitter, RenewRate float64
	Measure                time.Duration
	Zones                  int
	Scale                  string
	ServiceTime            time.Duration
	Workers                int
	ServiceLaw             string
	Table, Queue           string
	Admit, Retry           string
	Require                string
}

// Default returns the values of the keys that a file leaves out, for a timeout of a second; derive
// has the rules for another timeout. It has no name and no broken leases.
func Default() Scenario {
	return Scenario{
		Leases: 1_000_000, Timeout: time.Second, Interval: 20 * time.Second, TTL: 60 * time.Second,
		Rho: 0.25, Sigma: 4, Delta: 1, Spread: 100 * time.Millisecond,
		Steady: time.Second, Outage: time.Second, Duration: 25 * time.Second, Zones: 3,
		Operator: "none", Between: "restart", OperatorAt: 8 * time.Second, Throttle: 0.8, Restarts: 1, RestartEvery: time.Second, Measure: 1500 * time.Millisecond,
		Scale: "service", ServiceTime: 5 * time.Microsecond, ServiceLaw: "fixed",
		Table: "lockfree", Queue: "fifo", Admit: "none", Retry: "immediate",
		SlowAt: SlowServices, LaunchTries: 1, LaunchLaw: PoissonLaunches, HedgeMost: 2,
	}
}

// What slow_at names: the services that begin in the slow spell take longer, or those of the attempts that
// arrive in it, whenever they are served, as where a worker is reserved on arrival.
const (
	SlowServices = "service"
	SlowArrivals = "arrival"
)

// What launch_law names: users ask for launches at random, or in even steps from a random phase on.
const (
	PoissonLaunches = "poisson"
	EvenLaunches    = "even"
)

//go:embed scenarios/*.toml
var builtin embed.FS

func builtinNames() []string {
	files, err := fs.Glob(builtin, "scenarios/*.toml")
	if err != nil {
		panic(err) // a malformed pattern
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(path.Base(f), ".toml")
	}
	return files
}

// All returns the built-in scenarios, sorted by name.
func All() []Scenario {
	var all []Scenario
	for _, name := range builtinNames() {
		s, err := Load(name)
		if err != nil {
			panic(err) // a test loads them all
		}
		all = append(all, s)
	}
	return all
}

// renamed maps the former names of built-in scenarios to their present names.
var renamed = map[string]string{"sweep-load": "load-ramp"}

// Load returns the built-in scenario of the given name. A name that ends in ".toml" is the path
// of a file to read. Errors wrap [ErrScenario].
func Load(name string) (Scenario, error) {
	if strings.HasSuffix(name, ".toml") {
		text, err := os.ReadFile(name)
		if err != nil {
			return Scenario{}, fmt.Errorf("%w: %w", ErrScenario, err)
		}
		return Parse(name, text)
	}
	text, err := builtin.ReadFile("scenarios/" + name + ".toml")
	if now := renamed[name]; now != "" {
		return Scenario{}, fmt.Errorf("%w: scenario %q is called %q", ErrScenario, name, now)
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("%w: no scenario %q; there are: %s; a file's name must end in .toml",
			ErrScenario, name, strings.Join(builtinNames(), ", "))
	}
	return Parse(name+".toml", text)
}

// Source returns the text of a built-in scenario: what its file gives, without what follows from it.
func Source(name string) (text string, ok bool) {
	b, err := builtin.ReadFile("scenarios/" + name + ".toml")
	return string(b), err == nil
}

// byteOrderMark is the UTF-8 mark with which some editors begin a file.
var byteOrderMark = []byte("\ufeff")

// Parse reads a scenario in TOML. file is the name of the text in errors, which wrap
// [ErrScenario].
func Parse(file string, text []byte) (Scenario, error) {
	s := Default()
	text = bytes.TrimPrefix(text, byteOrderMark)
	values := map[string]any{}
	if err := toml.Unmarshal(text, &values); err != nil {
		if e, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := e.Position()
			return s, fmt.Errorf("%s:%d:%d: %w: %s", file, line, column, ErrScenario, strings.TrimPrefix(e.Error(), "toml: "))
		}
		return s, fmt.Errorf("%s: %w: %w", file, ErrScenario, err)
	}
	where := func(err error) error {
		if e, ok := errors.AsType[*keyError](err); ok {
			if line := lineOf(text, e.key); line > 0 {
				return fmt.Errorf("%s:%d: %w", file, line, err)
			}
		}
		return fmt.Errorf("%s: %w", file, err)
	}
	given := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		k, err := findKey(name)
		if err == nil {
			err = k.set(&s, values[name])
		}
		if err != nil {
			return s, where(err)
		}
		given[name] = true
	}
	if !given["name"] {
		s.Name = nameOf(file)
	}
	s.derive(given)
	if err := cmp.Or(s.rescale(given), s.Validate()); err != nil {
		return s, where(err)
	}
	return s, nil
}

// loads are the loads of a ramp, in shares of capacity.
func (s *Scenario) loads() ([]float64, error) {
	var all []float64
	for text := range strings.SplitSeq(s.Loads, ",") {
		if s.Loads == "" {
			break
		}
		x, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(x > s.Rho && x <= 100) {
			return nil, Bad("loads", fmt.Sprintf("%q is not a load: want numbers above rho = %g, which the checks take, up to 100, with commas between them", text, s.Rho))
		}
		all = append(all, x)
	}
	if len(all) > mostLoads {
		return nil, Bad("loads", fmt.Sprintf("%d loads: want %d at most", len(all), mostLoads))
	}
	return all, nil
}

const mostLoads = 1000

// mostTries is the largest number of tries that an attempt's counter holds.
const mostTries = admit.MostTries

// MostHedged is the largest number of attempts of one request in all: gRPC's own limit
// of maxAttempts (gRPC A6).
const MostHedged = 5

// leastLaunch is the smallest load of launches above 0, as a share of capacity.
const leastLaunch = 1e-6

// MostBroken returns the largest number of leases that can break: all leases, or those of the
// first SurgeZones zones.
func (s *Scenario) MostBroken() int {
	if s.SurgeZones == 0 {
		return s.Leases
	}
	zones := max(1, s.Zones)
	return s.Leases/zones*s.SurgeZones + min(s.Leases%zones, s.SurgeZones)
}

func notInName(r rune) bool {
	return r == '/' || r == '\\' || unicode.IsSpace(r) || unicode.IsControl(r)
}

// lineOf returns the line of a key, or 0 if the file does not set the key.
func lineOf(text []byte, key string) int {
	for i, line := range strings.Split(string(text), "\n") {
		name, _, ok := strings.Cut(line, "=")
		if ok && strings.Trim(strings.TrimSpace(name), `"'`) == key || strings.Trim(strings.TrimSpace(line), "[]") == key {
			return i + 1
		}
	}
	return 0
}

// Shrink scales a scenario down to so many leases at the same ρ and β. It returns false, and leaves the
// scenario as it is, where it has no more, its numbers are absolute, or it would become another one.
func (s *Scenario) Shrink(leases int) bool {
	if s.Leases <= leases || s.Scale == "none" {
		return false
	}
	small := *s
	small.Leases, small.Broken = leases, int(int64(s.Broken)*int64(leases)/int64(s.Leases))
	if b := small.Beta(); !(b > 0.99*s.Beta() && b < 1.01*s.Beta()) && s.Broken > 0 {
		return false
	}
	*s = small
	return true
}

// Validate returns an error for the first key whose value is not possible. The error names the
// key and the values that are, and wraps [ErrScenario].
func (s *Scenario) Validate() error {
	for _, k := range keys {
		if err := k.check(s); err != nil {
			return err
		}
	}
	bad := func(key, format string, args ...any) error { return Bad(key, fmt.Sprintf(format, args...)) }
	switch {
	case s.Name == "":
		return bad("name", "missing: a scenario has a name")
	case strings.ContainsFunc(s.Name, notInName) || strings.HasPrefix(s.Name, "."):
		return bad("name", "%q: a name has no spaces, slashes or control characters and does not begin with a dot, since folders are named after it", s.Name)
	case s.Broken > s.Leases:
		return bad("broken", "%d is out of range: 0 to %d leases (key leases)", s.Broken, s.Leases)
	case s.Interval < s.Timeout:
		return bad("interval", "%v is out of range: at least the timeout, %v", s.Interval, s.Timeout)
	case s.HedgeAfter >= s.Timeout:
		return bad("hedge_after", "%v is out of range: 0 (never), or less than the timeout, %v", s.HedgeAfter, s.Timeout)
	case s.HedgeAfter%time.Microsecond != 0:
		return bad("hedge_after", "%v is no whole number of microseconds, in which attempts count their timeouts", s.HedgeAfter)
	case s.TTL <= s.Interval:
		return bad("ttl", "%v is out of range: more than the interval, %v", s.TTL, s.Interval)
	case s.Broken > 0 && s.Outage == 0:
		return bad("broken", "%d leases cannot break without an outage; set outage", s.Broken)
	case !slices.Contains([]string{"none", "throttle", "restart", "both", "switch"}, s.Operator):
		return bad("operator", "%q: want none, throttle, restart, both or switch", s.Operator)
	case (s.Operator == "switch") != (s.ThenQueue+s.ThenAdmit+s.ThenRetry != ""):
		return bad("operator", "switch goes with then_queue, then_admit or then_retry, and they with it")
	case !slices.Contains([]string{"restart", "nothing"}, s.Between):
		return bad("between", "%q: want restart or nothing", s.Between)
	case !slices.Contains([]string{SlowServices, SlowArrivals}, s.SlowAt):
		return bad("slow_at", "%q: want %s or %s", s.SlowAt, SlowServices, SlowArrivals)
	case !slices.Contains([]string{PoissonLaunches, EvenLaunches}, s.LaunchLaw):
		return bad("launch_law", "%q: want %s or %s", s.LaunchLaw, PoissonLaunches, EvenLaunches)
	case s.SurgeZones > s.Zones:
		return bad("surge_zones", "%d is out of range: 0 (all) to %d zones", s.SurgeZones, s.Zones)
	case s.Broken > s.MostBroken():
		return bad("broken", "%d leases are more than the %d of the zones that surge", s.Broken, s.MostBroken())
	case s.Operator != "none" && s.Outage == 0:
		return bad("operator", "%q acts after the return, and there is no outage; set outage", s.Operator)
	case (s.Slow > 0 || s.Pause > 0) && s.Outage == 0:
		return bad("outage", "slow and pause count from the return, and there is no outage; set outage")
	case s.Pause > 0 && s.PauseAt >= s.Duration:
		return bad("pause_at", "%v is after the end of the run, %v after the return; lower it, or raise duration", s.PauseAt, s.Duration)
	case s.Launch > 0 && s.Launch < leastLaunch:
		return bad("launch", "%g is out of range: 0 (none), or %g to 100 of capacity", s.Launch, leastLaunch)
	case s.Loads != "" && s.Outage > 0:
		return bad("loads", "a ramp of loads has no outage; set outage = \"0s\"")
	case !slices.Contains([]string{"service", "leases", "none"}, s.Scale):
		return bad("scale", "%q: want service, leases or none", s.Scale)
	}
	if _, err := s.loads(); err != nil {
		return err
	}
	if s.Require != "" {
		if _, err := require.Parse(s.Require); err != nil {
			return bad("require", "%v", err)
		}
	}
	if err := s.checkServiceLaw(); err != nil {
		return err
	}
	_, _, table := lease.Catalog.Resolve(s.Table)
	discipline := s.checkDiscipline(s.Queue)
	controller := admit.Validate(s.Admit)
	_, _, retry := admit.Retries.Resolve(s.Retry)
	var thenQueue, thenAdmit, thenRetry error
	if s.ThenQueue != "" {
		thenQueue = s.checkDiscipline(s.ThenQueue)
	}
	if s.ThenAdmit != "" {
		thenAdmit = admit.Validate(s.ThenAdmit)
	}
	if s.ThenRetry != "" {
		_, _, thenRetry = admit.Retries.Resolve(s.ThenRetry)
	}
	for _, part := range []struct {
		key string
		err error
	}{{"then_queue", thenQueue}, {"then_admit", thenAdmit}, {"then_retry", thenRetry}, {"table", table}, {"queue", discipline}, {"admit", controller}, {"retry", retry}} {
		if part.err != nil {
			return bad(part.key, "%v", part.err)
		}
	}
	return nil
}
