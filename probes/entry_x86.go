// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// An instruction under a uprobe is single-stepped on a copy of it, which costs
// microseconds, unless the kernel knows how to emulate it (branch_setup_xol_ops
// and push_setup_xol_ops in arch/x86/kernel/uprobes.c, since Linux 4.15).
var (
	endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	testRDI = []byte{0x48, 0x85, 0xff}             // test %rdi,%rdi
	nop5    = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00} // nopl 0x0(%rax,%rax,1)
)

// entryBytes is how much of a function's start is looked at.
const entryBytes = 16

// entrySkip returns how far behind its first instruction the entry of a
// function is probed best: 0, unless a few more bytes lead to an instruction
// that the kernel emulates. What is skipped neither branches nor changes a
// register, so that every call comes by with its first argument in place; and
// nothing else does, as long as no branch leads there.
func entrySkip(code []byte) int {
	skip := 0
	if bytes.HasPrefix(code, endbr64) {
		skip = len(endbr64)
	}
	if next := code[skip:]; bytes.HasPrefix(next, testRDI) && conditionalJump(next[len(testRDI):]) {
		return skip + len(testRDI)
	}
	if emulated(code[skip:]) {
		return skip
	}
	return 0
}

// emulated reports whether the kernel emulates the instruction.
func emulated(code []byte) bool {
	push := bytes.TrimPrefix(code, []byte{0x41}) // REX.B: r8 to r15
	switch {
	case len(push) > 0 && push[0] >= 0x50 && push[0] <= 0x57: // push %reg
		return true
	case len(code) == 0:
		return false
	case code[0] == 0x90, bytes.HasPrefix(code, nop5):
		return true
	}
	return code[0] == 0xe8 || code[0] == 0xe9 || code[0] == 0xeb || conditionalJump(code) // call, jmp
}

func conditionalJump(code []byte) bool {
	return len(code) > 1 && (code[0]&0xf0 == 0x70 || code[0] == 0x0f && code[1]&0xf0 == 0x80)
}

// entry returns where to probe the entry of the function at that address.
func (im *image) entry(address uint64) uint64 {
	if im.machine != elf.EM_X86_64 {
		return address
	}
	offset, err := im.fileOffset(address, entryBytes, elf.PF_X)
	if err != nil {
		return address
	}
	first, err := im.read(offset, entryBytes)
	if err != nil {
		return address
	}
	skip := uint64(entrySkip(first))
	if skip == 0 {
		return address
	}
	code, start, err := im.codeAround(address)
	if err != nil || branchesTo(code, int(address+skip-start)) {
		return address
	}
	return address + skip
}

// codeAround returns the executable segment that an address is in, and its
// address.
func (im *image) codeAround(address uint64) ([]byte, uint64, error) {
	for _, s := range im.segments {
		if elf.ProgType(s.Type) != elf.PT_LOAD || elf.ProgFlag(s.Flags)&elf.PF_X == 0 || s.Filesz > maxCode ||
			address < s.Vaddr || address-s.Vaddr >= s.Filesz {
			continue
		}
		code, err := im.read(s.Off, s.Filesz)
		return code, s.Vaddr, err
	}
	return nil, 0, errOutside
}

// branchesTo reports whether there may be a direct branch to a place in the
// code. Every byte is taken for the start of an instruction, so that none is
// missed; that some bytes only look like one does no harm.
func branchesTo(code []byte, place int) bool {
	for i := max(0, place-0x82); i < min(len(code)-1, place+0x82); i++ { // the reach of a byte
		short := code[i]&0xf0 == 0x70 || code[i] == 0xeb || code[i]&0xfc == 0xe0 // jcc, jmp, loop, jrcxz
		if short && i+2+int(int8(code[i+1])) == place {
			return true
		}
	}
	for i := 1; i+4 <= len(code); i++ {
		near := code[i-1] == 0xe8 || code[i-1] == 0xe9 || code[i-1]&0xf0 == 0x80 // call, jmp, second byte of jcc
		if near && i+4+int(int32(binary.LittleEndian.Uint32(code[i:]))) == place {
			return true
		}
	}
	return false
}
