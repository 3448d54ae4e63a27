package lease

import (
	"go.uber.org/atomic"
)

// A scan reads the words of one block for a sweep at now, in ticks. It returns the
// earliest deadline that is after now, less one (noDeadline if there is none), and in due a
// bit for each word whose deadline is at or before now, 64 words an element.
//
// A deadline less one, as an unsigned number, is what makes this cheap: a free word's 0
// becomes the largest number there is, so "due" is one comparison and "earliest" one
// minimum, without asking which words are free.
//
// The vector forms read without atomic operations while others write. That is a filter:
// each word found due is looked at again, atomically, before anything is done to it, and
// a bound from a word that was renewed meanwhile is only lower than it need be. What is
// granted after the scan has read its word lowers the bound itself.
type scan struct {
	name string
	// words are the block's blockWords words.
	do func(words []atomic.Uint64, now uint32) (least uint32, due [mapWords]uint64)
}

// scalar is the form for every machine, and the race detector's.
var scalar = scan{"scalar", func(words []atomic.Uint64, now uint32) (least uint32, due [mapWords]uint64) {
	least = noDeadline
	for g := range due {
		mask := uint64(0)
		for i := range 64 {
			x := uint32(words[g*64+i].Load()) - 1
			if x < now {
				mask |= 1 << i
			} else {
				least = min(least, x)
			}
		}
		due[g] = mask
	}
	return least, due
}}

// scans are the forms that this machine can run, the fastest last.
var scans = append([]scan{scalar}, vectorScans()...)

// ScanForm returns the instruction set with which lock-free tables of this process look for
// lapsed leases: "scalar", "avx2" or "avx512".
func ScanForm() string { return scans[len(scans)-1].name }
