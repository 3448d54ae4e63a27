package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// partAxes are the keys whose parts' parameters are axes: "queue.exponent" is the parameter exponent of the
// queue discipline.
var partAxes = []struct {
	key    string
	at     func(*Scenario) *string
	parts  func(ref string) []string         // of a composition, outer first
	params func(name string) []catalog.Param // of a part; of all parts if name is ""
}{
	{"queue", func(s *Scenario) *string { return &s.Queue }, func(ref string) []string { return strings.Split(ref, "+") }, func(name string) []catalog.Param {
		return append(paramsOf(queue.Catalog, name), paramsOf(queue.Wrappers, name)...)
	}},
	{"admit", func(s *Scenario) *string { return &s.Admit }, advised, func(name string) []catalog.Param {
		return append(paramsOf(admit.Controllers, name), paramsOf(admit.Estimators, name)...)
	}},
	{"retry", func(s *Scenario) *string { return &s.Retry }, func(ref string) []string { return []string{ref} }, func(name string) []catalog.Param { return paramsOf(admit.Retries, name) }},
}

// advised is a controller and the estimator behind it.
func advised(ref string) []string {
	controller, estimator := admit.Parts(ref)
	if estimator == "" {
		return []string{controller}
	}
	return []string{controller, estimator}
}

func paramsOf[F any](c *catalog.Catalog[F], name string) (all []catalog.Param) {
	for _, e := range c.List() {
		if name == "" || e.Name == name {
			all = append(all, e.Params...)
		}
	}
	return all
}

// OfPart reports whether the axis is a parameter of a part. Such an axis is set after the contestant, whose
// parts it changes.
func (r Range) OfPart() bool { return strings.Contains(r.Axis, ".") }

// partAxis returns the axis "key.parameter". ok is false if no part has such a parameter.
func partAxis(name string) (a Axis, ok bool) {
	key, param, _ := strings.Cut(name, ".")
	for _, part := range partAxes {
		if part.key != key {
			continue
		}
		for _, p := range part.params("") {
			if p.Name != param {
				continue
			}
			unit := p.Unit
			if unit == "" {
				unit = "1"
			}
			return Axis{name, unit, p.Doc,
				func(s *Scenario, x float64) error {
					return setParam(part.at(s), part.parts(*part.at(s)), param, x, part.params)
				},
				func(s *Scenario) float64 { return getParam(part.parts(*part.at(s)), param, part.params) }}, true
		}
	}
	return a, false
}

// owner is the last of the parts in a composition that has the parameter, and the parameter; -1 if none has.
func owner(refs []string, param string, params func(string) []catalog.Param) (int, catalog.Param) {
	for i := len(refs) - 1; i >= 0; i-- {
		name, _, _ := strings.Cut(refs[i], ":")
		for _, p := range params(name) {
			if p.Name == param {
				return i, p
			}
		}
	}
	return -1, catalog.Param{}
}

// setParam writes the parameter into the reference at ref, whose parts are refs.
func setParam(ref *string, refs []string, param string, x float64, params func(string) []catalog.Param) error {
	i, p := owner(refs, param, params)
	if i < 0 {
		return fmt.Errorf("%w: %s has no parameter %s", ErrScenario, *ref, param)
	}
	name, args, _ := strings.Cut(refs[i], ":")
	for arg := range strings.SplitSeq(args, ",") {
		if key, _, _ := strings.Cut(arg, "="); key == param {
			return fmt.Errorf("%w: %s sets %s, and so does the axis: leave one of them out", ErrScenario, *ref, param)
		}
	}
	if !(x >= p.Min && (p.Max == 0 || x <= p.Max)) {
		return fmt.Errorf("%w: %s: %s=%g is out of range: %s", ErrScenario, name, param, x, p.Bounds())
	}
	text := strconv.FormatFloat(x, 'f', -1, 64) // 1e+06 would look like a composition
	if p.Unit == catalog.Seconds {
		text = time.Duration(math.Round(x * float64(time.Second))).String()
	}
	if args != "" {
		args += ","
	}
	refs[i] = name + ":" + args + param + "=" + text
	*ref = strings.Join(refs, "+")
	return nil
}

// getParam is the parameter's default where the reference does not set it, and NaN where it has none.
func getParam(refs []string, param string, params func(string) []catalog.Param) float64 {
	if i, p := owner(refs, param, params); i >= 0 {
		return p.Default
	}
	return math.NaN()
}
