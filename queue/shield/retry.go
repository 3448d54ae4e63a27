package shield

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue/admit"
)

// Retrier is a retry policy of this module's table for the requests of one client. A [Client] waits by it, and so can
// clients of other protocols. A budget is the client's: all of its requests share it. It is safe for concurrent use.
type Retrier struct {
	timeout time.Duration
	began   time.Time
	mu      sync.Mutex // guards what follows: a policy's calls come from one goroutine at a time
	policy  admit.Retry
	learner admit.Learner // the policy; nil: it learns nothing
	quitter admit.Quitter // the policy; nil: it never gives up
	watcher admit.Watcher // the policy; nil: it does not count the tries that are out
	rng     *rand.Rand
	droplet uint32 // the first that no call has had
	unused  []uint32
}

// NewRetrier makes a Retrier. policy is as admit.MakeRetry takes it, for example "retry-budget"; "": "backoff". Its
// parameter clients is 1 here, whatever its default for a fleet: setting another is an error. timeout is that of one
// try, by which policies reckon. seed is that of the waits' randomness; 0: a random one.
func NewRetrier(policy string, timeout time.Duration, seed uint64) (*Retrier, error) {
	if timeout <= 0 {
		return nil, fmt.Errorf("shield: Timeout %v: want more than 0", timeout)
	}
	if policy == "" {
		policy = "backoff"
	}
	e, values, err := admit.Retries.Resolve(policy)
	if err != nil {
		return nil, fmt.Errorf("shield: Retry: %w", err)
	}
	if n, shared := values["clients"]; shared {
		if n != 1 && names(policy, "clients") { // the default is that of a fleet
			return nil, fmt.Errorf("shield: Retry: %s: clients=%v: a Retrier is one client: leave clients out, or make a Retrier for each", policy, n)
		}
		values["clients"] = 1
	}
	p, err := e.New(timeout, values)
	if err != nil {
		return nil, fmt.Errorf("shield: Retry: %w", err)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	r := &Retrier{timeout: timeout, began: time.Now(), policy: p, rng: rand.New(rand.NewPCG(seed, 0))}
	r.learner, _ = p.(admit.Learner)
	r.quitter, _ = p.(admit.Quitter)
	r.watcher, _ = p.(admit.Watcher)
	return r, nil
}

// names reports whether a reference sets the parameter.
func names(ref, param string) bool {
	_, args, _ := strings.Cut(ref, ":")
	for arg := range strings.SplitSeq(args, ",") {
		if name, _, _ := strings.Cut(arg, "="); name == param {
			return true
		}
	}
	return false
}

// Call is one request of a Retrier's client: a first try, and those after it. One goroutine at a time uses it.
type Call struct {
	r       *Retrier
	droplet uint32 // of its own if the policy counts each droplet's tries, or those that are out; else 0
	all     int    // failures
	row     int    // failures since the last Anew
	prev    time.Duration
	out     bool // a watcher has yet to hear how the try ended
	over    bool // the policy knows that it has ended
}

// Begin begins a request. The caller must call [Call.Try] before each try, and [Call.End] when the request has ended.
func (r *Retrier) Begin() *Call {
	c := &Call{r: r}
	if r.quitter == nil && r.watcher == nil {
		return c
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.unused); n > 0 {
		c.droplet, r.unused = r.unused[n-1], r.unused[:n-1]
		return c
	}
	c.droplet = r.droplet
	r.droplet++
	return c
}

// Try tells the policy that a try goes out. A budget that is a share of the requests that are out counts by it.
func (c *Call) Try() {
	if c.r.watcher == nil {
		return
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.out = true
	c.r.watcher.Asked(time.Since(c.r.began), c.droplet)
}

// Failed tells the policy how a try failed. It returns the wait before the next try: as the policy says, and at least
// after, the wait for which the server asked. ok is false if there must be no further try, since the policy has given
// up, or the caller says with can that it cannot make one. The last failure, too, is one for the policy: gRPC's budget
// pays for each failure. A policy that gives up pays for no retry that cannot be made.
func (c *Call) Failed(why admit.Cause, after time.Duration, can bool) (wait time.Duration, ok bool) {
	c.all, c.row = min(c.all+1, admit.MostTries), min(c.row+1, admit.MostTries)
	if c.over {
		return 0, false
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	f := admit.Failure{Tries: c.row, Prev: c.prev, Timeout: c.r.timeout, After: after, Now: time.Since(c.r.began), Droplet: c.droplet, Why: why, Last: !can}
	if c.r.quitter != nil {
		f.Tries = c.all // it counts those of the whole request
	}
	c.out = false
	wait = max(c.r.policy.Wait(f, c.r.rng), after)
	if c.r.quitter != nil && !c.r.quitter.Goes(c.droplet) {
		c.over = true
		return 0, false
	}
	c.prev = wait
	return wait, can
}

// Anew lets the policy count failures in a row from 0 again.
func (c *Call) Anew() { c.row, c.prev = 0, 0 }

// Good tells the policy of a good answer, with which the request has ended.
func (c *Call) Good() {
	if c.r.learner == nil || c.over {
		return
	}
	c.out, c.over = false, true
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	c.r.learner.Good(time.Since(c.r.began), c.droplet)
}

// End ends a request, however it went. It must be called once.
func (c *Call) End() {
	if c.r.quitter == nil && c.r.watcher == nil {
		return
	}
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if c.out {
		c.out = false
		c.r.watcher.Silenced(time.Since(c.r.began), c.droplet)
	}
	if c.r.quitter != nil && !c.over {
		c.over = true
		c.r.quitter.Drop(time.Since(c.r.began), c.droplet)
	}
	c.r.unused = append(c.r.unused, c.droplet)
}
