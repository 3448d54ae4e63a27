package engine

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/bench/host"
	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/queue"
)

// slowTable keeps its callers waiting.
type slowTable struct{ lease.Table }

const callTakes = 200 * time.Microsecond

func (s slowTable) Renew(id lease.ID, now, deadline time.Duration) error {
	time.Sleep(callTakes)
	return s.Table.Renew(id, now, deadline)
}

// A call that keeps a worker waiting is a part of the service, also of one after which nothing waits.
func TestBlockingCallsAreService(t *testing.T) {
	const droplets = 300
	table, err := lease.NewMutex(droplets + 64)
	if err != nil {
		t.Fatal(err)
	}
	plan := planWith(t, droplets, slowTable{table})
	plan.Blocking, plan.End = true, 100*time.Millisecond
	r := &Real{Batch: 1, Blocks: Blocks{1, 1, 1}, Placement: host.ReadTopology().Place(1), Idle: "park"}
	if _, err := r.Run(t.Context(), plan); err != nil {
		t.Fatal(err)
	}
	total := plan.Log.Total()
	checks := total.Done[queue.Good][queue.Check]
	if least := time.Duration(checks) * callTakes; checks == 0 || total.Busy < least {
		t.Errorf("%d checks took %v, want %v or more", checks, total.Busy, least)
	}
}
