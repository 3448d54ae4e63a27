//go:build !linux

package huge

func advise(uintptr, uintptr) {}
