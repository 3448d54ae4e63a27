//go:build !unix

package cli

import (
	"os"
	"syscall"
)

// endings are the signals that end a command with what is finished; a console that is
// closed sends SIGTERM on Windows.
func endings() []os.Signal { return []os.Signal{os.Interrupt, syscall.SIGTERM} }

func writeToClosed() {}
