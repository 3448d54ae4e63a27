package fleet

import (
	"math/rand/v2"
	"time"
)

// stream is the users' launches: a Poisson stream, open loop, on droplets chosen at
// random.
type stream struct {
	due  time.Duration
	mean float64 // ns between two
}

// SetLaunches makes users launch at a rate, in launches a second, from now on.
func (f *Fleet) SetLaunches(now time.Duration, perSecond float64) {
	if perSecond <= 0 {
		f.launch = stream{due: never}
		return
	}
	f.launch = stream{due: now, mean: 1e9 / perSecond}
	f.launch.advance(f.rng)
}

// advance draws when the next launch comes: never, where that is beyond what a time can hold.
func (s *stream) advance(rng *rand.Rand) {
	gap := rng.ExpFloat64() * s.mean
	if gap >= float64(never-s.due) {
		s.due = never
		return
	}
	s.due += time.Duration(gap)
}
