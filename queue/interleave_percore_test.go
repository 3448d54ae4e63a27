//go:build interleave

package queue

import "testing"

// Workers that pop from their views of a queue in parts find what stands ready in any part,
// though a pusher of another part is between its reservation and its items.
func TestInterleavePercore(t *testing.T) {
	for _, tt := range []program{
		{before: "+3", threads: []string{"-2", "+4"}, taken: 1},
		{before: "+2 +1", threads: []string{"-1 -1 -1", "+4", "+2"}, taken: 3},
		{threads: []string{"-1 -1", "-2", "+1 +2"}},
	} {
		walkProgram(t, tt, 2, false, func() Discipline {
			sizes := fifoSizes{4, 4, 1}
			return &percore{parts: []Discipline{newFifoLockFree(sizes, false), newFifoLockFree(sizes, false)}}
		})
	}
}
