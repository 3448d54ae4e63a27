package shield

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue/admit"
)

// Retrier is a retry policy of this module's table for the requests of one client, which are one droplet to
// the policy. A [Client] waits by it, and so can clients of other protocols. It is safe for concurrent use.
type Retrier struct {
	timeout time.Duration
	began   time.Time
	mu      sync.Mutex // guards policy and rng: a policy's calls come from one goroutine at a time
	policy  admit.Retry
	rng     *rand.Rand
}

// NewRetrier makes a Retrier. policy is as admit.MakeRetry takes it, for example "retry-budget"; "":
// "backoff". timeout is that of one try, by which policies reckon. seed is that of the waits' randomness; 0: a
// random one.
func NewRetrier(policy string, timeout time.Duration, seed uint64) (*Retrier, error) {
	if timeout <= 0 {
		return nil, fmt.Errorf("shield: Timeout %v: want more than 0", timeout)
	}
	if policy == "" {
		policy = "backoff"
	}
	p, err := admit.MakeRetry(policy, timeout)
	if err != nil {
		return nil, fmt.Errorf("shield: Retry: %w", err)
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	return &Retrier{timeout: timeout, began: time.Now(), policy: p, rng: rand.New(rand.NewPCG(seed, 0))}, nil
}

// Failed returns the wait after a failed try: as the policy says, and at least after, the wait for which the
// server asked. tries counts the failures in a row, this one included. prev is the wait before this try.
func (r *Retrier) Failed(tries int, prev, after time.Duration) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := admit.Failure{Tries: tries, Prev: prev, Timeout: r.timeout, After: after, Now: time.Since(r.began)}
	return max(r.policy.Wait(f, r.rng), after)
}

// Good tells the policy of a good answer.
func (r *Retrier) Good() {
	l, ok := r.policy.(admit.Learner)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l.Good(time.Since(r.began), 0)
}
