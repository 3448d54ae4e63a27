// Package catalog provides lists of parts that are chosen by name: lease tables, queue
// disciplines, admission controllers and retry policies.
//
// A reference names a part and its parameters: "name" or "name:key=value,key=value", for
// example "codel:target=10ms,interval=200ms". Resolve checks a reference against the
// parameters that the part declares. A misspelt key, a missing unit or a value out of range is
// an error before anything runs.
package catalog

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// ErrUnknown is wrapped by the error for a name that no part is registered under.
var ErrUnknown = errors.New("unknown name")

// ErrParam is wrapped by the error for a parameter that is unknown, malformed or out of range.
var ErrParam = errors.New("bad parameter")

// OutOfRange returns an ErrParam that names a field of an options struct, its value with the
// unit, and the values that it takes.
func OutOfRange(field string, value any, want string) error {
	return fmt.Errorf("%w: %s is %v, want %s", ErrParam, field, value, want)
}

// Seconds is the Unit of a Param whose values are written as durations, for example "5ms", and
// resolved to seconds.
const Seconds = "s"

// Param declares one parameter of a part. Every parameter is a number.
type Param struct {
	Name     string
	Unit     string  // Seconds, "1" for a pure number, or a word such as "attempts"
	Default  float64 // in Unit
	Min, Max float64 // inclusive bounds, in Unit; Max 0 means no upper bound
	Doc      string  // one line
}

// Values has the resolved parameters of one part by name, each in its Param's unit.
type Values map[string]float64

// Duration returns a Seconds parameter as a duration.
func (v Values) Duration(name string) time.Duration {
	return time.Duration(math.Round(v[name] * float64(time.Second)))
}

// Int returns a parameter rounded to the nearest integer.
func (v Values) Int(name string) int { return int(math.Round(v[name])) }

// Entry describes one registered part. F is the kind's constructor type.
type Entry[F any] struct {
	Name   string
	Doc    string // one line: what it does
	Source string // paper, RFC with section, or code base it follows
	Params []Param
	New    F
	// HostClock marks a part that reads the host's clock. Such a part runs on the real engine
	// only.
	HostClock bool
}

// Catalog is the set of parts of one kind. New makes one; the zero value is not usable. A
// Catalog is safe for concurrent use.
type Catalog[F any] struct {
	kind    string // "queue discipline", for messages
	mu      sync.RWMutex
	entries map[string]Entry[F]
}

// New returns a catalog that holds the entries. Error messages call a part of it kind, for
// example "queue discipline".
func New[F any](kind string, entries ...Entry[F]) *Catalog[F] {
	c := &Catalog[F]{kind: kind, entries: make(map[string]Entry[F], len(entries))}
	for _, e := range entries {
		c.Register(e)
	}
	return c
}

// Register adds a part. It panics if the name is malformed or taken, which is a programmer's
// error.
func (c *Catalog[F]) Register(e Entry[F]) {
	if e.Name == "" || strings.ContainsAny(e.Name, ":,=+ \t\n") {
		panic(fmt.Sprintf("catalog: %s name %q must be non-empty and free of ':', ',', '=', '+' and spaces", c.kind, e.Name))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, dup := c.entries[e.Name]; dup {
		panic(fmt.Sprintf("catalog: %s %q registered twice", c.kind, e.Name))
	}
	c.entries[e.Name] = e
}

// List returns all parts, sorted by name.
func (c *Catalog[F]) List() []Entry[F] {
	c.mu.RLock()
	defer c.mu.RUnlock()
	out := make([]Entry[F], 0, len(c.entries))
	for _, e := range c.entries {
		out = append(out, e)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Names returns the names of all parts, sorted.
func (c *Catalog[F]) Names() []string {
	entries := c.List()
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name
	}
	return names
}

// Resolve returns the part that ref names and its parameters. A parameter that ref leaves out
// has its default. Errors wrap ErrUnknown or ErrParam.
func (c *Catalog[F]) Resolve(ref string) (Entry[F], Values, error) {
	name, args, hasArgs := strings.Cut(ref, ":")
	c.mu.RLock()
	e, ok := c.entries[name]
	c.mu.RUnlock()
	if !ok {
		return e, nil, fmt.Errorf("%s %q: %w; there are: %s", c.kind, name, ErrUnknown, strings.Join(c.Names(), ", "))
	}
	v := make(Values, len(e.Params))
	for _, p := range e.Params {
		v[p.Name] = p.Default
	}
	if !hasArgs {
		return e, v, nil
	}
	for arg := range strings.SplitSeq(args, ",") {
		key, text, ok := strings.Cut(arg, "=")
		if !ok {
			return e, nil, fmt.Errorf("%s %q: %w: %q is not of the form key=value", c.kind, name, ErrParam, arg)
		}
		p, ok := e.param(key)
		if !ok {
			return e, nil, fmt.Errorf("%s %q: %w: no parameter %q; there are: %s", c.kind, name, ErrParam, key, e.paramNames())
		}
		x, err := p.parse(text)
		if err != nil {
			return e, nil, fmt.Errorf("%s %q: %w: %w", c.kind, name, ErrParam, err)
		}
		v[key] = x
	}
	return e, v, nil
}

func (e Entry[F]) param(name string) (Param, bool) {
	for _, p := range e.Params {
		if p.Name == name {
			return p, true
		}
	}
	return Param{}, false
}

func (e Entry[F]) paramNames() string {
	if len(e.Params) == 0 {
		return "none"
	}
	names := make([]string, len(e.Params))
	for i, p := range e.Params {
		names[i] = p.Name
	}
	return strings.Join(names, ", ")
}

func (p Param) parse(text string) (float64, error) {
	var x float64
	if p.Unit == Seconds {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%s=%q is not a duration; write a number with its unit, as in 5ms", p.Name, text)
		}
		x = d.Seconds()
	} else {
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return 0, fmt.Errorf("%s=%q is not a number", p.Name, text)
		}
		x = f
	}
	if x < p.Min || (p.Max != 0 && x > p.Max) {
		return 0, fmt.Errorf("%s=%s is out of range: %s", p.Name, text, p.Bounds())
	}
	return x, nil
}

// Bounds returns the values that the parameter takes in words, for example "1ms to 1h0m0s".
func (p Param) Bounds() string {
	if p.Max == 0 {
		return fmt.Sprintf("at least %s", p.Format(p.Min))
	}
	return fmt.Sprintf("%s to %s", p.Format(p.Min), p.Format(p.Max))
}

// Format returns a value of this parameter as text with its unit, for example "5ms".
func (p Param) Format(x float64) string {
	switch p.Unit {
	case Seconds:
		return time.Duration(math.Round(x * float64(time.Second))).String()
	case "", "1":
		return strconv.FormatFloat(x, 'g', -1, 64)
	default:
		return strconv.FormatFloat(x, 'g', -1, 64) + " " + p.Unit
	}
}
