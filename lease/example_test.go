package lease_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/leasestorm/leasestorm/lease"
)

// A lease is granted, renewed, and lost: by its deadline, and then for good by a sweep. The
// epoch of the next grant of its slot fences off whoever still holds the old ID.
func ExampleNewLockFree() {
	table, err := lease.NewLockFree(1000, 0)
	if err != nil {
		panic(err)
	}
	old, err := table.Grant(0, 10*time.Second, 0)
	if err != nil {
		panic(err)
	}
	fmt.Println("renewed:", table.Renew(old, 5*time.Second, 15*time.Second) == nil)
	fmt.Println("live at 20s:", table.Verify(old, 20*time.Second) == nil)
	fmt.Println("expired:", table.Expire(20*time.Second, func(id lease.ID) { fmt.Println("lapsed", id) }))

	now, err := table.Grant(21*time.Second, 31*time.Second, 0)
	if err != nil {
		panic(err)
	}
	fmt.Println("same slot, next epoch:", old, now)
	fmt.Println("old ID:", errors.Is(table.Verify(old, 22*time.Second), lease.ErrStale))
	// Output:
	// renewed: true
	// live at 20s: false
	// lapsed 0@1
	// expired: 1
	// same slot, next epoch: 0@1 0@2
	// old ID: true
}
