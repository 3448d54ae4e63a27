package dns

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Event is something that a person would put on a timeline.
type Event struct {
	At       time.Duration
	What     string
	Enactor  int // -1: none
	Plan     int
	Endpoint int // -1: none
}

// Hand is an action of the operator.
type Hand struct {
	At  time.Duration
	Off bool // the automation is switched off; else what is empty is restored, if the name is
}

// change is a new state of endpoint 0's record.
type change struct {
	at      time.Duration
	plan    int
	records int
}

// walk is one walk of an enactor over the endpoints.
type walk struct{ from, to time.Duration }

// System is planner, enactors and clean-up with times of their own.
type System struct {
	// Each, if set, sees every step of an enactor and the operator's restoration (enactor -1), with
	// the state before and after it.
	Each func(now time.Duration, enactor int, before, after *State, out Outcome)

	cfg     Config
	s       State
	rng     *rand.Rand
	planAt  time.Duration
	next    [Enactors]time.Duration
	began   [Enactors]time.Duration // of the present walk
	walking [Enactors]bool
	slow    [Enactors]float64 // how many times as long as usual its steps take
	hold    [Enactors]hold
	lock    [MaxEndpoints]lock
	tries   [Enactors]int // attempts at the present lock that were lost
	script  script
	delayed bool // a walk has been held up
	missed  int  // locks that the script did not get: always 0
	planner Planner
	off     bool
	stuck   bool
	changes []change
	walks   []walk
	losses  []Loss
	events  []Event
}

// New returns a system whose first plan is in force, or an error if the configuration is out of
// range.
func New(cfg Config) (*System, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	y := &System{cfg: cfg, s: Begin(&cfg.Rules), rng: rand.New(rand.NewPCG(cfg.Seed, 0x646e73)), planner: Planner{cfg.Seed, cfg.Records}}
	begin := time.Duration(0)
	if cfg.RaceAt > 0 {
		y.write()
		begin = min(0, y.script.lateIdle, y.script.idle)
	}
	y.planAt = begin + y.spread(cfg.Period)
	for i := range Enactors {
		y.next[i], y.walking[i], y.slow[i] = begin+y.spread(cfg.Period/4), false, 1
	}
	for e := range y.lock {
		y.lock[e].holder = -1
	}
	y.note(begin)
	return y, nil
}

// spread draws a time around d: 0.8 to 1.2 times.
func (y *System) spread(d time.Duration) time.Duration {
	return d*4/5 + time.Duration(y.rng.Int64N(int64(d*2/5)+1))
}

// Run carries the system to end, with the operator's actions in the order of their times.
func (y *System) Run(end time.Duration, hands []Hand) {
	for {
		at, what := y.planAt, -1
		for i, t := range y.next {
			if t < at {
				at, what = t, i
			}
		}
		if left := y.script.left; len(left) > 0 && left[0].at <= at {
			at, what = left[0].at, Enactors
		}
		if len(hands) > 0 && hands[0].At <= at {
			at, what = hands[0].At, Enactors+1
		}
		if at >= end {
			return
		}
		switch {
		case what == Enactors+1:
			y.hand(at, hands[0])
			hands = hands[1:]
		case what == Enactors:
			y.play(at, y.script.left[0].enactor)
		case what >= 0:
			y.act(at, what)
		default:
			y.plan()
			y.planAt = at + y.spread(y.cfg.Period)
		}
	}
}

// plan makes a plan. The planner waits while its newest plans are not applied at all: the State holds
// a window of them.
func (y *System) plan() {
	oldest := y.s.Newest
	for e := range y.cfg.Endpoints {
		oldest = min(oldest, y.s.Active[e]+1) // nothing active counts as all applied
		if y.s.Active[e] == 0 {
			oldest = min(oldest, y.s.Applied[e])
		}
	}
	for i := range y.s.Enactor {
		if n := &y.s.Enactor[i]; n.Phase != Idle {
			oldest = min(oldest, n.Plan)
		}
	}
	if !y.off && y.s.Newest-oldest < Window-4 {
		y.s.Plan()
	}
}

// deleted is the event of the race's end.
const deleted = "the clean-up deletes the tree that is active: the name is empty"

// step takes a step of the State, and notes what came of it.
func (y *System) step(now time.Duration, i int) {
	n := &y.s.Enactor[i]
	before, state := *n, y.s
	was := y.s.Empty(0)
	out := y.s.Step(&y.cfg.Rules, i)
	if y.Each != nil {
		y.Each(now, i, &state, &y.s, out)
	}
	e := int(before.Endpoint)
	if y.lock[e].holder == i && (before.Phase != Check || n.Phase != Build) {
		y.lock[e].holder = -1
	}
	switch {
	case before.Phase == Idle && n.Phase != Idle:
		y.began[i], y.walking[i] = now, true
	case y.walking[i] && (out == Blocked || before.Phase <= Flip && n.Phase >= Scan):
		y.walks = append(y.walks, walk{y.began[i], now})
		y.walking[i] = false
	}
	y.passed(now, i, before)
	switch late := y.hold[i].overtaken; {
	case out == Stale && e == 0:
		y.did(now, i, "points the name at its old plan", int(before.Plan), e)
	case out == Refused && late && before.Phase != Delete && e == 0:
		y.did(now, i, "is refused: its plan is old", int(before.Plan), e)
	case out == Refused && before.Phase == Delete:
		y.say(now, "the deletion of the active tree is refused", i, int(before.Plan), e)
	case out == Blocked && before.Phase == Flip && !y.stuck:
		y.stuck = true
		y.say(now, "stuck: no enactor can apply a plan, since the roll-back would point at nothing", i, int(before.Plan), e)
	}
	if !was && y.s.Empty(0) {
		what := deleted
		if before.Phase == Flip {
			what = "the late enactor points the name at a plan that the clean-up has emptied: the name is empty"
		}
		y.say(now, what, i, int(before.Plan), 0)
	}
	y.note(now)
}

// hand carries out an action of the operator.
func (y *System) hand(now time.Duration, h Hand) {
	if h.Off {
		y.off = true
		y.say(now, "the automation is switched off", -1, int(y.s.Newest), -1)
		return
	}
	if !y.s.Empty(0) {
		return
	}
	for i := range y.s.Enactor { // what they hold is older than what the operator sets
		y.s.Enactor[i], y.walking[i], y.hold[i], y.slow[i], y.tries[i] = Enactor{}, false, hold{}, 1, 0
	}
	for e := range y.lock {
		y.lock[e].holder = -1
	}
	state := y.s
	for e := range y.cfg.Endpoints {
		if y.s.Empty(e) {
			y.s.Restore(e)
		}
	}
	if y.Each != nil {
		y.Each(now, -1, &state, &y.s, Done)
	}
	y.stuck = false
	y.say(now, "the name is restored by hand", -1, int(y.s.Newest), 0)
	y.note(now)
}

// passed notes that the enactor's step has left behind another one that is held up.
func (y *System) passed(now time.Duration, i int, before Enactor) {
	for k := range Enactors {
		n, h := &y.s.Enactor[k], &y.hold[k]
		if k == i || n.Phase == Idle || n.Phase > Flip || n.Endpoint != 0 || h.until == 0 || now < h.from || before.Endpoint != 0 {
			continue
		}
		switch {
		case before.Phase == Flip && y.s.Applied[0] > n.Plan && !h.overtaken:
			h.overtaken = true
			y.did(now, k, fmt.Sprintf("is overtaken: enactor %s has applied plan %d", Letter(i), before.Plan), int(n.Plan), 0)
		case before.Phase == Scan && int(before.Plan)-int(n.Plan) > y.cfg.Keep && !h.old:
			h.old = true
			y.did(now, i, fmt.Sprintf("cleans up: plan %d, which enactor %s still holds, is old enough to go", n.Plan, Letter(k)), int(before.Plan), 0)
		}
	}
}

// did is say of what an enactor did.
func (y *System) did(at time.Duration, enactor int, what string, plan, endpoint int) {
	y.say(at, "enactor "+Letter(enactor)+" "+what, enactor, plan, endpoint)
}

func (y *System) say(at time.Duration, what string, enactor, plan, endpoint int) {
	y.events = append(y.events, Event{at, what, enactor, plan, endpoint})
}

// note keeps the record of endpoint 0 if it has changed.
func (y *System) note(now time.Duration) {
	c := change{at: now, plan: int(y.s.Active[0])}
	if y.s.Empty(0) {
		c.plan = 0
	}
	if n := len(y.changes); n > 0 && y.changes[n-1].plan == c.plan {
		return
	}
	if c.plan > 0 {
		c.records = y.planner.Count(c.plan, 0)
	}
	y.changes = append(y.changes, c)
}

// Record returns what the name of endpoint 0 has at a time: the plan that is in force and the number
// of records; both are 0 while it is empty.
func (y *System) Record(at time.Duration) (plan, records int) {
	i, found := slices.BinarySearchFunc(y.changes, at, func(c change, at time.Duration) int { return cmp.Compare(c.at, at) })
	if !found {
		i--
	}
	if i < 0 {
		return 0, 0
	}
	return y.changes[i].plan, y.changes[i].records
}

// Span is a length of run time.
type Span struct{ From, To time.Duration }

// Empties returns when the name of endpoint 0 had no records. A span that has not ended by then ends
// at end.
func (y *System) Empties(end time.Duration) (all []Span) {
	for i, c := range y.changes {
		if c.records > 0 {
			continue
		}
		to := end
		if i+1 < len(y.changes) {
			to = y.changes[i+1].at
		}
		all = append(all, Span{c.at, to})
	}
	return all
}

// Slowness returns how many times as long as usual the slowest present walk has taken, an indicator that
// the outage report names; 0 if no walk is under way. A walk ends with the flip at its last endpoint,
// and also when a flip is blocked: an enactor that is stuck is not slow. So the indicator falls back
// once the name is empty and the enactors are stuck.
func (y *System) Slowness(at time.Duration) float64 {
	longest := time.Duration(0)
	for _, w := range y.walks {
		if w.from <= at && at < w.to {
			longest = max(longest, at-w.from)
		}
	}
	for i, from := range y.began {
		if y.walking[i] && from <= at {
			longest = max(longest, at-from)
		}
	}
	return float64(longest) / float64(y.cfg.UsualWalk())
}

// Events returns what a person would put on a timeline, in order.
func (y *System) Events() []Event { return y.events }

// Weights returns what a plan holds for an endpoint, from 0 on; see [System.Record] for the plan that
// is in force.
func (y *System) Weights(plan, endpoint int) []Weight { return y.planner.Weights(plan, endpoint) }
