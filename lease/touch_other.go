//go:build !amd64 || race || purego

package lease

import "go.uber.org/atomic"

// touch loads the words of a batch's slots, one after the other without waiting.
func touch(words []atomic.Uint64, ids []ID) {
	for _, id := range ids {
		if i := id.Slot(); uint64(i) < uint64(len(words)) {
			words[i].Load()
		}
	}
}
