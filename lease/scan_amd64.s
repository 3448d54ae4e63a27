//go:build !race && !purego

#include "textflag.h"

// Both forms go through 512 words, eight at a time: the low halves (deadlines) of eight
// words in one register of eight 32-bit lanes, less one; a byte of due a turn; a running
// minimum of what is not due.

// func scanAVX2(words *uint64, now uint32, due *uint64) uint32
// AVX2 compares signed numbers only. x < now, unsigned, is min(x, now-1) == x for now > 0;
// for now = 0 nothing is due, and now-1 would be everything.
TEXT ·scanAVX2(SB), NOSPLIT, $0-28
	MOVQ words+0(FP), SI
	MOVL now+8(FP), AX
	MOVQ due+16(FP), DI
	MOVQ $64, CX
	VPCMPEQD Y0, Y0, Y0        // all ones: the minimum so far, and -1
	VMOVDQA Y0, Y7             // -1: adding it subtracts one
	TESTL AX, AX
	JZ none
	DECL AX
	VMOVD AX, X6
	VPBROADCASTD X6, Y6        // now-1 in each lane
loop:
	VMOVDQU (SI), Y1
	VMOVDQU 32(SI), Y2
	VSHUFPS $0x88, Y2, Y1, Y3  // low halves: a0 a1 b0 b1 | a2 a3 b2 b3
	VPERMQ $0xd8, Y3, Y3       // a0 a1 a2 a3 | b0 b1 b2 b3
	VPADDD Y7, Y3, Y3
	VPMINUD Y6, Y3, Y4
	VPCMPEQD Y4, Y3, Y4        // due
	VMOVMSKPS Y4, DX
	MOVB DX, (DI)
	VPOR Y4, Y3, Y3            // what is due becomes the largest number
	VPMINUD Y3, Y0, Y0
	ADDQ $64, SI
	INCQ DI
	DECQ CX
	JNZ loop
	JMP least
none:
	VMOVDQU (SI), Y1
	VMOVDQU 32(SI), Y2
	VSHUFPS $0x88, Y2, Y1, Y3
	VPADDD Y7, Y3, Y3
	VPMINUD Y3, Y0, Y0
	MOVB $0, (DI)
	ADDQ $64, SI
	INCQ DI
	DECQ CX
	JNZ none
least:
	VEXTRACTI128 $1, Y0, X1
	VPMINUD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPMINUD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPMINUD X1, X0, X0
	VMOVD X0, AX
	VZEROUPPER
	MOVL AX, ret+24(FP)
	RET

// func scanAVX512(words *uint64, now uint32, due *uint64) uint32
TEXT ·scanAVX512(SB), NOSPLIT, $0-28
	MOVQ words+0(FP), SI
	MOVL now+8(FP), AX
	MOVQ due+16(FP), DI
	MOVQ $32, CX
	VPTERNLOGD $0xff, Z0, Z0, Z0 // all ones: the minimum so far
	VMOVDQA64 Z0, Z7             // -1
	VPBROADCASTD AX, Z6          // now
loop512:
	VMOVDQU64 (SI), Z1
	VMOVDQU64 64(SI), Z2
	VPMOVQD Z1, Y1               // low halves of eight words
	VPMOVQD Z2, Y2
	VINSERTI64X4 $1, Y2, Z1, Z1  // sixteen deadlines, in order
	VPADDD Z7, Z1, Z1
	VPCMPUD $1, Z6, Z1, K1       // below now: due
	KMOVW K1, DX
	MOVW DX, (DI)
	KNOTW K1, K2
	VPMINUD Z1, Z0, K2, Z0
	ADDQ $128, SI
	ADDQ $2, DI
	DECQ CX
	JNZ loop512
	VEXTRACTI64X4 $1, Z0, Y1
	VPMINUD Y1, Y0, Y0
	VEXTRACTI128 $1, Y0, X1
	VPMINUD X1, X0, X0
	VPSHUFD $0x4e, X0, X1
	VPMINUD X1, X0, X0
	VPSHUFD $0xb1, X0, X1
	VPMINUD X1, X0, X0
	VMOVD X0, AX
	VZEROUPPER
	MOVL AX, ret+24(FP)
	RET
