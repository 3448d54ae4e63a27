//go:build unix

package main

import (
	"syscall"
	"time"
)

// cpuTime is what this process has spent, in user and system; 0: not known. The clients' target is another process.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
