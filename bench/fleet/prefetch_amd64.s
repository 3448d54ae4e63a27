//go:build !race && !purego

#include "textflag.h"

// func prefetchAll(at *unsafe.Pointer, n int)
// A prefetch retires without its data, which a load does not: what follows goes on.
TEXT ·prefetchAll(SB), NOSPLIT, $0-16
	MOVQ at+0(FP), SI
	MOVQ n+8(FP), CX
loop:
	MOVQ (SI), AX
	PREFETCHT0 (AX)
	ADDQ $8, SI
	DECQ CX
	JNZ loop
	RET
