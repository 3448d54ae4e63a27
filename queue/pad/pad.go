// Package pad keeps values that different workers write on separate cache lines, so that one
// worker's writes do not slow another's (false sharing).
package pad

import "github.com/leasestorm/leasestorm/queue/catalog"

// Bytes is the size of a padding: the one constant for all of them. Cache lines have 64 bytes on
// most hosts and 128 on some. On x86 the prefetcher fetches lines of 64 bytes in pairs. A gap
// of 128 bytes is enough on all of these, whatever the alignment of the values.
const Bytes = 128

// Param is the catalog parameter that turns padding off, to measure its worth.
var Param = catalog.Param{Name: "pad", Unit: "1", Default: 1, Min: 0, Max: 1,
	Doc: "1: keep what different workers write off each other's cache lines; 0: do not, to see what it is worth"}

// Apart allocates n values: with padding behind each if apart is true, else side by side.
func Apart[T any](n int, apart bool) []*T {
	all := make([]*T, n)
	if apart {
		wide := make([]struct {
			v T
			_ [Bytes]byte
		}, n)
		for i := range all {
			all[i] = &wide[i].v
		}
		return all
	}
	side := make([]T, n)
	for i := range all {
		all[i] = &side[i]
	}
	return all
}
