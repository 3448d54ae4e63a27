//go:build !amd64

package host

func rdtsc() uint64 { return 0 }

const hasTSC = false
