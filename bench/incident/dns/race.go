package dns

import (
	"cmp"
	"slices"
	"time"
)

// scripted is a step of the scripted race.
type scripted struct {
	at      time.Duration
	enactor int
}

// script is what the scripted race needs of the enactors. Its times may be before 0: with a large
// Keep the late enactor has to begin before the replay does.
type script struct {
	left []scripted // the steps that are still to come
	late int        // the enactor that is late; the next one overtakes it
	held bool       // the late enactor moves by the script alone
	// From these times on nobody takes a plan but by the script: the late enactor, and the others.
	// What they have begun ends before the script needs them.
	lateIdle, idle time.Duration
	walk           time.Duration // the overtaking enactor takes its plan
}

// write writes the script of the race. One enactor takes a plan, and is held up at the first
// endpoint until that plan is too old. Then another one applies the newest plan and cleans up. The
// late one's flip comes between the scan and the deletion. In the form ApplyEmptied it comes after
// the deletion.
func (y *System) write() {
	c, s := &y.cfg, &y.script
	s.late = int(c.Seed % Enactors)
	fast := (s.late + 1) % Enactors
	add := func(at time.Duration, who, steps int) {
		for k := range steps {
			s.left = append(s.left, scripted{at + time.Duration(k), who})
		}
	}
	first := 2 // of an endpoint's steps
	if c.Mends&Recheck != 0 {
		first = 3
	}
	start := c.RaceAt - c.overtake()
	scan, flip := c.RaceAt-c.StepTime, c.RaceAt-c.StepTime/2
	if c.Form == ApplyEmptied {
		scan, flip = c.RaceAt-2*c.StepTime, c.RaceAt
	}
	build, until := scan-c.StepTime/4, scan-c.StepTime/4
	if c.Cause == Slow {
		y.hold[s.late].wait = y.slowStep(flip - start)
		build = flip - y.hold[s.late].wait
		until = build - y.hold[s.late].wait
	}
	y.hold[s.late].from, y.hold[s.late].until = start, until
	add(start, s.late, 1)
	s.walk = scan - time.Duration(first*c.Endpoints+1)*c.StepTime
	for k := range first*c.Endpoints + 1 {
		add(s.walk+time.Duration(k)*c.StepTime, fast, 1)
	}
	add(build, s.late, first-1)
	add(scan, fast, 1)
	add(scan+c.StepTime, fast, 1) // deletion
	add(flip, s.late, 1)
	s.lateIdle, s.idle = start-c.rest(), min(s.walk, build)-c.rest()
	slices.SortStableFunc(s.left, func(a, b scripted) int { return cmp.Compare(a.at, b.at) })
}

// waits reports whether an enactor leaves its next step to the script.
func (y *System) waits(now time.Duration, i int) bool {
	s, idle := &y.script, y.s.Enactor[i].Phase == Idle
	switch {
	case len(s.left) == 0:
		return false
	case i == s.late:
		return s.held || idle && now >= s.lateIdle
	}
	return idle && now >= s.idle || i == (s.late+1)%Enactors && now >= s.walk
}

// play takes a step of the scripted race. A plan is made for an enactor that takes one.
func (y *System) play(now time.Duration, i int) {
	n := &y.s.Enactor[i]
	s := &y.script
	switch {
	case n.Phase == Idle:
		y.s.Plan()
		s.held = s.held || i == s.late
	case i == s.late:
		y.free(now, i)
	}
	if n.Phase != Idle && y.locks(n.Phase) && !y.take(now, i) {
		y.missed++
	}
	was := n.Phase
	y.step(now, i)
	y.next[i] = now + y.cfg.StepTime
	if was == Idle {
		if i == s.late {
			y.begin(now, i)
		}
		if h := &y.hold[i]; h.from <= now && now < h.until {
			y.request(now, i)
		}
	}
	if s.left = s.left[1:]; len(s.left) == 0 {
		s.held = false
	}
}
