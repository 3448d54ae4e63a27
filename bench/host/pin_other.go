//go:build !linux

package host

import (
	"errors"
	"runtime"
	"time"
)

func allowed() []int { return first(runtime.NumCPU()) }

// Pin binds the calling goroutine to its thread. On this system it does not bind the thread to a
// processor.
func Pin(int) error {
	runtime.LockOSThread()
	return nil
}

func ownUsage() (switches, faults int64) { return 0, 0 }

// Hurry binds the calling goroutine to its thread. On this system it has no priority.
func Hurry() error {
	runtime.LockOSThread()
	return errors.New("host: priority: not on this system")
}

// Doze sleeps for d.
func Doze(d time.Duration) { time.Sleep(d) }
