//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// endings are the signals that end a command with what is finished: Ctrl-C, kill, and a
// terminal that is closed. What whoever started it has had ignored, as nohup does, stays so.
func endings() (all []os.Signal) {
	for _, s := range []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			all = append(all, s)
		}
	}
	return all
}

// writeToClosed makes a write to a pipe that nobody reads an error, on stdout and stderr as
// elsewhere: it would end the process in the middle of a run.
func writeToClosed() { signal.Ignore(syscall.SIGPIPE) }
