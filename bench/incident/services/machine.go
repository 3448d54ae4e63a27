package services

import (
	"fmt"
	"time"
)

// State is the state of a service. A larger one is worse.
type State int8

// The states of a service.
const (
	Up       State = iota
	Degraded       // a soft need is missing, or a hard one is degraded
	Down           // a hard need is missing
)

func (s State) String() string { return [...]string{"up", "degraded", "down"}[s] }

// MarshalText implements encoding.TextMarshaler.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Options are the switches of a machine. The zero value is the day.
type Options struct {
	// StaticStability: a service goes on, degraded, with the last known answer of a hard need of
	// its data plane for Fresh.
	StaticStability bool
	Fresh           time.Duration // how long a last known answer serves; 0: 24 h
	BrokenCircle    bool          // the needs inside circles are cut
	Regions         int           // 2: clients can go to another region, those of global services apart
	NoHands         bool          // nobody restores anything by hand
}

// elsewhere is the share of the clients that use a second region when they have one: an estimate.
const elsewhere = 0.7

// Inputs are the states of the services at the bottom in one step.
type Inputs struct {
	Name     float64       // share of calls of DynamoDB that succeed
	Internal float64       // the same for internal callers; Name if that is larger
	Launches float64       // share of instance launches that succeed
	Network  time.Duration // until a new instance can be reached
	Errors   float64       // share of the load balancers' connections that fail
}

// Bounds of the states at the bottom. They are estimates.
const (
	nameUp, nameDown     = 0.99, 0.5 // share of calls that succeed
	launchUp, launchDown = 0.9, 0.1  // share of launches that succeed
	networkUp            = 5 * time.Minute
	errorsUp, errorsDown = 0.01, 0.5 // share of connections that fail
)

// grade is Up from up on, Down below down, and Degraded between.
func grade(good, up, down float64) State {
	switch {
	case good >= up:
		return Up
	case good >= down:
		return Degraded
	}
	return Down // a share that is not a number, too
}

// base returns the state of a service at the bottom, as a caller sees it.
func (in *Inputs) base(i int, inner bool) State {
	switch i {
	case DynamoDB:
		share := in.Name
		if inner {
			share = max(share, in.Internal)
		}
		return grade(share, nameUp, nameDown)
	case EC2:
		s := grade(in.Launches, launchUp, launchDown)
		if in.Network > networkUp {
			s = max(s, Degraded)
		}
		return s
	}
	return grade(1-in.Errors, 1-errorsUp, 1-errorsDown)
}

// Transition is one change of a service's state.
type Transition struct {
	At       time.Duration
	Service  string
	From, To State
	Because  string
}

// Outputs are the state at the end of one step.
type Outputs struct {
	Up, Degraded, Down int
	Served             float64      // share of the clients, the same number for each service, that are served
	Changes            []Transition // of this step
}

// status is the state of one service.
type status struct {
	state  State
	down   time.Duration // since when it is down
	better time.Duration // since when its needs would let it be better
	rises  bool          // better is set
	waived []bool        // by need: it started without it and has not had it since
}

// Machine keeps the states of a graph's services. It is passive: the caller steps it.
type Machine struct {
	graph    *Graph
	opt      Options
	step     time.Duration
	in       Inputs
	all      []status
	circles  []circle
	inCircle []int // index of a service's circle, or -1
	changes  []Transition
	hands    []Hand
	hours    Hours
	downMost int
	first    []time.Duration // at which the service was down first, or -1
}

// New returns a machine whose services are all up.
func New(g *Graph, step time.Duration, opt Options) (*Machine, error) {
	switch {
	case step <= 0:
		return nil, fmt.Errorf("services: a step of %v: want more than 0", step)
	case opt.Regions < 0 || opt.Regions > 2:
		return nil, fmt.Errorf("services: %d regions: want 1 or 2", opt.Regions)
	case opt.Fresh < 0:
		return nil, fmt.Errorf("services: a last known answer that serves for %v: want 0 or more", opt.Fresh)
	}
	if opt.Fresh == 0 {
		opt.Fresh = 24 * time.Hour
	}
	m := &Machine{graph: g, opt: opt, step: step, all: make([]status, len(g.Services))}
	for i, s := range g.Services {
		m.all[i].waived = make([]bool, len(s.Needs))
		m.inCircle = append(m.inCircle, -1)
		m.first = append(m.first, -1)
	}
	if opt.BrokenCircle {
		return m, nil
	}
	m.circles = make([]circle, len(g.Circles))
	for c, members := range g.Circles {
		for _, i := range members.Members {
			m.inCircle[i] = c
		}
	}
	return m, nil
}

// Step takes the step from now to now + step. Steps must follow one another.
func (m *Machine) Step(now time.Duration, in Inputs) Outputs {
	m.in = in
	before := len(m.changes)
	for i := range m.graph.Services {
		if m.graph.Services[i].Base {
			m.set(now, i, in.base(i, false), "input of the replay")
			continue
		}
		m.move(now, i)
	}
	m.breakCircles(now)
	out := m.count()
	out.Changes = m.changes[before:len(m.changes):len(m.changes)]
	return out
}

// move brings one service towards the state that its needs let it have.
func (m *Machine) move(now time.Duration, i int) {
	s, st := &m.graph.Services[i], &m.all[i]
	want, because := m.want(now, i)
	if want >= st.state {
		st.rises = false
		m.set(now, i, want, because)
		return
	}
	if !st.rises {
		st.rises, st.better = true, now
	}
	wait, why := s.Recovery, "what it needs is back"
	byHand := st.state == Down && s.Hand > 0
	if byHand {
		wait, why = s.Hand, "by hand"
	}
	if byHand && m.opt.NoHands || now-st.better < wait {
		return
	}
	if byHand {
		m.hands = append(m.hands, Hand{Services: []string{s.Name}, Since: st.better, At: now})
	}
	if st.state == Down {
		for k, need := range s.Needs { // what it starts without
			st.waived[k] = need.Hard && m.seen(i, need.On) == Down
		}
	}
	st.rises = false
	m.set(now, i, want, why)
}

// want returns the state that a service's needs let it have, and the need that keeps it from more.
func (m *Machine) want(now time.Duration, i int) (want State, because string) {
	s, st := &m.graph.Services[i], &m.all[i]
	for k, need := range s.Needs {
		if need.circle && m.opt.BrokenCircle {
			continue
		}
		seen := m.seen(i, need.On)
		if seen != Down {
			st.waived[k] = false
		}
		effect := Up
		switch {
		case seen == Up:
		case !need.Hard:
			if seen == Down {
				effect = Degraded
			}
		case seen == Degraded:
			if !need.circle { // degraded, they serve each other: else none of them would ever be up again
				effect = Degraded
			}
		default:
			effect = m.without(now, i, k)
		}
		if effect > want {
			want, because = effect, m.graph.Services[need.On].Name
		}
	}
	return want, because
}

// without returns what service i is without its k-th need, a hard one that is down.
func (m *Machine) without(now time.Duration, i, k int) State {
	s, st := &m.graph.Services[i], &m.all[i]
	need := &s.Needs[k]
	gone := now - m.all[need.On].down
	switch {
	case m.opt.StaticStability && need.Data && gone < m.opt.Fresh:
		return Degraded
	case st.waived[k]:
		return Degraded
	case st.state == Down && (!need.Start || need.circle && m.forced(i)):
		return Degraded // it starts without this need
	case st.state != Down && gone < s.Patience:
		return Up
	}
	return Down
}

// seen returns the state of a needed service as service i sees it.
func (m *Machine) seen(i, on int) State {
	if m.graph.Services[on].Base {
		return m.in.base(on, m.graph.Services[i].Inner)
	}
	return m.all[on].state
}

// set changes a service's state and keeps the change.
func (m *Machine) set(now time.Duration, i int, to State, because string) {
	st := &m.all[i]
	if to == st.state {
		return
	}
	m.changes = append(m.changes, Transition{At: now, Service: m.graph.Services[i].Name, From: st.state, To: to, Because: because})
	if to == Down {
		st.down = now
		if m.first[i] < 0 {
			m.first[i] = now
		}
	}
	st.state = to
}

// count counts the states, and adds the step to the hours lost.
func (m *Machine) count() (out Outputs) {
	hours, served := m.step.Hours(), 0.0
	for i := range m.all {
		switch m.all[i].state {
		case Up:
			out.Up++
			served++
		case Degraded:
			out.Degraded++
			served++
		default:
			out.Down++
			if m.opt.Regions == 2 && !m.graph.Services[i].Global {
				served += elsewhere
			}
		}
	}
	n := float64(len(m.all))
	out.Served = served / n
	m.downMost = max(m.downMost, out.Down)
	m.hours.Down += float64(float64(out.Down) * hours)
	m.hours.Degraded += float64(float64(out.Degraded) * hours)
	m.hours.Lost += float64((n - served) * hours)
	return out
}
