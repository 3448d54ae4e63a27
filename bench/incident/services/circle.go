package services

import "time"

// A circle returns by itself in two cases: one of its services can start without the others, or not
// all of its services went down. Else each waits for another, although all that they need outside
// is there, until a hand starts them together.

// circle is the state of one circle.
type circle struct {
	stuck  bool
	since  time.Duration // stuck since
	forced bool          // a hand lets its services start without each other
}

// Hand is one restoration by hand.
type Hand struct {
	Services []string
	Since    time.Duration // from then on nothing else was in the way
	At       time.Duration // the hand's time; 0 if none came
}

// forced reports whether a hand lets service i start without the others of its circle.
func (m *Machine) forced(i int) bool { c := m.inCircle[i]; return c >= 0 && m.circles[c].forced }

// breakCircles finds the circles that only they themselves keep down, and lets a hand act.
func (m *Machine) breakCircles(now time.Duration) {
	for i := range m.circles {
		c := &m.circles[i]
		members := m.stuck(now, i)
		switch {
		case len(members) == 0:
			if c.forced && !m.anyDown(i) {
				c.forced = false
			}
			c.stuck = false
		case !c.stuck:
			c.stuck, c.since = true, now
		case !c.forced && !m.opt.NoHands && now-c.since >= m.graph.Circles[i].Hand:
			c.forced = true
			h := Hand{Since: c.since, At: now}
			for _, s := range m.graph.Circles[i].Members {
				h.Services = append(h.Services, m.graph.Services[s].Name)
			}
			m.hands = append(m.hands, h)
		}
	}
}

func (m *Machine) anyDown(c int) bool {
	for _, i := range m.graph.Circles[c].Members {
		if m.all[i].state == Down {
			return true
		}
	}
	return false
}

// stuck returns the members of a circle that are down, miss nothing outside the circle, and wait
// for each other.
func (m *Machine) stuck(now time.Duration, c int) []int {
	if !m.anyDown(c) {
		return nil
	}
	set := map[int]bool{} // read by member, never ranged over
	members := m.graph.Circles[c].Members
	for _, i := range members {
		set[i] = m.all[i].state == Down && m.startable(now, i)
	}
	// Who waits for a member that is down for a reason outside is not stuck in the circle.
	m.settle(members, set, func(i int) bool {
		return m.eachInside(i, func(on int) bool { return m.all[on].state != Down || set[on] })
	})
	// Who can start, now or after others of the circle, is not stuck.
	free := map[int]bool{}
	for again := true; again; {
		again = false
		for _, i := range members {
			if set[i] && !free[i] && m.eachInside(i, func(on int) bool { return m.all[on].state != Down || free[on] }) {
				free[i], again = true, true
			}
		}
	}
	var left []int
	for _, i := range members {
		if set[i] && !free[i] {
			left = append(left, i)
		}
	}
	return left
}

// settle takes members out of the set until holds is true of all that are left.
func (m *Machine) settle(members []int, set map[int]bool, holds func(int) bool) {
	for again := true; again; {
		again = false
		for _, i := range members {
			if set[i] && !holds(i) {
				set[i], again = false, true
			}
		}
	}
}

// eachInside reports whether ok is true of every service of its own circle that service i needs to
// start.
func (m *Machine) eachInside(i int, ok func(on int) bool) bool {
	for _, need := range m.graph.Services[i].Needs {
		if need.circle && need.Hard && need.Start && !ok(need.On) {
			return false
		}
	}
	return true
}

// startable reports whether service i, which is down, has all that it needs outside its circle to
// start.
func (m *Machine) startable(now time.Duration, i int) bool {
	for k, need := range m.graph.Services[i].Needs {
		if need.Hard && !need.circle && m.seen(i, need.On) == Down && m.without(now, i, k) == Down {
			return false
		}
	}
	return true
}
