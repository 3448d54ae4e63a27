//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package files

import (
	"fmt"
	"os"
	"runtime"
)

// hold reports whether this process holds the lock: it created the file or, on Windows, the process
// that created it is gone.
func hold(file *os.File, made bool) bool {
	if made {
		return true
	}
	var maker int
	text := make([]byte, 200)
	n, _ := file.ReadAt(text, 0)
	if _, err := fmt.Sscanf(string(text[:n]), "process %d", &maker); err != nil || runtime.GOOS != "windows" {
		return false // on other systems FindProcess finds every number
	}
	p, err := os.FindProcess(maker)
	if err != nil {
		return true
	}
	_ = p.Release()
	return false
}

// release closes the file before it removes it: Windows removes no open file.
func release(l *Lock) {
	_ = l.file.Close()
	_ = os.Remove(l.path)
}
