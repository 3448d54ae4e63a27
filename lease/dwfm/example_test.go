package dwfm_test

import (
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/lease"
	"github.com/leasestorm/leasestorm/lease/dwfm"
	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// A manager grants a lease to a droplet that asks in time. To one whose attempt has waited
// too long it does the same work, for nothing.
func Example() {
	table, err := lease.NewMutex(10)
	if err != nil {
		panic(err)
	}
	manager, err := dwfm.New(dwfm.Config{
		Droplets: 10, TTL: time.Minute,
		Table: table, Queue: queue.NewFIFO(), Admit: admit.NewNone(),
	})
	if err != nil {
		panic(err)
	}
	worker := manager.Worker(0)

	timeout := queue.ToMicros(time.Second)
	manager.Offer(0, []queue.Item{
		{Droplet: 1, Class: queue.Establish, Timeout: timeout},
		{Droplet: 2, Class: queue.Establish, Timeout: timeout},
	})
	now, batch := 600*time.Millisecond, make([]queue.Item, 2)
	taken, _ := worker.Take(now, batch)
	for i := range batch[:taken] {
		done := now + 300*time.Millisecond // the service
		var answer dwfm.Answer
		worker.Complete(now, done, &batch[i], &answer)
		fmt.Println("droplet", answer.Droplet, answer.Outcome, answer.Until)
		now = done
	}
	fmt.Println(manager.Live(), "lease")
	// Output:
	// droplet 1 good 1m0.9s
	// droplet 2 late 0s
	// 1 lease
}
