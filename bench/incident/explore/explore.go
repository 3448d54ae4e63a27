// Package explore walks every interleaving of the DNS automation's planner, enactors and clean-up up
// to a bound, and says which of three things can go wrong.
//
// It takes the steps of package dns, one at a time and in every order. Time is abstracted: an enactor
// may rest for any time before any of its steps, which covers slowness, locks that are lost or
// expire, and back-off. The search is breadth first, so that the first schedule that is found is a
// shortest one.
package explore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/leasestorm/leasestorm/bench/incident/dns"
	"github.com/leasestorm/leasestorm/bench/internal/show"
)

// Property is something that must never happen.
type Property string

// The properties.
const (
	EmptyAnswer  Property = "empty answer"       // a name has no records
	StuckRoll    Property = "stuck roll-back"    // an enactor cannot apply its plan, since it would roll back to nothing
	StaleApplied Property = "stale plan applied" // an older plan has replaced a newer one
)

// Properties are all properties, the worst first.
var Properties = []Property{EmptyAnswer, StuckRoll, StaleApplied}

// Config is what is explored, and its bound.
type Config struct {
	dns.Rules
	Plans int // the planner makes plans up to this number; the first is active at the start
	Limit int // states after which the search gives up; 0: none
}

// Default is a bound that shows all that the mends leave open, and is explored in a second.
func Default() Config {
	return Config{Rules: dns.Rules{Endpoints: 2, Keep: 1, Form: dns.DeleteActive}, Plans: 4, Limit: 20_000_000}
}

// Validate returns an error for the first value that is out of range.
func (c *Config) Validate() error {
	switch {
	case c.Plans < 1 || c.Plans > dns.Window-1:
		return fmt.Errorf("explore: %d plans: want 1 to %d", c.Plans, dns.Window-1)
	case c.Limit < 0:
		return fmt.Errorf("explore: a limit of %d states: want 0 (none) or more", c.Limit)
	}
	return c.Rules.Validate()
}

// Report is what a search has found.
type Report struct {
	Plans     int      `json:"plans"`
	Enactors  int      `json:"enactors"`
	Endpoints int      `json:"endpoints"`
	Keep      int      `json:"keep"`
	Form      dns.Form `json:"clean_up"`
	Mends     string   `json:"dns_mend"`

	States      int  `json:"states"`
	Transitions int  `json:"transitions"`
	Complete    bool `json:"complete"` // every state up to the bound was seen
	Depth       int  `json:"depth"`    // steps of the longest shortest schedule
	// Violation is the worst property that can be violated; null: none.
	Violation *Property `json:"violation"`
	// Schedule is a shortest schedule that violates it.
	Schedule []Move `json:"schedule"`
	// Found has a shortest schedule for each property that can be violated.
	Found map[Property][]Move `json:"found"`
}

// Move is one step of a schedule.
type Move struct {
	Who      string `json:"who"` // planner, or enactor A, B, C
	Does     string `json:"does"`
	Plan     int    `json:"plan"`
	Endpoint int    `json:"endpoint,omitempty"` // from 1 on
	Active   []int  `json:"active"`             // plan of each endpoint's active tree afterwards; 0: no records
}

// planner is the move of the planner; moves from 0 on are those of an enactor.
const planner = dns.Enactors

// node is how a state was first reached.
type node struct {
	parent int32
	move   uint8
}

// Explore walks all states up to the bound. The error is that of ctx if the search was interrupted.
func Explore(ctx context.Context, c Config) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &Report{
		Plans: c.Plans, Enactors: dns.Enactors, Endpoints: c.Endpoints, Keep: c.Keep, Form: c.Form, Mends: c.Mends.String(),
		Complete: true, Found: map[Property][]Move{}, Schedule: []Move{},
	}
	begin := dns.Begin(&c.Rules)
	seen := map[[2]uint64]struct{}{begin.Hash(): {}}
	nodes := []node{{-1, 0}}
	level, ids := []dns.State{begin}, []int32{0}
	for depth := 0; len(level) > 0; depth++ {
		r.Depth = depth
		var next []dns.State
		var nextIDs []int32
		for k := range level {
			if k%4096 == 0 && ctx.Err() != nil {
				return nil, ctx.Err()
			}
			for move := range uint8(planner + 1) {
				s := level[k]
				out, ok := take(&s, &c, move)
				if !ok {
					continue
				}
				r.Transitions++
				if out == dns.Stale {
					r.found(StaleApplied, &c, nodes, ids[k], move)
				}
				h := s.Hash()
				if _, ok := seen[h]; ok {
					continue
				}
				seen[h] = struct{}{}
				next, nextIDs = append(next, s), append(nextIDs, int32(len(nodes)))
				nodes = append(nodes, node{ids[k], move})
				for e := range c.Endpoints {
					if s.Empty(e) {
						r.found(EmptyAnswer, &c, nodes, ids[k], move)
					}
				}
				for i := range dns.Enactors {
					if s.Stuck(i) {
						r.found(StuckRoll, &c, nodes, ids[k], move)
					}
				}
			}
			if c.Limit > 0 && len(nodes) >= c.Limit {
				r.Complete, next = false, nil
				break
			}
		}
		level, ids = next, nextIDs
	}
	r.States = len(nodes)
	for _, p := range Properties {
		if moves := r.Found[p]; moves != nil {
			r.Violation, r.Schedule = &p, moves
			break
		}
	}
	return r, nil
}

// take takes a move; ok is false if it is not possible.
func take(s *dns.State, c *Config, move uint8) (out dns.Outcome, ok bool) {
	if move == planner {
		if int(s.Newest) >= c.Plans {
			return 0, false
		}
		s.Plan()
		return dns.Done, true
	}
	out = s.Step(&c.Rules, int(move))
	return out, out != dns.Blocked
}

// path is the moves that lead to a node.
func path(nodes []node, id int32) []uint8 {
	var all []uint8
	for ; nodes[id].parent >= 0; id = nodes[id].parent {
		all = append(all, nodes[id].move)
	}
	slices.Reverse(all)
	return all
}

// found keeps the first schedule of a property: the way to a node, and one move more.
func (r *Report) found(p Property, c *Config, nodes []node, id int32, last uint8) {
	if r.Found[p] != nil {
		return
	}
	moves := append(path(nodes, id), last)
	s := dns.Begin(&c.Rules)
	all := []Move{}
	for _, move := range moves {
		m := Move{Who: "planner", Does: "makes a plan"}
		if move != planner {
			n := s.Enactor[move]
			m.Who, m.Does, m.Plan = "enactor "+dns.Letter(int(move)), n.Phase.String(), int(n.Plan)
			if n.Phase != dns.Idle {
				m.Endpoint = int(n.Endpoint) + 1
			}
		}
		out, _ := take(&s, c, move)
		switch {
		case move == planner:
			m.Plan = int(s.Newest)
		case m.Plan == 0:
			m.Plan = int(s.Enactor[move].Plan)
		}
		switch out {
		case dns.Refused:
			m.Does += ": refused"
		case dns.Stale:
			m.Does += ": an older plan replaces a newer one"
		case dns.Emptied:
			m.Does += ": THE NAME IS EMPTY"
		}
		for e := range c.Endpoints {
			active := int(s.Active[e])
			if s.Empty(e) {
				active = 0
			}
			m.Active = append(m.Active, active)
		}
		all = append(all, m)
	}
	r.Found[p] = all
}

// Text is the report for a person: the verdict, and the shortest schedule as a timeline.
func (r *Report) Text() string {
	var b strings.Builder
	mend := r.Mends
	if mend == "" {
		mend = "none"
	}
	fmt.Fprintf(&b, "%d plans, %d enactors, %d endpoint%s, the clean-up keeps %d (%s); mend: %s\n", r.Plans, r.Enactors, r.Endpoints, show.Plural(r.Endpoints), r.Keep, r.Form, mend)
	fmt.Fprintf(&b, "%s states, %s transitions", show.Count(r.States), show.Count(r.Transitions))
	if r.Complete {
		fmt.Fprintf(&b, ": every interleaving, %d steps deep\n\n", r.Depth)
	} else {
		b.WriteString(": the limit was reached, so what is not found may still be possible\n\n")
	}
	for _, p := range Properties {
		verdict := "never"
		if moves := r.Found[p]; moves != nil {
			verdict = fmt.Sprintf("possible, in %d steps", len(moves))
		} else if !r.Complete {
			verdict = "not found"
		}
		fmt.Fprintf(&b, "%-20s %s\n", p, verdict)
	}
	if r.Violation == nil {
		return b.String()
	}
	fmt.Fprintf(&b, "\nthe shortest schedule to: %s\n\n", *r.Violation)
	rows := [][]string{{"step", "who", "does", "plan", "active"}}
	for i, m := range r.Schedule {
		does := m.Does
		if m.Endpoint > 0 && r.Endpoints > 1 {
			does = fmt.Sprintf("endpoint %d: %s", m.Endpoint, does)
		}
		rows = append(rows, []string{fmt.Sprint(i + 1), m.Who, does, fmt.Sprint(m.Plan), strings.Trim(fmt.Sprint(m.Active), "[]")})
	}
	return b.String() + show.Columns(rows)
}
