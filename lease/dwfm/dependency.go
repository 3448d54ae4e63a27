package dwfm

import "time"

// Window is a span of run time, from From up to but not including To.
type Window struct{ From, To time.Duration }

// Contains reports whether now lies in the window.
func (w Window) Contains(now time.Duration) bool { return now >= w.From && now < w.To }

// Dependency is the service that the manager must reach to establish a lease. If it is a [Checked]
// one, checks ask it as well. Otherwise they go on over connections that stay open.
type Dependency interface {
	// Ask reports whether a call for a droplet at now succeeds, and how long the call takes. It
	// is called twice for an attempt: when it is taken up, for the time, and when its work is
	// done, for the success.
	Ask(now time.Duration, droplet uint32) (ok bool, takes time.Duration)
}

// Checked is a Dependency that checks of live leases need as well, as state checks did in the
// outage of 20 October 2025: each writes its result to the dependency.
type Checked interface {
	Dependency
	// AtOnce reports whether every call takes no time.
	AtOnce() bool
}

// Away is a Dependency that is away in a window of run time. Its calls take no time: they fail in
// the window and succeed outside.
type Away Window

// Ask implements Dependency.
func (a Away) Ask(now time.Duration, _ uint32) (ok bool, takes time.Duration) {
	return !Window(a).Contains(now), 0
}

// atOnce reports whether a dependency is known to answer in no time.
func atOnce(d Dependency) bool {
	if c, ok := d.(Checked); ok {
		return c.AtOnce()
	}
	_, ok := d.(Away)
	return ok
}
