package huge

import "golang.org/x/sys/unix"

// advise asks for huge pages. Without them everything works as before, so an error is no matter.
// It takes numbers, since the range has more than one object of the heap.
func advise(from, bytes uintptr) {
	_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, bytes, unix.MADV_HUGEPAGE)
}
