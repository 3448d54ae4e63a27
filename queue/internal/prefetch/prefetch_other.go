//go:build !amd64 || race || purego

package prefetch

import "unsafe"

// Write does nothing here.
func Write(unsafe.Pointer, int) {}
