//go:build interleave

package queue

import "testing"

// A push that overlaps the switch and a pop is not lost.
func TestInterleaveSwitch(t *testing.T) {
	for _, tt := range []program{
		{threads: []string{"+2", "! -1", "-1"}},
		{before: "+1", threads: []string{"+1", "!", "-1 -1", "+1"}},
		{before: "! +1", threads: []string{"+1", "! -2", "-1"}},
	} {
		walkProgram(t, tt, 2, false, func() Discipline {
			sizes := fifoSizes{4, 4, 1}
			return NewSwitch(newFifoLockFree(sizes, false), newFifoLockFree(sizes, false))
		})
	}
}
