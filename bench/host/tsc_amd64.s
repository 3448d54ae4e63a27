#include "textflag.h"

// func rdtsc() uint64
// LFENCE keeps earlier loads before the reading: what a service has loaded is in its time.
TEXT ·rdtsc(SB), NOSPLIT, $0-8
	LFENCE
	RDTSC
	SHLQ $32, DX
	ORQ DX, AX
	MOVQ AX, ret+0(FP)
	RET
