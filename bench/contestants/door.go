package main

import (
	"sync"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/catalog"
)

// done tells a library the end of an attempt that it let in: whether it was good, and
// whether it says anything (a failed call to the dependency says nothing of the queue).
type done func(out queue.Outcome)

// permit asks a library for one attempt; nil is no. Libraries that need nothing at the end
// return nothing.
type permit func(now time.Duration, it *queue.Item) (end done, ok bool)

// nothing is the end of an attempt whose library is not told of it.
func nothing(queue.Outcome) {}

// door puts a library's limiter at the manager's door. Attempts are asked for one by one, as
// a server does with requests; what a library hands back for each is kept until its end.
type door struct {
	ask permit
	// establishes alone are asked for, as a rate is meant; else every class.
	establishes bool

	mu     sync.Mutex
	inside map[attempt]done // guarded by mu
}

type attempt struct {
	droplet uint32
	class   queue.Class
	born    time.Duration
}

// Admit implements admit.Controller.
func (d *door) Admit(now time.Duration, items []queue.Item, _ func() int) (admitted int) {
	for i := range items {
		it := &items[i]
		if !d.establishes || it.Class == queue.Establish {
			end, ok := d.ask(now, it)
			if !ok {
				it.Why = queue.Refused
				it.SetRetryAfter(0)
				continue
			}
			d.mu.Lock()
			d.inside[attempt{it.Droplet, it.Class, it.Born}] = end
			d.mu.Unlock()
		}
		if i != admitted {
			*it, items[admitted] = items[admitted], *it
		}
		admitted++
	}
	return admitted
}

// Done implements admit.Controller.
func (d *door) Done(now time.Duration, it *queue.Item, _ time.Duration, out queue.Outcome) {
	if d.establishes && it.Class != queue.Establish {
		return
	}
	if out == queue.Shed && it.Why == queue.Cancelled && now < it.Deadline() {
		out = queue.Failed // its request was answered by another attempt: it says nothing of the queue
	}
	k := attempt{it.Droplet, it.Class, it.Born}
	d.mu.Lock()
	end := d.inside[k]
	delete(d.inside, k)
	d.mu.Unlock()
	if end != nil {
		end(out)
	}
}

// enter lists a library's limiter.
func enter(name, doc, source string, hostClock, establishes bool, make func(cfg admit.Config) (permit, error)) {
	admit.Controllers.Register(catalog.Entry[admit.New]{
		Name: name, Doc: doc, Source: source, HostClock: hostClock,
		New: func(cfg admit.Config, _ catalog.Values) (admit.Controller, error) {
			ask, err := make(cfg)
			if err != nil {
				return nil, err
			}
			return &door{ask: ask, establishes: establishes, inside: map[attempt]done{}}, nil
		},
	})
}
