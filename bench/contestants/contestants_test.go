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

// The workqueues are disciplines but for the order of client-go's, which nobody promises. That of
// controller-runtime has checks first.
func TestWorkqueues(t *testing.T) {
	for _, name := range []string{"client-go", "controller-runtime"} {
		q, err := queue.Make(name, queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		items := []queue.Item{
			{Droplet: 3, Born: 1, Class: queue.Establish}, {Droplet: 1, Born: 1}, {Droplet: 2, Born: 2}, {Droplet: 1, Born: 3},
		}
		if kept := q.Push(0, items); kept != 3 || items[3].Born != 1 || items[3].Why != queue.Displaced {
			t.Fatalf("%s: %d kept: %+v", name, kept, items)
		}
		dst := make([]queue.Item, 5)
		if n, _ := q.Pop(0, dst); n != 3 || q.Len() != 0 {
			t.Errorf("%s: %d taken, %d left", name, n, q.Len())
		}
		born := map[uint32]time.Duration{}
		for _, it := range dst[:3] {
			born[it.Droplet] = it.Born
		}
		if born[1] != 3 || born[2] != 2 || born[3] != 1 {
			t.Errorf("%s: taken %+v", name, dst[:3])
		}
		if name == "controller-runtime" && dst[2].Droplet != 3 {
			t.Errorf("an establish before a check: %+v", dst[:3])
		}
	}
}

// Libraries whose callers wait: each attempt has one end, the libraries refuse what is too much, and give
// up what waits too long.
func TestWaiting(t *testing.T) {
	for _, name := range []string{"failsafe-queueing", "failsafe-prioritized", "apf-queueset"} {
		q, err := queue.Make(name, queuetest.Config)
		if err != nil {
			t.Fatal(err)
		}
		const all = 10_000
		items := make([]queue.Item, all)
		for i := range items {
			items[i] = queue.Item{Droplet: uint32(i), Timeout: queue.ToMicros(20 * time.Second), Class: queue.Establish}
		}
		kept := q.Push(0, items)
		if kept == 0 || kept == all || items[kept].Why != queue.Full {
			t.Fatalf("%s: %d of %d kept", name, kept, all)
		}
		// A worker serves half of them.
		worker, dst, seen := q.(queue.Sharder).View(0), make([]queue.Item, 8), map[uint32]int{}
		for taken := 0; taken < kept/2; {
			n, dropped := worker.Pop(time.Second, dst)
			if n > 1 || dropped > 0 {
				t.Fatalf("%s: %d taken and %d dropped at once", name, n, dropped)
			}
			for _, it := range dst[:n] {
				seen[it.Droplet]++
			}
			taken += n
		}
		if q.Len() != kept-kept/2 {
			t.Errorf("%s: %d wait, want %d", name, q.Len(), kept-kept/2)
		}
		// The others come out, too.
		for q.Len() > 0 {
			n, _ := q.Pop(time.Second, dst)
			for _, it := range dst[:n] {
				seen[it.Droplet]++
			}
		}
		if len(seen) != kept {
			t.Errorf("%s: %d came out, %d went in", name, len(seen), kept)
		}
	}
}

// What waits past its time is dropped, and not served.
func TestWaitingGivesUp(t *testing.T) {
	for _, name := range []string{"failsafe-queueing", "apf-queueset"} {
		cfg := queuetest.Config
		cfg.Workers = 1
		q, err := queue.Make(name, cfg)
		if err != nil {
			t.Fatal(err)
		}
		items := make([]queue.Item, 100)
		for i := range items {
			items[i] = queue.Item{Droplet: uint32(i), Timeout: queue.ToMicros(200 * time.Millisecond), Class: queue.Check}
		}
		kept := q.Push(0, items)
		time.Sleep(400 * time.Millisecond) // the library's own clock
		dst := make([]queue.Item, 200)
		total, given := 0, 0
		for q.Len() > 0 {
			n, dropped := q.Pop(time.Second, dst)
			total, given = total+n+dropped, given+dropped
			for _, it := range dst[len(dst)-dropped:] {
				if it.Why != queue.Expired {
					t.Fatalf("%s: dropped as %v", name, it.Why)
				}
			}
		}
		if total != kept || given == 0 {
			t.Errorf("%s: %d of %d came out, %d of them given up", name, total, kept, given)
		}
	}
}
