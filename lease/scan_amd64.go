//go:build !race && !purego

package lease

import (
	"unsafe"

	"github.com/klauspost/cpuid/v2"
	"go.uber.org/atomic"
)

//go:noescape
func scanAVX2(words *uint64, now uint32, due *uint64) uint32

//go:noescape
func scanAVX512(words *uint64, now uint32, due *uint64) uint32

func vectorScans() []scan {
	form := func(name string, f func(*uint64, uint32, *uint64) uint32) scan {
		return scan{name, func(words []atomic.Uint64, now uint32, due *[mapWords]uint64) uint32 {
			_ = words[blockWords-1]
			return f((*uint64)(unsafe.Pointer(&words[0])), now, &due[0])
		}}
	}
	var all []scan
	if cpuid.CPU.Supports(cpuid.AVX2) {
		all = append(all, form("avx2", scanAVX2))
	}
	if cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ) {
		all = append(all, form("avx512", scanAVX512))
	}
	return all
}
