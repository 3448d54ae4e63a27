package host

import (
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allowed lists the IDs of the processors in this thread's affinity mask.
func allowed() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return first(runtime.NumCPU())
	}
	var ids []int
	for i := 0; len(ids) < set.Count(); i++ {
		if set.IsSet(i) {
			ids = append(ids, i)
		}
	}
	return ids
}

// Pin binds the calling goroutine to its thread, and the thread to the processor with the ID cpu.
// The goroutine must end without runtime.UnlockOSThread: then its thread ends as well, and no other
// goroutine inherits the thread's affinity mask.
func Pin(cpu int) error {
	runtime.LockOSThread()
	var set unix.CPUSet
	set.Set(cpu)
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return fmt.Errorf("host: pinning to processor %d: %w", cpu, err)
	}
	return nil
}

// ownUsage returns this process's involuntary context switches and major page faults.
func ownUsage() (switches, faults int64) {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0, 0
	}
	return int64(r.Nivcsw), int64(r.Majflt) //nolint:unconvert // 32 bits on some architectures
}

// Hurry binds the calling goroutine to its thread and lets the thread go before all others of this host, as
// far as this process may ask for that. The goroutine must end without runtime.UnlockOSThread, as with Pin.
func Hurry() error {
	runtime.LockOSThread()
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), -20); err != nil {
		return fmt.Errorf("host: priority: %w", err)
	}
	return nil
}

// Doze sleeps for d on the calling goroutine's thread and keeps Go's processor meanwhile, so that no other
// goroutine is ahead of the caller when it wakes. It is for short times: a garbage collection waits for it.
func Doze(d time.Duration) {
	ts := unix.NsecToTimespec(d.Nanoseconds())
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&ts)), 0, 0)
}
