package fleet

import (
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
)

// stream is the users' launches: an open-loop Poisson process.
type stream struct {
	due  time.Duration // of the next launch
	mean float64       // ns between two launches
}

// SetLaunches sets the rate of users' launches, in launches per second, from now on.
func (f *Fleet) SetLaunches(now time.Duration, perSecond float64) {
	if perSecond <= 0 {
		f.launch = stream{due: never}
		return
	}
	f.launch = stream{due: now, mean: 1e9 / perSecond}
	f.launch.advance(f.rng)
}

// advance draws the time of the next launch. A time that would overflow becomes never.
func (s *stream) advance(rng *rand.Rand) {
	gap := det.Exponential(rng) * s.mean
	if gap >= float64(never-s.due) {
		s.due = never
		return
	}
	s.due += time.Duration(gap)
}
