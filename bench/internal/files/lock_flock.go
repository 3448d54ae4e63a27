//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package files

import (
	"errors"
	"os"
	"syscall"
)

// hold locks the file for as long as it is open. Where the file system has no locks, the
// process that has made the file holds it.
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

// release removes the name while it is still locked, so that nobody locks a file that is
// removed thereafter.
func release(l *Lock) {
	_ = os.Remove(l.path)
	_ = l.file.Close()
}
