package host

//go:noescape
func rdtsc() uint64

// hasTSC is set if the architecture has a time stamp counter. trustTSC tells whether to use it.
const hasTSC = true
