//go:build !race && !purego

#include "textflag.h"

// func prefetch(first *droplet, ids *uint32, n int)
// A prefetch retires without its data, which a load does not: what follows goes on.
TEXT ·prefetch(SB), NOSPLIT, $0-24
	MOVQ first+0(FP), SI
	MOVQ ids+8(FP), DI
	MOVQ n+16(FP), CX
loop:
	MOVL (DI), AX
	CMPL AX, $-1               // nobody
	JEQ next
	SHLQ $5, AX                // 32 bytes each
	PREFETCHT0 (SI)(AX*1)
next:
	ADDQ $4, DI
	DECQ CX
	JNZ loop
	RET
