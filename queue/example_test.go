package queue_test

import (
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/queue"
)

// A deadline queue drops attempts whose clients no longer wait, or will have given up before
// the service ends.
func ExampleNewDeadline() {
	q, err := queue.NewDeadline(queue.Margin{queue.Check: 5 * time.Millisecond})
	if err != nil {
		panic(err)
	}
	timeout := queue.ToMicros(time.Second)
	q.Push(0, []queue.Item{
		{Droplet: 1, Born: 0, Timeout: timeout},
		{Droplet: 2, Born: 800 * time.Millisecond, Timeout: timeout},
	})
	batch := make([]queue.Item, 8)
	taken, dropped := q.Pop(997*time.Millisecond, batch) // droplet 1 has 3 ms left
	for _, it := range batch[:taken] {
		fmt.Println("serve droplet", it.Droplet)
	}
	for _, it := range batch[len(batch)-dropped:] {
		fmt.Println("drop droplet", it.Droplet, "because", it.Why)
	}
	// Output:
	// serve droplet 2
	// drop droplet 1 because expired
}

// A composition around a bounded queue: the newest attempt of each droplet takes the place of
// its older one, and what finds no room is turned away.
func ExampleNewCoalesce() {
	bounded, err := queue.NewBounded(2)
	if err != nil {
		panic(err)
	}
	q := queue.NewCoalesce(bounded)
	items := []queue.Item{{Droplet: 1}, {Droplet: 2}, {Droplet: 1, Born: 1}, {Droplet: 3}}
	kept := q.Push(0, items)
	for _, it := range items[kept:] {
		fmt.Println("droplet", it.Droplet, it.Why)
	}
	fmt.Println(q.Len(), "wait")
	// Output:
	// droplet 3 full
	// droplet 1 displaced
	// 2 wait
}

// Make builds a discipline from text, as scenarios and flags name it.
func ExampleMake() {
	cfg := queue.Config{Workers: 4, Service: [queue.Classes]time.Duration{queue.Check: time.Millisecond}}
	q, err := queue.Make("percore+deadline:margin=2", cfg)
	if err != nil {
		panic(err)
	}
	q.Push(0, make([]queue.Item, 10))
	fmt.Println(q.Len())

	_, err = queue.Make("deadline:margins=2", cfg)
	fmt.Println(err)
	// Output:
	// 10
	// queue discipline "deadline": bad parameter: no parameter "margins"; there are: margin
}
