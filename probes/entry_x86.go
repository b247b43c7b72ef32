// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// Instructions that entrySkip may skip at the start of a function. Skipping them can save time: the kernel single-steps
// a copy of the instruction under a uprobe, which takes microseconds, unless it can emulate the instruction
// (branch_setup_xol_ops and push_setup_xol_ops in arch/x86/kernel/uprobes.c, since Linux 4.15).
var (
	endbr64 = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	testRDI = []byte{0x48, 0x85, 0xff} // test %rdi,%rdi
)

// entryBytes is the number of bytes that entrySkip inspects.
const entryBytes = 16

// entrySkip returns the offset from the start of a function at which to attach the uprobe for its entry. The offset is
// 0, unless the function starts with endbr64, a test of the first argument, or both, and the next instruction is one
// that the kernel emulates. Skipped instructions neither branch nor change a general register, so every call reaches
// the returned offset with its first argument in place. The caller checks that no branch leads to that offset.
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

// emulated reports whether the kernel emulates the instruction that the code starts with.
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
	return code[0] == 0xe8 || code[0] == 0xe9 || code[0] == 0xeb || conditionalJump(code) // call or jmp
}

func conditionalJump(code []byte) bool {
	return len(code) > 1 && (code[0]&0xf0 == 0x70 || code[0] == 0x0f && code[1]&0xf0 == 0x80)
}

// entry returns the address at which to attach the uprobe for the entry of the function at address.
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

// codeAround returns the content and the address of the executable segment that contains address.
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

// branchesTo reports whether there may be a direct branch to an offset in the code. It treats every byte as the start
// of an instruction, so it finds every such branch, and also bytes that only look like one.
func branchesTo(code []byte, offset int) bool {
	for i := max(0, offset-0x82); i < min(len(code)-1, offset+0x82); i++ { // the range of an 8-bit displacement
		short := code[i]&0xf0 == 0x70 || code[i] == 0xeb || code[i]&0xfc == 0xe0 // jcc, jmp, loop, jrcxz
		if short && i+2+int(int8(code[i+1])) == offset {
			return true
		}
	}
	for i := 1; i+4 <= len(code); i++ {
		near := code[i-1] == 0xe8 || code[i-1] == 0xe9 || code[i-1]&0xf0 == 0x80 // call, jmp, second byte of jcc
		if near && i+4+int(int32(binary.LittleEndian.Uint32(code[i:]))) == offset {
			return true
		}
	}
	return false
}
