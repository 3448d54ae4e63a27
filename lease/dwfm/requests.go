package dwfm

import (
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/internal/huge"
	"github.com/leasestorm/leasestorm/queue"
)

// Requests knows which requests of droplets that hedge were answered. The attempts of a request, a check or
// an establish, have one deadline, and later requests of the droplet have later ones: the deadline names the
// request. Methods are safe for concurrent use.
type Requests struct {
	last []atomic.Int64 // by droplet: the deadline of the last request that was answered
}

// NewRequests returns a Requests for droplets 0 to n-1, none of which was answered.
func NewRequests(n int) *Requests { return &Requests{huge.Make[atomic.Int64](n)} }

// Answered reports whether the request of the attempt had a good answer. It is false for a launch.
func (r *Requests) Answered(it *queue.Item) bool {
	return it.Class != queue.Launch && time.Duration(r.last[it.Droplet].Load()) >= it.Deadline()
}

// Claim records a good answer to the attempt's request. It returns false if there was one before.
func (r *Requests) Claim(it *queue.Item) bool {
	if it.Class == queue.Launch {
		return true
	}
	for last, deadline := &r.last[it.Droplet], int64(it.Deadline()); ; {
		was := last.Load()
		if was >= deadline {
			return false
		}
		if last.CompareAndSwap(was, deadline) {
			return true
		}
	}
}
