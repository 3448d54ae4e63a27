package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"go.uber.org/atomic"

	"github.com/leasestorm/leasestorm/bench/client"
	"github.com/leasestorm/leasestorm/queue"
)

// A Rate is what a service does at a number of calls at a time, in a closed loop: the next call begins
// when the last has ended.
type Rate struct {
	Clients   int     `json:"clients"`       // calls at a time
	PerSecond float64 `json:"per_s"`         // good answers
	Mean      float64 `json:"mean_s"`        // time of a good answer
	Good      int     `json:"good"`          // answers
	Bad       int     `json:"bad"`           // calls that ended otherwise
	Why       string  `json:"why,omitempty"` // the last of them
}

// plateau is the growth of the rate below which more clients bring no more.
const plateau = 1.05

// errNoAnswer is returned, wrapped, when a service gives no good answer at all.
var errNoAnswer = errors.New("the service gives no good answer")

// saturate doubles the calls at a time until the rate of good answers grows no more, and returns all
// rates. next draws the droplets, and returns false when there is none left: then the rate so far is
// the last. Each rate is measured for at least so long, unless the droplets end before. good, if not nil,
// hears of each good answer; neither it nor next is called twice at a time.
func saturate(ctx context.Context, p client.Protocol, class queue.Class, timeout time.Duration, most int, least time.Duration, next func() (uint32, bool), good func(droplet uint32)) ([]Rate, error) {
	var rates []Rate
	best := 0.0
	for clients := 1; clients <= most; clients *= 2 {
		r, more, err := closedLoop(ctx, p, class, clients, timeout, least, next, good)
		if err != nil {
			return rates, err
		}
		if r.Good == 0 && r.Bad > 0 {
			return rates, fmt.Errorf("%w to a lone %s: %s", errNoAnswer, class, r.Why)
		}
		rates = append(rates, r)
		if !more || r.Bad > r.Good/10 || r.PerSecond < plateau*best || r.Mean > timeout.Seconds()/4 {
			break
		}
		best = max(best, r.PerSecond)
	}
	return rates, nil
}

// settleTimeouts is for how many timeouts a service is waited for that answers late.
const settleTimeouts = 10

// settle waits while a lone establish is answered late: the service may be at work for clients of an
// earlier run that have left. Whatever else it answers is no reason to wait. next draws droplets.
func settle(ctx context.Context, p client.Protocol, timeout time.Duration, next func() (uint32, bool), say func(format string, args ...any)) error {
	for began := time.Now(); time.Since(began) < settleTimeouts*timeout; {
		asked := false
		r, more, err := closedLoop(ctx, p, queue.Establish, 1, timeout, time.Hour, func() (uint32, bool) {
			if asked {
				return 0, false
			}
			asked = true
			return next()
		}, nil)
		late := strings.HasPrefix(r.Why, queue.Late.String()+" ")
		if err != nil || r.Good > 0 || !late || !more && !asked {
			return err
		}
		say("the service answers late: it may still be at work for clients that have left; up to %v are left to wait", (settleTimeouts*timeout - time.Since(began)).Round(time.Second))
	}
	return nil
}

// highest is the highest of the rates.
func highest(rates []Rate) (best Rate) {
	for _, r := range rates {
		if r.PerSecond > best.PerSecond {
			best = r
		}
	}
	return best
}

// closedLoop makes calls, so many at a time. more is false when the droplets have ended.
func closedLoop(ctx context.Context, p client.Protocol, class queue.Class, clients int, timeout, least time.Duration, next func() (uint32, bool), good func(droplet uint32)) (_ Rate, more bool, err error) {
	var mu sync.Mutex // guards next, good, more and rate
	more = true
	rate := Rate{Clients: clients}
	sum := time.Duration(0)
	began := time.Now()
	now := func() time.Duration { return time.Since(began) }
	var over atomic.Bool
	one := func() {
		var conn client.Conn
		defer func() {
			if conn != nil {
				conn.Close()
			}
		}()
		for ctx.Err() == nil && !over.Load() && now() < least {
			mu.Lock()
			droplet, ok := next()
			more = more && ok
			mu.Unlock()
			if !ok {
				return
			}
			r := client.Reply{Status: -1, Attempt: queue.Item{Droplet: droplet, Class: class, Born: now(), Timeout: queue.ToMicros(timeout)}}
			deadline := time.Now().Add(timeout)
			kind, cause := client.Answered, error(nil)
			if conn == nil {
				dial, cancel := context.WithDeadline(ctx, deadline)
				if conn, cause = p.Connect(dial); cause != nil {
					kind, r.Outcome, conn = client.KindOf(cause), queue.Failed, nil
				}
				cancel()
			}
			if conn != nil {
				if !conn.Call(deadline, now, &r) {
					conn.Close()
					conn = nil
				}
				kind = r.Kind
			}
			took := now() - r.Born
			mu.Lock()
			if r.Outcome == queue.Good {
				rate.Good++
				sum += took
				if good != nil {
					good(droplet)
				}
			} else {
				rate.Bad++
				rate.Why = fmt.Sprintf("%s (%s)", r.Outcome, kind)
				if r.Status >= 0 {
					rate.Why = fmt.Sprintf("%s (status %s)", r.Outcome, client.StatusName(r.Status))
				}
				if cause != nil {
					rate.Why = cause.Error()
				}
			}
			full := rate.Bad >= 20 && rate.Good == 0
			mu.Unlock()
			if full {
				over.Store(true)
			}
		}
	}
	var all sync.WaitGroup
	for range clients {
		all.Go(one)
	}
	all.Wait()
	if span := now().Seconds(); span > 0 {
		rate.PerSecond = float64(rate.Good) / span
	}
	if rate.Good > 0 {
		rate.Mean = sum.Seconds() / float64(rate.Good)
	}
	return rate, more, ctx.Err()
}
