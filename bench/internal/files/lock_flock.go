//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package files

import (
	"errors"
	"os"
	"syscall"
)

// hold locks the file until it is closed, and reports success. On a file system without locks, the
// process that created the file holds the lock.
func hold(file *os.File, made bool) bool {
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return true
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			return false
		default:
			return made
		}
	}
}

// release removes the file before it gives up the lock. Otherwise another process could lock the
// file just before its removal.
func release(l *Lock) {
	_ = os.Remove(l.path)
	_ = l.file.Close()
}
