package dwfm_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// away is a table whose process answers only while there is set.
type away struct {
	lease.Table
	there bool
	calls int // while it was away
}

var errAway = fmt.Errorf("%w: %w", lease.ErrFailed, errors.New("no answer"))

func (a *away) fails() bool {
	if !a.there {
		a.calls++
	}
	return !a.there
}

func (a *away) Grant(now, deadline time.Duration, worker int) (lease.ID, error) {
	if a.fails() {
		return 0, errAway
	}
	return a.Table.Grant(now, deadline, worker)
}

func (a *away) Renew(id lease.ID, now, deadline time.Duration) error {
	if a.fails() {
		return errAway
	}
	return a.Table.Renew(id, now, deadline)
}

func (a *away) Regrant(id lease.ID, now, deadline time.Duration) (lease.ID, error) {
	if a.fails() {
		return 0, errAway
	}
	return a.Table.Regrant(id, now, deadline)
}

func (a *away) Verify(id lease.ID, now time.Duration) error {
	if a.fails() {
		return errAway
	}
	return a.Table.Verify(id, now)
}

// An attempt whose table does not answer has failed, and the lease is as before. Each attempt asks once.
func TestTableThatFails(t *testing.T) {
	table, err := lease.NewMutex(10)
	if err != nil {
		t.Fatal(err)
	}
	far := &away{Table: table, there: true}
	m, err := dwfm.New(dwfm.Config{Droplets: 10, TTL: time.Minute, Table: far, Queue: queue.NewFIFO(), Admit: admit.NewNone()})
	if err != nil {
		t.Fatal(err)
	}
	w := m.Worker(0)
	id, err := m.Seed(0, 10*sec, 3)
	if err != nil {
		t.Fatal(err)
	}
	do := func(class queue.Class, want queue.Outcome) {
		t.Helper()
		it := queue.Item{Timeout: queue.ToMicros(sec), Droplet: 3, Class: class, Lease: uint64(id)}
		var a dwfm.Answer
		if w.Complete(0, 1, &it, &a); a.Outcome != want {
			t.Errorf("%v: %v, want %v", class, a.Outcome, want)
		}
	}
	far.there = false
	for class := range queue.Classes {
		do(class, queue.Failed)
	}
	if far.calls != int(queue.Classes) || m.Live() != 1 {
		t.Errorf("%d calls and %d live, want %d and 1", far.calls, m.Live(), queue.Classes)
	}
	far.there = true
	for _, class := range []queue.Class{queue.Check, queue.Launch, queue.Establish} {
		do(class, queue.Good)
	}
}
