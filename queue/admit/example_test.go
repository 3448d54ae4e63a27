package admit_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/leasestorm/leasestorm/queue"
	"github.com/leasestorm/leasestorm/queue/admit"
)

// A token bucket of 10 attempts per second with room for two tells those that it refuses when
// to come back.
func ExampleNewTokenBucket() {
	bucket, err := admit.NewTokenBucket(admit.TokenBucketOptions{PerSecond: 10, Burst: 2})
	if err != nil {
		panic(err)
	}
	items := make([]queue.Item, 4)
	for i := range items {
		items[i] = queue.Item{Droplet: uint32(i), Class: queue.Establish}
	}
	admitted := bucket.Admit(0, items, admit.Queued(0))
	fmt.Println(admitted, "admitted")
	for _, it := range items[admitted:] {
		fmt.Println("droplet", it.Droplet, it.Why, "retry after", it.RetryAfter())
	}
	// Output:
	// 2 admitted
	// droplet 2 refused retry after 100ms
	// droplet 3 refused retry after 200ms
}

// A controller that counts what is inside must be told of each end.
func ExampleNewLimit() {
	limit, err := admit.NewLimit(1)
	if err != nil {
		panic(err)
	}
	first, second := make([]queue.Item, 1), make([]queue.Item, 1)
	fmt.Println(limit.Admit(0, first, admit.Queued(0)))
	fmt.Println(limit.Admit(0, second, admit.Queued(0)), second[0].Why)
	limit.Done(time.Millisecond, &first[0], 0, queue.Good)
	fmt.Println(limit.Admit(time.Millisecond, second, admit.Queued(0)))
	// Output:
	// 1
	// 0 refused
	// 1
}

// Backoff draws the wait below a bound that doubles with each failure in a row.
func ExampleNewBackoff() {
	policy, err := admit.NewBackoff(100*time.Millisecond, time.Second)
	if err != nil {
		panic(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for tries := 1; tries <= 5; tries++ {
		wait := policy.Wait(admit.Failure{Tries: tries}, rng)
		fmt.Println(tries, wait <= min(100*time.Millisecond<<(tries-1), time.Second))
	}
	fmt.Println("longest", policy.(admit.Longest).Longest())
	// Output:
	// 1 true
	// 2 true
	// 3 true
	// 4 true
	// 5 true
	// longest 1s
}
