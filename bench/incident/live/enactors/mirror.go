// Package enactors makes the DNS automation's changes on a real name server. The planner, the three
// enactors and the clean-up are those of the replay (bench/incident/dns); a [Mirror] makes each
// atomic step of theirs a signed update.
//
// With fencing the update that flips an alias names what the enactor saw there last. So it is the
// server that refuses a plan that others have replaced.
package enactors

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/leasestorm/leasestorm/bench/incident/dns"
)

// Event is something on the wire that a person would put on a timeline.
type Event struct {
	At   time.Duration // the system's time
	What string
}

// Mirror makes the steps of a dns.System on a name server. Its methods are for one goroutine.
type Mirror struct {
	wire      *Wire
	endpoints []string
	balancers []netip.Addr
	fencing   bool
	say       func(e Event)

	ctx  context.Context // of the present Run
	err  error           // the first one
	seen [dns.Enactors][dns.MaxEndpoints]int
	// stuck is whether it has been said that no plan can be applied.
	stuck bool
}

// NewMirror returns a mirror of a system whose rules are given, and gives the endpoints their first
// plan.
func NewMirror(ctx context.Context, w *Wire, r dns.Rules, endpoints []string, balancers []netip.Addr, say func(e Event)) (*Mirror, error) {
	m := &Mirror{wire: w, endpoints: endpoints[:r.Endpoints], balancers: balancers, fencing: r.Mends&dns.Fencing != 0, say: say}
	for _, e := range m.endpoints {
		if err := w.Build(ctx, e, 1, balancers); err != nil {
			return nil, err
		}
		if err := w.Flip(ctx, e, 1, 0, false); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// Run carries the system to a time, with the operator's actions, and makes its steps on the server.
func (m *Mirror) Run(ctx context.Context, y *dns.System, to time.Duration, hands []dns.Hand) error {
	m.ctx, y.Each = ctx, m.step
	y.Run(to, hands)
	return m.err
}

// step makes one step on the server. After an error it makes no more.
func (m *Mirror) step(now time.Duration, i int, before, after *dns.State, out dns.Outcome) {
	if m.err == nil {
		m.err = m.change(now, i, before, after, out)
	}
}

func (m *Mirror) change(now time.Duration, i int, before, after *dns.State, out dns.Outcome) error {
	if i < 0 {
		m.stuck = false
		return m.restore(int(after.Newest))
	}
	n := before.Enactor[i]
	e := int(n.Endpoint)
	plan := int(n.Plan)
	switch n.Phase {
	case dns.Idle:
		if out != dns.Done {
			return nil
		}
		for k, name := range m.endpoints {
			active, err := m.wire.Active(m.ctx, name)
			if err != nil {
				return err
			}
			m.seen[i][k] = active
		}
	case dns.Build:
		return m.wire.Build(m.ctx, m.endpoints[e], plan, m.balancers)
	case dns.Flip:
		return m.flip(now, i, e, plan, out)
	case dns.Scan, dns.Delete:
		return m.clean(now, i, e, plan, before, after)
	}
	return nil
}

// flip flips an alias, or lets the server refuse it.
func (m *Mirror) flip(now time.Duration, i, e, plan int, out dns.Outcome) error {
	name, fence := m.endpoints[e], m.fencing
	if out == dns.Blocked && m.stuck {
		return nil
	}
	was, err := m.seen[i][e], error(nil)
	if !fence {
		// The roll-back record needs what is there now. This is no check of the plan.
		if was, err = m.wire.Active(m.ctx, name); err != nil {
			return err
		}
	}
	err = m.wire.Flip(m.ctx, name, plan, was, fence)
	for tries := 0; fence && tries < 3; tries++ {
		if _, refused := errors.AsType[*FencedError](err); !refused {
			break
		}
		now2, errNow := m.wire.Active(m.ctx, name)
		if errNow != nil {
			return errNow
		}
		if now2 >= plan {
			was = now2
			break
		}
		err = m.wire.Flip(m.ctx, name, plan, now2, true)
	}
	_, refused := errors.AsType[*FencedError](err)
	switch {
	case err != nil && !refused:
		return err
	case refused != (out == dns.Refused || out == dns.Blocked):
		return fmt.Errorf("enactors: plan %d of %s: the server and the model differ (refused: %v)", plan, name, refused)
	case out == dns.Blocked:
		m.stuck = true
		m.tell(now, "the name server refuses plan %d of enactor %c: its roll-back would point at a tree without records", plan, 'A'+i)
	case refused && e == 0 && plan < was:
		m.tell(now, "the name server refuses plan %d of enactor %c: the record has plan %d by now", plan, 'A'+i, was)
	case out == dns.Stale && e == 0:
		m.tell(now, "enactor %c points the name at plan %d, which is older than plan %d there", 'A'+i, plan, was)
	}
	return nil
}

// clean deletes the trees that the step has deleted.
func (m *Mirror) clean(now time.Duration, i, e, plan int, before, after *dns.State) error {
	gone := before.Trees[e] &^ after.Trees[e]
	for old := plan - 1; gone != 0 && old > 0 && old > plan-dns.Window; old-- {
		mark := uint64(1) << (old % dns.Window)
		if gone&mark == 0 {
			continue
		}
		gone &^= mark
		if err := m.wire.Delete(m.ctx, m.endpoints[e], old); err != nil {
			return err
		}
	}
	if e == 0 && !before.Empty(0) && after.Empty(0) {
		m.tell(now, "the clean-up of enactor %c after plan %d deletes the tree of plan %d, which is in use", 'A'+i, plan, before.Active[0])
	}
	return nil
}

// restore is what the operator does by hand: the first endpoint gets the newest plan's tree, and its
// alias points at it, whatever was there.
func (m *Mirror) restore(plan int) error {
	if err := m.wire.Build(m.ctx, m.endpoints[0], plan, m.balancers); err != nil {
		return err
	}
	return m.wire.Flip(m.ctx, m.endpoints[0], plan, 0, false)
}

func (m *Mirror) tell(now time.Duration, format string, args ...any) {
	m.say(Event{now, fmt.Sprintf(format, args...)})
}
