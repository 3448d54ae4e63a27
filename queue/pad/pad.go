// Package pad keeps values that different workers write off each other's cache lines.
package pad

import "github.com/leasestorm/leasestorm/queue/catalog"

// Bytes is the gap that does it. Lines are 64 bytes on most hosts and 128 on some, and on
// x86 the prefetcher pulls lines in pairs; 128 does for all of them, whatever the values'
// own alignment.
const Bytes = 128

// Param lets a part be made without its gaps.
var Param = catalog.Param{Name: "pad", Unit: "1", Default: 1, Min: 0, Max: 1,
	Doc: "1: keep what different workers write off each other's cache lines; 0: do not, to see what it is worth"}

// Apart makes n values, with a gap behind each if so asked, else side by side.
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
