package host

//go:noescape
func rdtsc() uint64

// hasTSC says that this architecture has the counter; whether it may be trusted is the
// kernel's to say.
const hasTSC = true
