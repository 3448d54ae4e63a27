// Package dns models the DNS automation of DynamoDB in October 2025: a planner, three enactors and
// their clean-up.
//
// A [State] is all that they share, and every atomic step is a method of it. Two programs take the
// same steps: the timed [System] of the replay, and the explorer, which tries every order.
//
//   - The planner makes numbered plans. One plan covers all endpoints of the region.
//   - An enactor takes the newest plan, if it is newer than what has been applied. That check of its
//     freshness is made once, at the start of a walk over the endpoints.
//   - At each endpoint it builds the plan's tree of records. Then one transaction flips the
//     endpoint's alias to the tree, and its roll-back record to the tree that was active. The
//     transaction cannot be made if nothing is active: an emptied endpoint is stuck.
//   - After its walk an enactor cleans up. At each endpoint it scans for trees of plans that are more
//     than Keep older than its own, and then deletes them.
//
// Public: all of the above but two points (AWS's summary, and re:Invent 2025 DAT453). Inferred: that
// the scan does not ask which tree is active. Not public: Keep. Of the clean-up two forms are told;
// see [Form].
package dns

import (
	"fmt"
	"slices"
	"strings"
)

// The limits of a State.
const (
	Enactors     = 3
	MaxEndpoints = 3
	// Window is the largest difference of the numbers of two plans that a State can hold.
	Window = 64
)

// Form is how the clean-up empties a name.
type Form string

// The two told forms.
const (
	// DeleteActive: the clean-up deletes the tree of an old plan that is active (AWS's summary).
	DeleteActive Form = "delete-active"
	// ApplyEmptied: the clean-up spares active trees. It empties old plans, and a late enactor
	// applies one that is empty by then (an engineer's account).
	ApplyEmptied Form = "apply-emptied"
)

// Forms are the forms of the clean-up.
var Forms = []Form{DeleteActive, ApplyEmptied}

// Mend is a set of mends of the automation.
type Mend uint8

// The mends.
const (
	// Fencing: the flip's transaction compares the plan with the last one applied to the endpoint,
	// and is refused if the plan is not newer (compare and set).
	Fencing Mend = 1 << iota
	// Recheck: before each endpoint the enactor checks the plan's freshness again. Check and flip
	// are two steps.
	Recheck
	// ActiveCheck: the scan spares the tree that is active. Scan and deletion are two steps.
	ActiveCheck
	// NonemptyGuard: a transaction that would leave the alias without records is refused, whether it
	// flips or deletes.
	NonemptyGuard
	// OneLock: scan and deletion hold the lock that flips hold, so no flip comes between them. The
	// lock does not expire while it is held.
	OneLock
)

// Named is a mend with its name.
type Named struct {
	Name string
	Mend Mend
	Doc  string
}

// Mends are the mends by name.
var Mends = []Named{
	{"fencing", Fencing, "a flip is refused if a plan as new has been applied to the endpoint"},
	{"recheck", Recheck, "the plan's freshness is checked again before each endpoint"},
	{"active-check", ActiveCheck, "the scan for old trees spares the one that is active"},
	{"nonempty-guard", NonemptyGuard, "no transaction may leave the name without records"},
	{"one-lock", OneLock, "clean-up scans and deletes under the lock that flips take"},
}

// ParseMends reads names of mends with commas between them; "" is none.
func ParseMends(text string) (m Mend, err error) {
	for name := range strings.SplitSeq(text, ",") {
		i := slices.IndexFunc(Mends, func(x Named) bool { return x.Name == name })
		switch {
		case text == "":
		case i < 0:
			return 0, fmt.Errorf("dns: no mend %q; there are: %s", name, MendNames())
		default:
			m |= Mends[i].Mend
		}
	}
	return m, nil
}

// MendNames are the names of all mends, with commas between them.
func MendNames() string { return (Fencing | Recheck | ActiveCheck | NonemptyGuard | OneLock).String() }

// String returns the names, with commas between them.
func (m Mend) String() string {
	var names []string
	for _, x := range Mends {
		if m&x.Mend != 0 {
			names = append(names, x.Name)
		}
	}
	return strings.Join(names, ",")
}

// Rules are what does not change: the configuration of all steps.
type Rules struct {
	Endpoints int // 1 to MaxEndpoints
	Keep      int // N: plans up to so much older than the enactor's own are kept
	Form      Form
	Mends     Mend
}

// Validate returns an error for the first value that is out of range.
func (r *Rules) Validate() error {
	switch {
	case r.Endpoints < 1 || r.Endpoints > MaxEndpoints:
		return fmt.Errorf("dns: %d endpoints: want 1 to %d", r.Endpoints, MaxEndpoints)
	case r.Keep < 0 || r.Keep > Window-4:
		return fmt.Errorf("dns: the clean-up keeps %d plans: want 0 to %d", r.Keep, Window-4)
	case !slices.Contains(Forms, r.Form):
		return fmt.Errorf("dns: clean-up %q: want %s or %s", r.Form, DeleteActive, ApplyEmptied)
	}
	return nil
}

// Phase is what an enactor is about to do.
type Phase uint8

// The phases, in the order of a walk and its clean-up.
const (
	Idle   Phase = iota // it may take a plan
	Check               // Recheck alone: it checks the plan's freshness for the endpoint
	Build               // it builds the endpoint's tree
	Flip                // it flips the endpoint's alias
	Scan                // it looks for the endpoint's old trees
	Delete              // it deletes those that it has found
	Phases
)

func (p Phase) String() string {
	return [Phases]string{"takes the newest plan", "checks again", "builds the tree", "flips the alias", "scans for old trees", "deletes old trees"}[p]
}

// Enactor is the state of one enactor.
type Enactor struct {
	Phase    Phase
	Endpoint uint8  // at which it is
	Plan     uint16 // that it holds
	Doomed   uint64 // plans whose trees its scan has found, by number modulo Window
}

// State is what planner, enactors and clean-up share. It is comparable.
type State struct {
	Newest   uint16               // number of the newest plan; the first is 1
	Active   [MaxEndpoints]uint16 // plan of the tree that the alias points at; 0: none
	Rollback [MaxEndpoints]uint16 // plan of the tree that the roll-back record points at
	Applied  [MaxEndpoints]uint16 // the newest plan that was ever applied
	Trees    [MaxEndpoints]uint64 // plans that have a tree with records, by number modulo Window
	Emptied  uint64               // plans that a clean-up has emptied (ApplyEmptied)
	Enactor  [Enactors]Enactor
}

// Begin returns the state in which plan 1 is active everywhere.
func Begin(r *Rules) State {
	s := State{Newest: 1}
	for e := range r.Endpoints {
		s.Active[e], s.Rollback[e], s.Applied[e], s.Trees[e] = 1, 1, 1, bit(1)
	}
	return s
}

func bit(plan uint16) uint64 { return 1 << (plan % Window) }

// Empty reports whether the endpoint's name has no records: the alias points at nothing, or at a tree
// without records.
func (s *State) Empty(e int) bool { return s.Active[e] == 0 || s.Trees[e]&bit(s.Active[e]) == 0 }

// newest is the newest plan that was applied to any endpoint.
func (s *State) newest() uint16 { return slices.Max(s.Applied[:]) }

// Fresh reports whether an idle enactor may take the newest plan: it is newer than all applied ones.
func (s *State) Fresh() bool { return s.Newest > s.newest() }

// Stuck reports whether an enactor cannot make its next transaction, since it would roll back to
// nothing.
func (s *State) Stuck(i int) bool {
	n := &s.Enactor[i]
	return n.Phase == Flip && s.Empty(int(n.Endpoint))
}

// Plan makes a new plan.
func (s *State) Plan() {
	s.Newest++
	s.Emptied &^= bit(s.Newest) // a number of Window plans ago
	for e := range s.Trees {
		s.Trees[e] &^= bit(s.Newest)
	}
	for i := range s.Enactor {
		s.Enactor[i].Doomed &^= bit(s.Newest)
	}
}

// Outcome is what a step came to.
type Outcome uint8

// The outcomes.
const (
	Done    Outcome = iota
	Refused         // a mend has refused it, and the enactor goes on with the next endpoint
	Stale           // it is done, and an older plan has replaced a newer one
	Emptied         // it is done, and the endpoint's name has lost its records
	Blocked         // it cannot be done
)

// Step takes the next step of enactor i.
func (s *State) Step(r *Rules, i int) Outcome {
	n := &s.Enactor[i]
	e := int(n.Endpoint)
	was := s.Empty(e)
	out := Done
	switch n.Phase {
	case Idle:
		if !s.Fresh() {
			return Blocked
		}
		*n = Enactor{Plan: s.Newest, Phase: r.first()}
		return Done
	case Check:
		if n.Phase = Build; n.Plan <= s.Applied[e] {
			s.nextEndpoint(r, n)
			return Refused
		}
	case Build:
		if n.Phase = Flip; s.Emptied&bit(n.Plan) == 0 {
			s.Trees[e] |= bit(n.Plan)
		}
	case Flip:
		out = s.flip(r, n, e)
	case Scan:
		s.scan(r, n, e)
		if n.Phase = Delete; r.Mends&OneLock == 0 {
			break
		}
		out = s.delete(r, n, e)
	case Delete:
		out = s.delete(r, n, e)
	}
	if out == Done && !was && s.Empty(e) {
		out = Emptied
	}
	return out
}

// first is the phase in which an enactor comes to an endpoint.
func (r *Rules) first() Phase {
	if r.Mends&Recheck != 0 {
		return Check
	}
	return Build
}

// nextEndpoint takes an enactor to its next endpoint, or to the clean-up.
func (s *State) nextEndpoint(r *Rules, n *Enactor) {
	switch n.Endpoint++; {
	case int(n.Endpoint) < r.Endpoints:
		n.Phase = r.first()
	default:
		n.Endpoint, n.Phase = 0, Scan
	}
}

func (s *State) flip(r *Rules, n *Enactor, e int) Outcome {
	switch {
	case s.Empty(e):
		return Blocked
	case r.Mends&Fencing != 0 && n.Plan <= s.Applied[e],
		r.Mends&NonemptyGuard != 0 && s.Trees[e]&bit(n.Plan) == 0:
		s.nextEndpoint(r, n)
		return Refused
	}
	out := Done
	if n.Plan < s.Applied[e] {
		out = Stale
	}
	s.Rollback[e], s.Active[e] = s.Active[e], n.Plan
	s.Applied[e] = max(s.Applied[e], n.Plan)
	s.nextEndpoint(r, n)
	if s.Empty(e) {
		out = Emptied
	}
	return out
}

// scan finds the endpoint's trees of plans that are more than Keep older than the enactor's. It looks
// no further back than Window plans before the newest one: there the numbers of newer plans begin.
func (s *State) scan(r *Rules, n *Enactor, e int) {
	n.Doomed = 0
	for age := uint16(r.Keep) + 1; age < n.Plan && s.Newest-(n.Plan-age) < Window; age++ {
		n.Doomed |= bit(n.Plan - age)
	}
	if r.Form == DeleteActive {
		n.Doomed &= s.Trees[e]
	}
	if r.Mends&ActiveCheck != 0 && s.Active[e] != 0 {
		n.Doomed &^= bit(s.Active[e])
	}
}

// delete deletes the trees that the scan has found.
func (s *State) delete(r *Rules, n *Enactor, e int) Outcome {
	out, doomed := Done, n.Doomed
	active := uint64(0)
	if s.Active[e] != 0 {
		active = bit(s.Active[e])
	}
	switch {
	case r.Form == ApplyEmptied:
		doomed &^= active
		s.Emptied |= doomed
	case doomed&active != 0 && r.Mends&NonemptyGuard != 0:
		doomed, out = doomed&^active, Refused
	}
	s.Trees[e] &^= doomed
	if r.Form == DeleteActive && doomed&active != 0 {
		s.Active[e] = 0 // the alias goes with its tree
	}
	n.Doomed = 0
	if n.Endpoint++; int(n.Endpoint) < r.Endpoints {
		n.Phase = Scan
	} else {
		*n = Enactor{}
	}
	return out
}

// Restore is what an operator does by hand: the endpoint gets a tree of the newest plan.
func (s *State) Restore(e int) {
	s.Emptied &^= bit(s.Newest)
	s.Trees[e] |= bit(s.Newest)
	s.Active[e], s.Rollback[e], s.Applied[e] = s.Newest, s.Newest, s.Newest
}

// Hash returns 128 bits of the state. Two states of a search have the same with a probability of
// 10^-20 or so.
func (s *State) Hash() [2]uint64 {
	h := [2]uint64{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f}
	add := func(x uint64) {
		for i, k := range [2]uint64{0xbf58476d1ce4e5b9, 0x94d049bb133111eb} { // the finalizer of splitmix64
			y := (h[i] ^ x) * k
			y ^= y >> 29
			y = (y + uint64(i)) * 0xff51afd7ed558ccd
			h[i] = y ^ y>>32
		}
	}
	add(uint64(s.Newest))
	add(s.Emptied)
	for e := range MaxEndpoints {
		add(uint64(s.Active[e])<<32 | uint64(s.Rollback[e])<<16 | uint64(s.Applied[e]))
		add(s.Trees[e])
	}
	for i := range s.Enactor {
		n := &s.Enactor[i]
		add(uint64(n.Plan)<<16 | uint64(n.Phase)<<8 | uint64(n.Endpoint))
		add(n.Doomed)
	}
	return h
}
