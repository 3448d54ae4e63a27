//go:build !race && !purego

#include "textflag.h"

// func touchWords(words *uint64, ids *ID, n int)
// PREFETCHW brings a line for writing: the compare-and-swap that follows need not ask for it
// again. It retires without its data, and ignores the address of a slot that does not exist.
TEXT ·touchWords(SB), NOSPLIT, $0-24
	MOVQ words+0(FP), SI
	MOVQ ids+8(FP), DI
	MOVQ n+16(FP), CX
loop:
	MOVL 4(DI), AX                     // the slot
	LEAQ (SI)(AX*8), AX
	BYTE $0x0F; BYTE $0x0D; BYTE $0x08 // PREFETCHW (AX)
	ADDQ $8, DI
	DECQ CX
	JNZ loop
	RET
