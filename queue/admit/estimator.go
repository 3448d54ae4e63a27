package admit

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Estimator tells refused attempts when to ask again: it computes the Retry-After of a manager. It
// stands behind a controller, as in "limit+drain", and overrules what the controller says itself. It
// is safe for concurrent use.
type Estimator interface {
	// Advise sets the wait of each refused item with Item.SetRetryAfter; 0 says nothing. queued
	// is that of Controller.Admit.
	Advise(now time.Duration, refused []queue.Item, queued func() int)
	// Done is called once for each admitted attempt, when it ends, as Controller.Done is.
	Done(now time.Duration, it *queue.Item, out queue.Outcome)
}

// NewEstimator makes an Estimator from resolved parameters. It is what a catalog entry provides.
type NewEstimator func(cfg Config, v catalog.Values) (Estimator, error)

// Estimators lists the Retry-After estimators by name. Another module adds its own with Register.
var Estimators = catalog.New("Retry-After estimator", estimators...)

// Parts returns what a reference to a controller names: the controller, and the estimator behind it, or
// "" if there is none.
func Parts(ref string) (controller, estimator string) {
	for i := strings.LastIndexByte(ref, '+'); i >= 0; i = strings.LastIndexByte(ref[:i], '+') {
		// A number may have a plus, as in rate=1e+2.
		if i+1 == len(ref) || ref[i+1] < '0' || ref[i+1] > '9' {
			return ref[:i], ref[i+1:]
		}
	}
	return ref, ""
}

// resolved is a reference to a controller with what it names.
type resolved struct {
	catalog.Entry[New]
	values catalog.Values
	advise *catalog.Entry[NewEstimator] // nil: none is named
	advice catalog.Values
}

func resolve(ref string) (r resolved, err error) {
	controller, estimator := Parts(ref)
	if r.Entry, r.values, err = Controllers.Resolve(controller); err != nil || controller == ref {
		return r, err
	}
	e, v, err := Estimators.Resolve(estimator)
	if err != nil {
		return r, err
	}
	if r.Name == noneEntry.Name {
		return r, fmt.Errorf("admission controller %q: %w: %s refuses no attempt, so that %s has nobody to tell; name a controller that refuses, as in limit+%s",
			ref, catalog.ErrParam, noneEntry.Name, e.Name, e.Name)
	}
	r.advise, r.advice = &e, v
	return r, nil
}

// Validate says what is wrong with a reference to a controller, for example "limit+drain:cap=10s".
func Validate(ref string) error {
	_, err := resolve(ref)
	return err
}

// ReadsClock says whether a part that ref names reads the host's clock, so that it does not run in
// virtual time. Of a reference that Validate refuses it says false.
func ReadsClock(ref string) bool {
	r, err := resolve(ref)
	return err == nil && (r.HostClock || r.advise != nil && r.advise.HostClock)
}

// Adviser is a Controller with an estimator behind it, as Make returns it for "limit+drain". A manager that gives
// attempts up elsewhere than at its door can ask it, too. It is safe for concurrent use.
type Adviser interface {
	// Advise is Estimator.Advise.
	Advise(now time.Duration, refused []queue.Item, queued func() int)
}

// advised is a controller with an estimator behind it.
type advised struct {
	Controller
	estimator Estimator
}

// Advise implements Adviser.
func (a *advised) Advise(now time.Duration, refused []queue.Item, queued func() int) {
	a.estimator.Advise(now, refused, queued)
}

// Admit implements Controller.
func (a *advised) Admit(now time.Duration, items []queue.Item, queued func() int) int {
	n := a.Controller.Admit(now, items, queued)
	if n < len(items) {
		a.estimator.Advise(now, items[n:], queued)
	}
	return n
}

// Done implements Controller.
func (a *advised) Done(now time.Duration, it *queue.Item, sojourn time.Duration, out queue.Outcome) {
	a.Controller.Done(now, it, sojourn, out)
	a.estimator.Done(now, it, out)
}

// The parameters by which an estimate becomes what is said.
var (
	roundParam  = catalog.Param{Name: "round", Unit: catalog.Seconds, Default: 0, Min: 0, Max: 3600, Doc: "rounded up to a multiple of this; 1s is HTTP's Retry-After; 0 is exact"}
	capParam    = catalog.Param{Name: "cap", Unit: catalog.Seconds, Default: 30, Min: 1e-3, Max: 4000, Doc: "longest wait that is said"}
	jitterParam = catalog.Param{Name: "jitter", Unit: "1", Default: 0, Min: 0, Max: 1, Doc: "largest part of the estimate that is added or taken away at random, for each attempt"}
	windowParam = catalog.Param{Name: "window", Unit: catalog.Seconds, Default: 0, Min: 0, Max: 3600, Doc: "the estimate is made once in this time and said to all; 0 is for each batch anew"}
	overParam   = catalog.Param{Name: "over", Unit: catalog.Seconds, Default: 1, Min: 1e-3, Max: 3600, Doc: "time over which served attempts are counted before the rate's average takes them in"}
)

// saying makes of estimates what is said.
type saying struct {
	round, limit time.Duration
	jitter       float64
}

func newSaying(v catalog.Values) saying {
	limit := v.Duration("cap")
	return saying{v.Duration("round"), cmp.Or(limit, math.MaxInt64), v["jitter"]}
}

// say sets the item's wait to an estimate d; 0 or less says nothing. Jitter comes first, then the
// rounding, then the cap. The jitter is drawn from the attempt itself, so that it is the same in
// every run of a seed.
func (s *saying) say(it *queue.Item, d time.Duration) {
	if d > 0 && s.jitter > 0 {
		u := unit(mix(uint64(it.Droplet)<<32 ^ uint64(it.Born)))
		d = nanos(float64(d) * (1 + float64(s.jitter*(float64(2*u)-1))))
	}
	if s.round > 0 && d > 0 {
		d = (min(d, longest) + s.round - 1) / s.round * s.round
	}
	it.SetRetryAfter(min(max(d, 0), s.limit))
}

// unit makes a number in [0, 1) of random bits.
func unit(bits uint64) float64 { return float64(float64(bits>>11) / (1 << 53)) }

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
