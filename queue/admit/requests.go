package admit

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue/catalog"
)

// Clients in the field give up: an error goes to the caller after some attempts. A droplet must
// have its lease, so that its caller asks again after a pause. A request is a first attempt and
// its retries, up to a good answer or to the end of the policy's patience.

// Quitter is a Retry that gives up: it counts the failed attempts of each droplet's request, and ends the request
// after some. Where the droplets are the requests of one client that it makes at a time, the client gives each the
// number of its own, and the policy's parameter clients, if it has one, is 1. All calls come from one goroutine.
type Quitter interface {
	// Goes reports, after Wait, whether the droplet's request goes on. If it does not, the wait is the droplet's
	// pause before its next request. After a Failure that is Last it does not: the policy counts the failure, and
	// takes nothing from a budget for a retry.
	Goes(droplet uint32) bool
	// Drop ends the droplet's request without a good answer.
	Drop(now time.Duration, droplet uint32)
}

// pauseParam is the pause between two requests of a droplet.
var pauseParam = catalog.Param{Name: "pause", Unit: "timeouts", Default: 3, Min: 1e-6, Max: 1e6,
	Doc: "mean pause of a droplet whose client gave up, drawn from half of it to one and a half"}

// clientsParam is the number of clients that the droplets share.
var clientsParam = catalog.Param{Name: "clients", Unit: "1", Default: 0, Min: 0, Max: 1e6,
	Doc: "clients with a budget each, which the droplets share evenly; 0 is one for each droplet"}

// requests counts the failed attempts of each droplet's request.
type requests struct {
	made  perDroplet[uint8]
	pause float64 // ns
}

func newRequests(timeout time.Duration, v catalog.Values) requests {
	return requests{pause: v["pause"] * float64(timeout)}
}

// failed counts a failure. It returns the attempts that the request has made, 1 to MostTries.
func (r *requests) failed(f Failure) int {
	made := r.made.of(f.Droplet)
	if f.Tries <= 1 {
		*made = 0 // the lease lapsed meanwhile: what is asked now is another thing
	}
	*made = min(*made, MostTries-1) + 1
	return int(*made)
}

// end ends the droplet's request. It returns the attempts that had failed.
func (r *requests) end(droplet uint32) int {
	made := r.made.of(droplet)
	failed := int(*made)
	*made = 0
	return failed
}

// Goes implements Quitter.
func (r *requests) Goes(droplet uint32) bool { return *r.made.of(droplet) > 0 }

// Drop implements Quitter.
func (r *requests) Drop(_ time.Duration, droplet uint32) { r.end(droplet) }

// giveUp ends the request and returns the pause before the next.
func (r *requests) giveUp(f Failure, rng *rand.Rand) time.Duration {
	r.end(f.Droplet)
	return nanos(r.pause * (0.5 + float64(rng.Float64())))
}

func (r *requests) longestPause() time.Duration { return nanos(1.5 * r.pause) }

// perClient has a value for each of n clients, or for each droplet where n is 0.
type perClient[T any] struct {
	perDroplet[T]
	n uint32
}

func (p *perClient[T]) of(droplet uint32) *T {
	if p.n > 0 {
		droplet %= p.n
	}
	return p.perDroplet.of(droplet)
}
