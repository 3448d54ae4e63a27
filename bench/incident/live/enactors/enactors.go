// Package enactors changes a zone as the DNS automation of DynamoDB did: a planner makes numbered
// plans, three enactors apply them endpoint by endpoint, and each cleans up after its walk. Every
// change is a signed update of a real name server.
//
// The freshness of a plan is checked once, at the start of a walk. Without fencing, an enactor that
// is delayed in its walk points an endpoint at a plan that others have long replaced, and the
// clean-up of another one deletes that plan's tree. With fencing, the update names what the
// enactor saw at the start of its walk, and the server refuses it.
package enactors

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Config is the configuration of the automation. Times are the host's.
type Config struct {
	Wire      *Wire
	Endpoints []string // names, with the dot at their ends; the first is the one that is watched
	// Balancers are the load balancers that are healthy, for the next plan.
	Balancers func() []netip.Addr
	Period    time.Duration // between two plans
	Pause     time.Duration // of an enactor before each endpoint
	Keep      int           // plans that the clean-up keeps
	Fencing   bool
	// The first enactor's walk with plan Late, or the next one, is held up before the first endpoint,
	// as by a lock that it loses again and again. It goes on when Until is closed, the clean-up no
	// longer keeps its plan, and the others have just applied a plan to the endpoint: they leave
	// the lock then, and have their clean-up before them. 0: none is held up.
	Late  int
	Until <-chan struct{}
	Say   func(e Event) // is called by several goroutines
}

// Event is something that the automation did, or could not do.
type Event struct {
	Kind    Kind
	Enactor int // 0 is the one that is held up
	Plan    int // that the enactor applies
	Active  int // to which the endpoint's alias points
}

// Kind is a kind of event.
type Kind string

// The kinds.
const (
	Held    Kind = "held"    // an enactor is held up before the first endpoint
	Stale   Kind = "stale"   // an endpoint has been pointed at a plan older than the one before
	Fenced  Kind = "fenced"  // the server refused that
	Deleted Kind = "deleted" // the clean-up has deleted the tree to which an endpoint points
	Stuck   Kind = "stuck"   // a plan cannot be applied, as its roll-back would point at nothing
	Failed  Kind = "failed"  // the name server cannot be reached, or refuses for another reason
)

// Text is the event in words.
func (e Event) Text() string {
	who := fmt.Sprintf("enactor %c", 'A'+e.Enactor)
	switch e.Kind {
	case Held:
		return fmt.Sprintf("%s has checked that plan %d is fresh, and is held up", who, e.Plan)
	case Stale:
		return fmt.Sprintf("%s applies plan %d over plan %d: its check is old", who, e.Plan, e.Active)
	case Fenced:
		return fmt.Sprintf("the name server refuses %s's plan %d: the record has plan %d by now", who, e.Plan, e.Active)
	case Deleted:
		return fmt.Sprintf("%s's clean-up after plan %d deletes the tree of plan %d, which is in use", who, e.Plan, e.Active)
	case Stuck:
		return fmt.Sprintf("%s cannot apply plan %d: its roll-back would point at the tree of plan %d, which is gone", who, e.Plan, e.Active)
	}
	return fmt.Sprintf("%s cannot change the zone", who)
}

// Automation is the planner and the enactors.
type Automation struct {
	cfg   Config
	ended sync.WaitGroup

	mu    sync.Mutex
	plans []plan           // by number, from 1
	trees map[string][]int // plans that have a tree, by endpoint
	stuck bool             // that has been said
	past  [number]int      // the plan with which each enactor has passed the first endpoint
	moved chan struct{}    // closed and replaced when past changes
}

type plan struct {
	number    int
	balancers []netip.Addr
}

// New returns an automation with its first plan, which is not applied yet.
func New(cfg Config) *Automation {
	a := &Automation{cfg: cfg, trees: map[string][]int{}, moved: make(chan struct{})}
	a.Plan()
	return a
}

// Plan makes the next plan, and returns its number.
func (a *Automation) Plan() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := plan{len(a.plans) + 1, slices.Clone(a.cfg.Balancers())}
	a.plans = append(a.plans, p)
	return p.number
}

// newest is the plan that was made last.
func (a *Automation) newest() plan {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.plans[len(a.plans)-1]
}

// number is how many enactors there are, one per zone of the region.
const number = 3

// Start begins to make and to apply plans, until ctx ends. Wait then waits for the end.
func (a *Automation) Start(ctx context.Context) {
	a.ended.Add(1 + number)
	go func() {
		defer a.ended.Done()
		for pause(ctx, a.cfg.Period) {
			a.Plan()
		}
	}()
	for i := range number {
		go func() {
			defer a.ended.Done()
			// The enactors begin one after the other, so that each is in another part of its walk.
			for ok := pause(ctx, a.cfg.Pause*time.Duration(i)/number); ok; ok = pause(ctx, a.cfg.Pause) {
				if err := a.Walk(ctx, i); err != nil && ctx.Err() == nil {
					a.cfg.Say(Event{Kind: Failed, Enactor: i})
					return
				}
			}
		}()
	}
}

// Wait waits until everything that Start began has ended.
func (a *Automation) Wait() { a.ended.Wait() }

// pause waits, and reports whether ctx has not ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// Walk applies the newest plan to all endpoints, if it is newer than what they have at the start of
// the walk, and cleans up.
func (a *Automation) Walk(ctx context.Context, enactor int) error {
	p := a.newest()
	seen := map[string]int{}
	fresh := false
	for _, e := range a.cfg.Endpoints {
		active, err := a.cfg.Wire.Active(ctx, e)
		if err != nil {
			return err
		}
		seen[e] = active
		fresh = fresh || p.number > active
	}
	if !fresh {
		return nil
	}
	for i, e := range a.cfg.Endpoints {
		if !pause(ctx, a.cfg.Pause) {
			return nil
		}
		if i == 0 && enactor == 0 && a.late(p.number) {
			a.cfg.Say(Event{Kind: Held, Enactor: enactor, Plan: p.number, Active: seen[e]})
			if !a.held(ctx, p.number) {
				return nil
			}
		}
		if err := a.apply(ctx, enactor, e, p, seen[e]); err != nil {
			return err
		}
		if i == 0 {
			a.pass(enactor, p.number)
		}
	}
	return a.clean(ctx, enactor, p.number)
}

// held waits until the walk that is held up goes on, and reports whether ctx has not ended.
func (a *Automation) held(ctx context.Context, number int) bool {
	until := a.cfg.Until
	for {
		a.mu.Lock()
		newest, others, moved := len(a.plans), a.past[1:], a.moved
		passed := !slices.ContainsFunc(others, func(n int) bool { return n != newest })
		a.mu.Unlock()
		if until == nil && passed && newest-a.cfg.Keep > number {
			return true
		}
		select {
		case <-until:
			until = nil
			// Go on only when they pass next: by now their clean-up may be over.
			select {
			case <-moved:
			case <-ctx.Done():
				return false
			}
		case <-moved:
		case <-ctx.Done():
			return false
		}
	}
}

// pass enters that an enactor has passed the first endpoint.
func (a *Automation) pass(enactor, number int) {
	a.mu.Lock()
	a.past[enactor] = number
	close(a.moved)
	a.moved = make(chan struct{})
	a.mu.Unlock()
}

// late reports whether the walk is the one that is held up: the first from plan Late on.
func (a *Automation) late(number int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.cfg.Late == 0 || number < a.cfg.Late {
		return false
	}
	a.cfg.Late = 0
	return true
}

// apply builds an endpoint's tree of a plan and points the endpoint at it. seen is the plan that
// the endpoint had at the start of the walk.
func (a *Automation) apply(ctx context.Context, enactor int, endpoint string, p plan, seen int) error {
	w := a.cfg.Wire
	was := seen
	if !a.cfg.Fencing {
		// The roll-back record needs the present tree. This is no second check of freshness.
		var err error
		if was, err = w.Active(ctx, endpoint); err != nil {
			return err
		}
	}
	if was == p.number {
		return nil
	}
	err := w.Apply(ctx, endpoint, p.number, p.balancers, was, a.cfg.Fencing)
	if _, refused := errors.AsType[*FencedError](err); refused {
		return a.refused(ctx, enactor, endpoint, p.number)
	}
	if err != nil {
		return err
	}
	a.built(endpoint, p.number)
	if p.number < was-a.cfg.Keep {
		a.say(Event{Stale, enactor, p.number, was}, endpoint)
	}
	return nil
}

// built enters a tree for the clean-up.
func (a *Automation) built(endpoint string, number int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.trees[endpoint], number) {
		a.trees[endpoint] = append(a.trees[endpoint], number)
	}
}

// refused finds out why the server refused a plan.
func (a *Automation) refused(ctx context.Context, enactor int, endpoint string, number int) error {
	active, err := a.cfg.Wire.Active(ctx, endpoint)
	if err != nil {
		return err
	}
	ips, err := a.cfg.Wire.Addresses(ctx, endpoint)
	if err != nil {
		return err
	}
	a.mu.Lock()
	first := !a.stuck
	a.stuck = a.stuck || len(ips) == 0
	a.mu.Unlock()
	switch {
	case len(ips) == 0 && first:
		a.say(Event{Stuck, enactor, number, active}, endpoint)
	case len(ips) > 0 && number < active-a.cfg.Keep:
		a.say(Event{Fenced, enactor, number, active}, endpoint)
	}
	return nil // another enactor was faster, and the next walk will see what it did
}

// say tells an event of the first endpoint. The others have the same.
func (a *Automation) say(e Event, endpoint string) {
	if endpoint == a.cfg.Endpoints[0] {
		a.cfg.Say(e)
	}
}

// clean deletes the trees of plans that are significantly older than the one that has been applied.
// It does not ask whether a tree is in use.
func (a *Automation) clean(ctx context.Context, enactor, applied int) error {
	for _, e := range a.cfg.Endpoints {
		a.mu.Lock()
		var old []int
		a.trees[e] = slices.DeleteFunc(a.trees[e], func(n int) bool {
			if n < applied-a.cfg.Keep {
				old = append(old, n)
				return true
			}
			return false
		})
		a.mu.Unlock()
		for _, n := range old {
			if err := a.cfg.Wire.Delete(ctx, e, n); err != nil {
				return err
			}
			active, err := a.cfg.Wire.Active(ctx, e)
			if err != nil {
				return err
			}
			if active == n {
				a.say(Event{Deleted, enactor, applied, n}, e)
			}
		}
	}
	return nil
}

// Mend is what the operator does by hand: the endpoints get the newest plan's tree, and asks for
// nothing that was there before.
func (a *Automation) Mend(ctx context.Context) (plan int, err error) {
	p := a.newest()
	for _, e := range a.cfg.Endpoints {
		if err := a.cfg.Wire.Apply(ctx, e, p.number, p.balancers, 0, false); err != nil {
			return 0, err
		}
		a.built(e, p.number)
	}
	return p.number, nil
}
