//go:build !race && !purego

package lease

import (
	"unsafe"

	"go.uber.org/atomic"
)

//go:noescape
func touchWords(words *uint64, ids *ID, n int)

// touch asks for the words of a batch's slots, one after the other without waiting.
func touch(words []atomic.Uint64, ids []ID) {
	if len(ids) > 0 {
		touchWords((*uint64)(unsafe.Pointer(&words[0])), &ids[0], len(ids))
	}
}
