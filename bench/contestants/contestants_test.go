package main

import (
	"testing"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
	"github.com/leasestorm/leasestorm/queue/queuetest"
)

// Each adapter lets somebody in, and forgets what has ended.
func TestDoors(t *testing.T) {
	cfg := admit.Config{Timeout: time.Second, Capacity: 1000, Rho: 0.25, Workers: 1}
	for _, e := range admit.Controllers.List() {
		c, err := admit.Make(e.Name, cfg)
		if err != nil {
			t.Fatal(err)
		}
		d, ours := c.(*door)
		if !ours {
			continue
		}
		t.Run(e.Name, func(t *testing.T) {
			for i := range 200 {
				items := []queue.Item{
					{Droplet: uint32(i), Born: time.Duration(i), Class: queue.Establish}, {Droplet: uint32(i), Born: time.Duration(i), Class: queue.Check},
				}
				n := c.Admit(time.Duration(i)*time.Millisecond, items, admit.Queued(0))
				if i == 0 && n != 2 {
					t.Fatalf("%d of the first 2 let in", n)
				}
				for k := range items[:n] {
					c.Done(time.Duration(i)*time.Millisecond, &items[k], 0, queue.Good)
				}
			}
			if len(d.inside) != 0 {
				t.Errorf("%d attempts are still inside", len(d.inside))
			}
		})
	}
}

// The workqueue is a discipline but for its order, which nobody promises.
func TestWorkqueue(t *testing.T) {
	q, err := queue.Make("client-go", queuetest.Config)
	if err != nil {
		t.Fatal(err)
	}
	items := []queue.Item{{Droplet: 1, Born: 1}, {Droplet: 2, Born: 2}, {Droplet: 1, Born: 3}}
	if kept := q.Push(0, items); kept != 2 || items[2].Born != 1 || items[2].Why != queue.Displaced {
		t.Fatalf("%d kept: %+v", kept, items)
	}
	dst := make([]queue.Item, 5)
	if n, _ := q.Pop(0, dst); n != 2 || dst[0].Born != 3 || dst[1].Born != 2 || q.Len() != 0 {
		t.Errorf("%d taken: %+v", n, dst[:n])
	}
}
