//go:build !linux

package host

import "runtime"

func allowed() []int { return first(runtime.NumCPU()) }

// Pin binds the calling goroutine to its thread. On this system it does not bind the thread to a
// processor.
func Pin(int) error {
	runtime.LockOSThread()
	return nil
}

func ownUsage() (switches, faults int64) { return 0, 0 }
