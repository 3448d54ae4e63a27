package scenario

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Key describes one field of a [Scenario]: its name in files, in --set and in manifests, and its
// range.
type Key struct {
	Name     string
	at       func(*Scenario) any // *int, *float64, *time.Duration or *string
	Min, Max float64             // inclusive; of a time, in seconds; of a text, 0
	Unit     string
	Doc      string
}

// Zero returns the zero value of the key's type: an int, a float64, a time.Duration or a string.
func (k Key) Zero() any {
	switch k.at(new(Scenario)).(type) {
	case *int:
		return 0
	case *float64:
		return 0.0
	case *time.Duration:
		return time.Duration(0)
	}
	return ""
}

// keys lists all keys, in the order of a manifest.
var keys = []Key{
	{Name: "name", at: func(s *Scenario) any { return &s.Name }, Doc: "folders are named after it"},
	{Name: "about", at: func(s *Scenario) any { return &s.About }, Doc: "one line on what it is"},
	{"leases", func(s *Scenario) any { return &s.Leases }, 1, 1 << 31, "leases", "N, leases under management"},
	{"broken", func(s *Scenario) any { return &s.Broken }, 0, 1 << 31, "leases", "B, leases that lapse in the outage; default: a tenth of them, and none with pause, slow or loads"},
	{"timeout", func(s *Scenario) any { return &s.Timeout }, 0.01, 3600, "s", "τ, how long a droplet waits for an answer"},
	{"interval", func(s *Scenario) any { return &s.Interval }, 0.01, 86400, "s", "H, between two checks of a droplet; default: 20 timeouts"},
	{"ttl", func(s *Scenario) any { return &s.TTL }, 0.01, 2.6e6, "s", "a lease's time to live; default: 3 intervals"},
	{"rho", func(s *Scenario) any { return &s.Rho }, 0.001, 0.99, "of capacity", "ρ, what the steady checks take; with service_time it follows, and is left out"},
	{"sigma", func(s *Scenario) any { return &s.Sigma }, 0.1, 1e4, "checks", "σ, cost of an establish"},
	{"delta", func(s *Scenario) any { return &s.Delta }, 0, 100, "times a live attempt's", "δ, cost of serving a dead attempt"},
	{"kappa", func(s *Scenario) any { return &s.Kappa }, 0, 1, "a waiting attempt", "κ, how much a service slows with the backlog"},
	{"refuse_cost", func(s *Scenario) any { return &s.RefuseCost }, 0, 1000, "checks", "what a refusal costs the workers (reading the request, authentication); the next service bears it"},
	{"connect_cost", func(s *Scenario) any { return &s.ConnectCost }, 0, 1000, "checks", "what opening a connection costs the workers (TLS): a time-out closes the client's, and its next attempt opens one"},
	{"cancel_seen", func(s *Scenario) any { return &s.CancelSeen }, 0, 1, "1", "share of the attempts given up, by a time-out or after another was answered, whose cancellation the manager sees: they leave the queue unserved; 0: it sees none"},
	{"hedge_after", func(s *Scenario) any { return &s.HedgeAfter }, 0, 3600, "s", "a check or establish without an answer is sent once more after this, while the first is out: a hedge; the first good answer counts; 0: never"},
	{"hedge_most", func(s *Scenario) any { return &s.HedgeMost }, 2, MostHedged, "attempts", "of a request in all, at most, with its hedges: each comes hedge_after behind the one before"},
	{"spread", func(s *Scenario) any { return &s.Spread }, 0, 3600, "s", "over which the broken ask after the return; default: a tenth of the timeout"},
	{"wait", func(s *Scenario) any { return &s.Wait }, 0, 86400, "s", "w, between a timed-out attempt and the next"},
	{"steady", func(s *Scenario) any { return &s.Steady }, 0.01, 86400, "s", "steady state before the outage; default: a timeout"},
	{"outage", func(s *Scenario) any { return &s.Outage }, 0, 86400, "s", "how long the dependency is away; 0 is no outage; default: a timeout"},
	{"duration", func(s *Scenario) any { return &s.Duration }, 0.1, 604_800, "s", "how long the run goes on after the return, at most; default: 25 timeouts"},
	{"slow", func(s *Scenario) any { return &s.Slow }, 0, 0.99, "of capacity", "capacity that is away from the return on"},
	{"slow_for", func(s *Scenario) any { return &s.SlowFor }, 0, 86400, "s", "how long it is away; 0: for good"},
	{Name: "slow_at", at: func(s *Scenario) any { return &s.SlowAt }, Doc: "what takes longer: a service that begins while capacity is away (service), or that of an attempt that arrives meanwhile, whenever it is served (arrival)"},
	{"pause", func(s *Scenario) any { return &s.Pause }, 0, 3600, "s", "no worker works for so long"},
	{"pause_at", func(s *Scenario) any { return &s.PauseAt }, 0, 86400, "s", "when the pause begins, after the return"},
	{"launch", func(s *Scenario) any { return &s.Launch }, 0, 100, "of capacity", "what users' launches ask for"},
	{"launch_tries", func(s *Scenario) any { return &s.LaunchTries }, 1, mostTries, "tries", "how often a user asks for a launch: again at once after each time-out, and then no more"},
	{Name: "launch_law", at: func(s *Scenario) any { return &s.LaunchLaw }, Doc: "when users ask for launches: poisson (at random) or even (at equal distances)"},
	{Name: "operator", at: func(s *Scenario) any { return &s.Operator }, Doc: "what the operator does: none, throttle, restart, both, switch"},
	{Name: "then_queue", at: func(s *Scenario) any { return &s.ThenQueue }, Doc: "discipline that the operator switches to; empty: none"},
	{Name: "then_admit", at: func(s *Scenario) any { return &s.ThenAdmit }, Doc: "admission controller that the operator switches to; empty: none"},
	{Name: "then_retry", at: func(s *Scenario) any { return &s.ThenRetry }, Doc: "retry policy that the operator gives the droplets; empty: none"},
	{"operator_at", func(s *Scenario) any { return &s.OperatorAt }, 0, 86400, "s", "when the operator acts, after the return; default: 8 timeouts"},
	{"throttle", func(s *Scenario) any { return &s.Throttle }, 0.001, 100, "of capacity", "rate of work of all classes that the operator's throttle lets in"},
	{"restarts", func(s *Scenario) any { return &s.Restarts }, 1, 1000, "restarts", "how often the operator restarts the manager"},
	{"restart_every", func(s *Scenario) any { return &s.RestartEvery }, 0.001, 86400, "s", "between two restarts; default: a timeout"},
	{Name: "loads", at: func(s *Scenario) any { return &s.Loads }, Doc: "offered loads of a ramp, in shares of capacity, checks included; empty: no ramp"},
	{Name: "between", at: func(s *Scenario) any { return &s.Between }, Doc: "between two loads of a ramp: restart (each begins with an empty queue) or nothing (what is left stays)"},
	{"measure", func(s *Scenario) any { return &s.Measure }, 0.1, 3600, "s", "how long each load of a ramp is measured; default: 1.5 timeouts"},
	{"zones", func(s *Scenario) any { return &s.Zones }, 1, 256, "zones", "availability zones of the droplets"},
	{"surge_zones", func(s *Scenario) any { return &s.SurgeZones }, 0, 256, "zones", "the broken leases are of the first so many zones; 0: of all"},
	{"expiry_spread", func(s *Scenario) any { return &s.ExpirySpread }, 0, 3600, "s", "leases that lapsed are taken up over so long after the return, beside spread (etcd's way at a take-over)"},
	{"grace", func(s *Scenario) any { return &s.Grace }, 0, 86400, "s", "leases that would lapse in the outage live so long after it; 0: they lapse"},
	{"check_jitter", func(s *Scenario) any { return &s.CheckJitter }, 0, 0.99, "of the interval", "each check interval is drawn from 1 less this to 1 of interval"},
	{"renew_rate", func(s *Scenario) any { return &s.RenewRate }, 0, 0.99, "of capacity", "interval and TTL grow until checks take no more than this (Nomad's way); 0: they do not"},
	{Name: "scale", at: func(s *Scenario) any { return &s.Scale }, Doc: "what is fitted: service (how long a check takes, from rho), leases (their number), none (rho follows from service_time, workers, leases and interval); default: service, and none with service_time"},
	{"service_time", func(s *Scenario) any { return &s.ServiceTime }, 1e-7, 10, "s", "service of a check on one worker, for scale leases and none"},
	{"workers", func(s *Scenario) any { return &s.Workers }, 0, MaxWorkers, "workers", "c, workers of the manager; 0: 1 in virtual time, else one per physical core, less the generator's"},
	{Name: "service_law", at: func(s *Scenario) any { return &s.ServiceLaw }, Doc: "distribution of service times in virtual time: fixed, exponential, lognormal:cv=NUMBER, measured:FOLDER of a run"},
	{Name: "table", at: func(s *Scenario) any { return &s.Table }, Doc: "lease table"},
	{Name: "queue", at: func(s *Scenario) any { return &s.Queue }, Doc: "queue discipline"},
	{Name: "admit", at: func(s *Scenario) any { return &s.Admit }, Doc: "admission controller"},
	{Name: "retry", at: func(s *Scenario) any { return &s.Retry }, Doc: "retry policy"},
	{Name: "require", at: func(s *Scenario) any { return &s.Require }, Doc: "what 'leasestorm gate' holds the runs to, as in \"verdict==recovered, ttr<8s\"; a line each; empty: nothing"},
}

func findKey(name string) (Key, error) {
	for _, k := range keys {
		if k.Name == name {
			return k, nil
		}
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return Key{}, Bad(name, "unknown key; there are: "+strings.Join(names, ", "))
}

// Bad returns an error for a key whose value is not possible; what is the reason. The error wraps
// [ErrScenario].
func Bad(key, what string) error { return &keyError{key, what} }

// keyError is the error for an impossible value of a key.
type keyError struct{ key, what string }

func (e *keyError) Error() string { return fmt.Sprintf("%v: %s: %s", ErrScenario, e.key, e.what) }
func (e *keyError) Unwrap() error { return ErrScenario }

func (k Key) bad(format string, args ...any) error {
	return Bad(k.Name, fmt.Sprintf(format, args...))
}

// set sets the key to a decoded TOML value.
func (k Key) set(s *Scenario, value any) error {
	switch p := k.at(s).(type) {
	case *string:
		text, ok := value.(string)
		if !ok {
			return k.bad("%v is not a name; write it in quotes", value)
		}
		*p = text
	case *time.Duration:
		text, ok := value.(string)
		d, err := time.ParseDuration(text)
		if !ok || err != nil {
			return k.bad(`%v is not a time; write a number with its unit, in quotes in a file, as in "1s" or "500ms"`, value)
		}
		*p = d
	case *int:
		switch n := value.(type) {
		case int64:
			*p = int(n)
		case float64: // 1e3
			if n != math.Trunc(n) || math.Abs(n) > 1<<53 {
				return k.bad("%v is not a whole number", value)
			}
			*p = int(n)
		default:
			return k.bad("%v is not a whole number", value)
		}
	case *float64:
		switch x := value.(type) {
		case float64:
			*p = x
		case int64:
			*p = float64(x)
		default:
			return k.bad("%v is not a number", value)
		}
	}
	return nil
}

// parse sets the key to a value from a command line.
func (k Key) parse(s *Scenario, text string) error {
	number, ok := Decimal(text)
	switch k.at(s).(type) {
	case *int:
		if n, err := strconv.ParseInt(number, 10, 64); ok && err == nil {
			return k.set(s, n)
		}
		if x, err := strconv.ParseFloat(number, 64); ok && err == nil {
			return k.set(s, x)
		}
	case *float64:
		if x, err := strconv.ParseFloat(number, 64); ok && err == nil {
			return k.set(s, x)
		}
	}
	return k.set(s, text)
}

// Decimal turns a decimal number as people write it into a form that strconv parses in base 10:
// it removes each "_" between two digits. ok is false for any other notation, such as 0x1000, inf
// or nan.
func Decimal(text string) (number string, ok bool) {
	digit := func(i int) bool { return i >= 0 && i < len(text) && text[i] >= '0' && text[i] <= '9' }
	b := make([]byte, 0, len(text))
	for i := range len(text) {
		switch c := text[i]; {
		case digit(i) || strings.IndexByte("+-.eE", c) >= 0:
			b = append(b, c)
		case c != '_' || !digit(i-1) || !digit(i+1):
			return text, false
		}
	}
	return string(b), len(b) > 0
}

// check returns an error if the scenario's value is outside the key's range.
func (k Key) check(s *Scenario) error {
	x, shown := 0.0, ""
	switch p := k.at(s).(type) {
	case *int:
		x, shown = float64(*p), strconv.Itoa(*p)
	case *float64:
		x, shown = *p, strconv.FormatFloat(*p, 'g', -1, 64)
	case *time.Duration:
		x, shown = p.Seconds(), p.String()
	case *string:
		if !utf8.ValidString(*p) || strings.ContainsRune(*p, 0) {
			return k.bad("%q has what neither a file nor a command line can hold: want UTF-8 without NUL", *p)
		}
		return nil
	}
	return k.within(x, shown)
}

// within returns an error if x is outside the key's range. shown is x in the error.
func (k Key) within(x float64, shown string) error {
	if !(x >= k.Min && x <= k.Max) {
		return k.bad("%s is out of range: %.10g to %.10g %s", shown, k.Min, k.Max, k.Unit)
	}
	return nil
}

// Settings returns the scenario's keys and values, in the order of [Keys].
func (s *Scenario) Settings() [][2]string {
	var all [][2]string
	for _, k := range keys {
		all = append(all, [2]string{k.Name, k.value(s)})
	}
	return all
}

func (k Key) value(s *Scenario) string {
	switch p := k.at(s).(type) {
	case *int:
		return strconv.Itoa(*p)
	case *float64:
		return strconv.FormatFloat(*p, 'g', -1, 64)
	case *time.Duration:
		return p.String()
	case *string:
		return *p
	}
	return ""
}

// quote writes a TOML basic string. Three of Go's escapes are not TOML's: \a, \v and \x.
func quote(text string) string {
	q := []byte(strconv.Quote(strings.ToValidUTF8(text, "\ufffd")))
	out := q[:0:0]
	for i := 0; i < len(q); i++ {
		if q[i] != '\\' {
			out = append(out, q[i])
			continue
		}
		i++
		switch q[i] {
		case 'a':
			out = append(out, `\u0007`...)
		case 'v':
			out = append(out, `\u000b`...)
		case 'x': // two digits
			out = append(out, `\u00`...)
		default:
			out = append(out, '\\', q[i])
		}
	}
	return string(out)
}

// TOML returns the scenario as a file that [Parse] reads back. It leaves out what follows from
// the other keys.
func (s *Scenario) TOML() string {
	var b strings.Builder
	for _, k := range keys {
		if !s.holds(k.Name) {
			continue
		}
		v := k.value(s)
		switch k.at(s).(type) {
		case *string, *time.Duration:
			v = quote(v)
		}
		fmt.Fprintf(&b, "%s = %s\n", k.Name, v)
	}
	return b.String()
}

// Set applies assignments of the form "key=value", as in "rho=0.4" or "spread=0.5s", and then
// validates the scenario. Keys that are not assigned stay as they are: another timeout does not
// change the interval. Errors wrap [ErrScenario].
func (s *Scenario) Set(assignments ...string) error {
	given := map[string]bool{}
	for _, a := range assignments {
		name, text, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%w: %q is not of the form key=value", ErrScenario, a)
		}
		k, err := findKey(name)
		if err != nil {
			return err
		}
		if err := k.parse(s, text); err != nil {
			return err
		}
		given[name] = true
	}
	return cmp.Or(s.rescale(given), s.Validate())
}

// Keys returns all keys, in the order of a manifest.
func Keys() []Key { return slices.Clone(keys) }

// Differences returns the scenario's values that differ from those of from, as assignments for
// [Scenario.Set].
func (s *Scenario) Differences(from *Scenario) (set []string) {
	for _, k := range keys {
		if v := k.value(s); v != k.value(from) && s.holds(k.Name) {
			set = append(set, k.Name+"="+v)
		}
	}
	return set
}
