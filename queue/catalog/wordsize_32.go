//go:build 386 || arm || mips || mipsle

package catalog

// Leases, queues and counters are 64-bit words that are read and swapped whole, and a 32-bit
// architecture does not align them. Every package of the module needs this one, so that the
// build ends here.
const _ = leasestorm_needs_a_64_bit_architecture
