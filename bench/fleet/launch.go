package fleet

import (
	"math/rand/v2"
	"sort"
	"time"

	"github.com/leasestorm/leasestorm/internal/det"
	"github.com/leasestorm/leasestorm/queue"
)

// stream is the users' launches: an open loop, since a user does not wait for another one.
type stream struct {
	due     time.Duration // of the next attempt: first, or the time-out of asked[head]
	first   time.Duration // when the next user asks
	mean    float64       // ns between two users
	even    bool
	asked   []launch // attempts that will be repeated, in the order of their births, from head on
	head    int
	again   int // repeated attempts that were born since the outage
	timeout time.Duration
}

// launch is an attempt at a launch which is not the last that its user makes.
type launch struct {
	born    time.Duration
	droplet uint32
	try     uint8
	good    bool
}

// SetLaunches sets the rate of users' launches on all droplets, in launches per second, from now on. Who has asked before
// goes on trying.
func (f *Fleet) SetLaunches(now time.Duration, perSecond float64) {
	s := &f.launch
	s.even, s.timeout = f.cfg.LaunchesEven, f.cfg.Timeout
	if r := f.cfg.Range; r != (Range{}) {
		perSecond *= float64(r.To-r.From) / float64(len(f.droplets))
	}
	if s.first, s.mean = now, 1e9/perSecond; perSecond <= 0 {
		s.first = never
	} else if s.even {
		s.first += time.Duration(f.rng.Float64() * s.mean)
	} else {
		s.advance(f.rng)
	}
	s.settle()
}

// played is the range of the droplets that the fleet plays.
func (f *Fleet) played() Range {
	if f.cfg.Range == (Range{}) {
		return Range{To: uint32(len(f.droplets))}
	}
	return f.cfg.Range
}

// advance sets the time at which the next user asks. A time that would overflow becomes never.
func (s *stream) advance(rng *rand.Rand) {
	gap := s.mean
	if !s.even {
		gap *= det.Exponential(rng)
	}
	if gap >= float64(never-s.first) {
		s.first = never
		return
	}
	s.first += time.Duration(gap)
}

// settle finds the time of the next attempt, past the attempts that were good.
func (s *stream) settle() {
	for s.head < len(s.asked) && s.asked[s.head].good {
		s.head++
	}
	if s.head > len(s.asked)/2 { // each is moved once at most, on average
		s.asked = s.asked[:copy(s.asked, s.asked[s.head:])]
		s.head = 0
	}
	if s.due = s.first; s.head < len(s.asked) {
		s.due = min(s.due, s.asked[s.head].born+s.timeout)
	}
}

// answered notes a good answer to the attempt of that birth.
func (s *stream) answered(born time.Duration, droplet uint32) {
	left := s.asked[s.head:]
	for i := sort.Search(len(left), func(i int) bool { return left[i].born >= born }); i < len(left) && left[i].born == born; i++ {
		if left[i].droplet == droplet && !left[i].good {
			left[i].good = true
			s.settle()
			return
		}
	}
}

// launches makes an attempt at a launch: a further one of a user whose attempt has timed out, or that of a
// new user, on a random droplet.
func (f *Fleet) launches(it *queue.Item) {
	s := &f.launch
	a := launch{born: s.due}
	if s.head < len(s.asked) && s.asked[s.head].born+s.timeout == s.due {
		a.droplet, a.try = s.asked[s.head].droplet, s.asked[s.head].try+1
		s.head++
		if a.born >= f.cfg.Outage.From {
			s.again++
		}
	} else {
		r := f.played()
		a.droplet = r.From + f.rng.Uint32N(r.To-r.From)
		s.advance(f.rng)
	}
	if int(a.try)+1 < f.cfg.LaunchTries {
		s.asked = append(s.asked, a)
	}
	s.settle()
	d := &f.droplets[a.droplet]
	*it = queue.Item{
		Born: a.born, Timeout: f.timeout, Lease: d.lease,
		Droplet: a.droplet, Zone: f.cfg.zone(a.droplet), Class: queue.Launch, Try: a.try, LeaseUntil: queue.ToMillis(d.until),
	}
}

// LaunchesAgain returns the number of repeated attempts at launches that were born since the outage began.
func (f *Fleet) LaunchesAgain() int { return f.launch.again }
