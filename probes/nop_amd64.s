// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// TRIAL fills the 64 bytes below the stack pointer, executes NOP, and returns whether these bytes are unchanged.
#define TRIAL(NOP) \
	MOVQ $0x5aa5c33c69966996, AX; \
	MOVQ AX, -8(SP);  \
	MOVQ AX, -16(SP); \
	MOVQ AX, -24(SP); \
	MOVQ AX, -32(SP); \
	MOVQ AX, -40(SP); \
	MOVQ AX, -48(SP); \
	MOVQ AX, -56(SP); \
	MOVQ AX, -64(SP); \
	NOP;              \
	XORQ CX, CX;      \
	CMPQ AX, -8(SP);  \
	JNE  changed;     \
	CMPQ AX, -16(SP); \
	JNE  changed;     \
	CMPQ AX, -24(SP); \
	JNE  changed;     \
	CMPQ AX, -32(SP); \
	JNE  changed;     \
	CMPQ AX, -40(SP); \
	JNE  changed;     \
	CMPQ AX, -48(SP); \
	JNE  changed;     \
	CMPQ AX, -56(SP); \
	JNE  changed;     \
	CMPQ AX, -64(SP); \
	JNE  changed;     \
	MOVQ $1, CX;      \
changed:              \
	MOVB CX, intact+0(FP); \
	RET

#define NOP5 \
	PCALIGN $16; \
	BYTE $0x0f; BYTE $0x1f; BYTE $0x44; BYTE $0x00; BYTE $0x00

#define NOP10 \
	PCALIGN $16; \
	BYTE $0x66; BYTE $0x2e; BYTE $0x0f; BYTE $0x1f; BYTE $0x84; \
	BYTE $0x00; BYTE $0x00; BYTE $0x00; BYTE $0x00; BYTE $0x00

// func nop5Trial() (intact bool)
TEXT ·nop5Trial(SB), NOSPLIT|NOFRAME, $0-1
	TRIAL(NOP5)

// func nop10Trial() (intact bool)
TEXT ·nop10Trial(SB), NOSPLIT|NOFRAME, $0-1
	TRIAL(NOP10)

// func nopTrials() (nop5, nop10 uintptr)
TEXT ·nopTrials(SB), NOSPLIT, $0-16
	LEAQ ·nop5Trial(SB), AX
	MOVQ AX, nop5+0(FP)
	LEAQ ·nop10Trial(SB), AX
	MOVQ AX, nop10+8(FP)
	RET
