package dns

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Cause is why an enactor is late.
type Cause string

// The causes.
const (
	// Lock: it loses the endpoint's lock again and again, and backs off (DAT453).
	Lock Cause = "lock"
	// Slow: all that it does takes 10 to 100 times as long.
	Slow Cause = "slow"
)

// Config is the configuration of a System. Times are run time.
type Config struct {
	Rules
	Seed     uint64
	Period   time.Duration // between two plans, on average
	StepTime time.Duration // of a step of an enactor, on average
	Records  int           // of an endpoint's tree: its load balancers
	Cause    Cause
	// RaceAt is when the endpoint 0 loses its records: one enactor is delayed so that it does, at
	// every seed. 0: races are left to chance.
	RaceAt time.Duration
	// Delay, if not 0, delays one walk by so much, from a random time in the first period on.
	Delay time.Duration
}

// Default returns the values of the replay. That plans come about once a minute, and that clean-up
// keeps ten, are estimates; neither is public.
func Default() Config {
	return Config{
		Rules:  Rules{Endpoints: 3, Keep: 10, Form: DeleteActive},
		Period: time.Minute, StepTime: 1500 * time.Millisecond, Records: 240, Cause: Lock, RaceAt: 18 * time.Minute,
	}
}

// Validate returns an error for the first value that is out of range.
func (c *Config) Validate() error {
	switch {
	case c.Period < time.Second || c.StepTime <= 0 || c.StepTime > c.Period/10:
		return fmt.Errorf("dns: a plan every %v and a step in %v: want a second or more, and a step of a tenth of it at most", c.Period, c.StepTime)
	case c.Records < 1:
		return fmt.Errorf("dns: %d records: want at least 1", c.Records)
	case c.Cause != Lock && c.Cause != Slow:
		return fmt.Errorf("dns: delay %q: want %s or %s", c.Cause, Lock, Slow)
	case c.RaceAt != 0 && c.RaceAt < c.overtake()+2*c.Period:
		return fmt.Errorf("dns: a race at %v: an enactor has to be overtaken by %d plans first, one every %v; want %v or later", c.RaceAt, c.Keep+4, c.Period, c.overtake()+2*c.Period)
	}
	return c.Rules.Validate()
}

// overtake is how long an enactor has to be late for its plan to be old enough.
func (c *Config) overtake() time.Duration { return time.Duration(c.Keep+4) * c.Period }

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
	Off bool // the automation is switched off; else endpoint 0 is restored
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
	began   [Enactors]time.Duration // of the present walk; -1: there is none
	late    int                     // the enactor that is delayed
	script  []scripted              // what is left of the scripted race
	quiet   [2]time.Duration        // in this span nobody takes a plan but by the script
	held    bool                    // the late enactor waits for its script, or for the end of its delay
	off     bool
	stuck   bool
	changes []change
	walks   []walk
	events  []Event
}

// scripted is a step of the scripted race.
type scripted struct {
	at      time.Duration
	enactor int
}

// New returns a system whose first plan is in force, or an error if the configuration is out of
// range.
func New(cfg Config) (*System, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	y := &System{cfg: cfg, s: Begin(&cfg.Rules), rng: rand.New(rand.NewPCG(cfg.Seed, 0x646e73)), late: -1}
	y.planAt = y.spread(cfg.Period)
	for i := range Enactors {
		y.next[i], y.began[i] = y.spread(cfg.Period/4), -1
	}
	y.note(0)
	if cfg.RaceAt > 0 {
		y.write()
	}
	return y, nil
}

// spread draws a time around d: 0.8 to 1.2 times.
func (y *System) spread(d time.Duration) time.Duration {
	return d*4/5 + time.Duration(y.rng.Int64N(int64(d*2/5)+1))
}

// write writes the script of the race. One enactor takes a plan, and is held up at the first
// endpoint until that plan is too old. Then another one applies the newest plan and cleans up. The
// late one's flip comes between the scan and the deletion. In the form ApplyEmptied it comes after
// the deletion.
func (y *System) write() {
	c := &y.cfg
	y.late = int(c.Seed % Enactors)
	fast := (y.late + 1) % Enactors
	start := c.RaceAt - c.overtake()
	add := func(at time.Duration, who, steps int) {
		for k := range steps {
			y.script = append(y.script, scripted{at + time.Duration(k), who})
		}
	}
	first := 2 // of an endpoint's steps
	if c.Mends&Recheck != 0 {
		first = 3
	}
	add(start, y.late, 1)
	at := c.RaceAt - c.StepTime // of the scan
	if c.Form == ApplyEmptied {
		at -= c.StepTime
	}
	walk := at - time.Duration(first*c.Endpoints+1)*c.StepTime
	add(walk, fast, 1)
	for k := range first * c.Endpoints {
		add(walk+time.Duration(k+1)*c.StepTime, fast, 1)
	}
	late := at - c.StepTime/4
	add(late, y.late, first-1)
	add(at, fast, 1) // scan
	if c.Form == DeleteActive {
		add(at+c.StepTime/2, y.late, 1)
		add(at+c.StepTime, fast, 1)
	} else {
		add(at+c.StepTime, fast, 1)
		add(at+2*c.StepTime, y.late, 1)
	}
	y.quiet = [2]time.Duration{walk - 2*c.Period, c.RaceAt}
	slices.SortStableFunc(y.script, func(a, b scripted) int { return cmp.Compare(a.at, b.at) })
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
		if len(y.script) > 0 && y.script[0].at <= at {
			at, what = y.script[0].at, Enactors
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
			y.play(at, y.script[0].enactor)
			y.script = y.script[1:]
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

// play takes a step of the scripted race. A plan is made for an enactor that takes one.
func (y *System) play(now time.Duration, i int) {
	if y.s.Enactor[i].Phase == Idle {
		y.s.Plan()
		y.held = y.held || i == y.late
		if i == y.late {
			y.say(now, "an enactor takes a plan, and is held up at the first endpoint", i, int(y.s.Newest), 0)
		}
	}
	y.step(now, i)
	if len(y.script) == 1 {
		y.held = false
	}
	y.next[i] = now + y.cfg.StepTime
}

// act takes the next step of an enactor at its own pace.
func (y *System) act(now time.Duration, i int) {
	n := &y.s.Enactor[i]
	y.next[i] = now + y.spread(y.cfg.StepTime)
	if y.cfg.RaceAt > 0 && now < y.cfg.RaceAt {
		scripted := len(y.script) > 0 && slices.ContainsFunc(y.script, func(s scripted) bool { return s.enactor == i })
		start := y.cfg.RaceAt - y.cfg.overtake()
		switch {
		case i == y.late && (y.held || n.Phase == Idle && now > start-y.cfg.Period),
			n.Phase == Idle && now >= y.quiet[0],
			scripted && i != y.late && now >= y.quiet[0]+y.cfg.Period:
			return // the script moves it
		}
	}
	if y.off && n.Phase == Idle {
		return
	}
	if n.Phase == Idle {
		y.next[i] = now + y.spread(y.cfg.Period/6)
	}
	was := n.Phase
	y.step(now, i)
	if was == Idle && n.Phase != Idle {
		y.next[i] += y.delay(now, i)
	}
}

// delay is how much later than usual a walk goes on, that has just begun.
func (y *System) delay(now time.Duration, i int) time.Duration {
	c := &y.cfg
	switch {
	case c.Delay > 0 && y.late < 0:
		y.late = i
		return c.Delay
	case c.Delay > 0 || c.RaceAt > 0 || y.rng.Float64() >= rareDelay:
		return 0
	}
	factor := 10 + float64(90*y.rng.Float64())
	y.say(now, fmt.Sprintf("an enactor is %.0f times as slow as usual", factor), i, int(y.s.Enactor[i].Plan), 0)
	return time.Duration(factor * float64(c.usualWalk()))
}

// rareDelay is the share of walks that are delayed if races are left to chance: an estimate.
const rareDelay = 1e-3

// usualWalk is how long a walk over the endpoints takes.
func (c *Config) usualWalk() time.Duration { return time.Duration(2*c.Endpoints) * c.StepTime }

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
	switch {
	case before.Phase == Idle && n.Phase != Idle:
		y.began[i] = now
	case y.began[i] >= 0 && before.Phase <= Flip && n.Phase >= Scan:
		y.walks = append(y.walks, walk{y.began[i], now})
		y.began[i] = -1
	}
	switch {
	case out == Stale && e == 0:
		y.say(now, "the late enactor points the name at its old plan", i, int(before.Plan), e)
	case out == Refused && i == y.late && before.Phase != Delete:
		y.say(now, "the old plan is refused", i, int(before.Plan), e)
	case out == Refused && before.Phase == Delete:
		y.say(now, "the deletion of the active tree is refused", i, int(before.Plan), e)
	case out == Blocked && before.Phase == Flip && !y.stuck:
		y.stuck = true
		y.say(now, "no enactor can apply a plan: the roll-back would point at nothing", i, int(before.Plan), e)
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
		y.s.Enactor[i], y.began[i] = Enactor{}, -1
	}
	state := y.s
	y.s.Restore(0)
	if y.Each != nil {
		y.Each(now, -1, &state, &y.s, Done)
	}
	y.stuck = false
	y.say(now, "the name is restored by hand", -1, int(y.s.Newest), 0)
	y.note(now)
}

func (y *System) say(at time.Duration, what string, enactor, plan, endpoint int) {
	y.events = append(y.events, Event{at, what, enactor, plan, endpoint})
}

// note keeps the record of endpoint 0 if it has changed.
func (y *System) note(now time.Duration) {
	c := change{at: now, plan: int(y.s.Active[0]), records: y.cfg.Records}
	if y.s.Empty(0) {
		c.plan, c.records = 0, 0
	}
	if n := len(y.changes); n == 0 || y.changes[n-1].plan != c.plan || y.changes[n-1].records != c.records {
		y.changes = append(y.changes, c)
	}
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

// Slowness returns how many times as long as usual the slowest present walk has taken, or the last one
// if none is under way: an indicator that the outage report names.
func (y *System) Slowness(at time.Duration) float64 {
	longest := time.Duration(0)
	for _, w := range y.walks {
		if w.from <= at && at < w.to {
			longest = max(longest, at-w.from)
		}
	}
	for _, from := range y.began {
		if from >= 0 && from <= at {
			longest = max(longest, at-from)
		}
	}
	return float64(longest) / float64(y.cfg.usualWalk())
}

// Events returns what a person would put on a timeline, in order.
func (y *System) Events() []Event { return y.events }
