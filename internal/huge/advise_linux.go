package huge

import "golang.org/x/sys/unix"

// advise asks for huge pages. Without them everything works as before, so an error is no matter.
func advise(b []byte) { _ = unix.Madvise(b, unix.MADV_HUGEPAGE) }
