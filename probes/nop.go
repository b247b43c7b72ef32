// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"slices"
)

// Bytes of the instructions that can stand at a probe site. nop10 is the form that <usdt.h> of libbpf emits.
var (
	nop1   = []byte{0x90}
	nop5   = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}                               // nopl 0x0(%rax,%rax,1)
	nop10  = []byte{0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00} // cs nopw 0x0(%rax,%rax,1)
	nopARM = []byte{0x1f, 0x20, 0x03, 0xd5}

	skipRedZone = []byte{0x48, 0x8d, 0x64, 0x24, 0x80} // lea -0x80(%rsp),%rsp
)

const (
	pageSize = 4096
	redZone  = 128 // bytes below the stack pointer that belong to the current function (System V ABI)
)

var errNoNop = errors.New("no nop at the site")

// siteBytes is the number of bytes that are inspected at a site. It is enough for the longest known sequence of nops.
const siteBytes = 32

// siteCode returns siteBytes bytes of code at a file offset, or fewer at the end of its segment.
func (im *image) siteCode(offset uint64) ([]byte, error) {
	length := uint64(0)
	for _, s := range im.segments {
		if elf.ProgType(s.Type) == elf.PT_LOAD && elf.ProgFlag(s.Flags)&elf.PF_X != 0 && offset >= s.Off && offset-s.Off < s.Filesz {
			length = max(length, s.Filesz-(offset-s.Off))
		}
	}
	if offset >= im.size {
		return nil, errOutside
	}
	return im.read(offset, min(length, siteBytes, im.size-offset))
}

// checkNop returns an error unless the code starts with a nop. Attaching to any other code would be unsafe: a stale or
// forged note may point into the middle of an instruction, and a breakpoint there would change what the program does. A
// nop under a uprobe always works, because the kernel emulates or single-steps it.
func checkNop(machine elf.Machine, code []byte) error {
	isNop := nopLength(code) > 0
	if machine == elf.EM_AARCH64 {
		isNop = bytes.HasPrefix(code, nopARM)
	}
	if !isNop {
		return fmt.Errorf("%w: the code there is % x", errNoNop, code[:min(len(code), 8)])
	}
	return nil
}

// nopLength returns the length of the x86-64 nop that the code starts with, or 0 if it starts with none. A nop is 0x90
// or 0f 1f /0, with any number of prefixes 0x66 (operand size) and 0x2e (segment).
func nopLength(code []byte) int {
	code = code[:min(len(code), 15)] // no instruction is longer than 15 bytes
	n := 0
	for n < len(code) && (code[n] == 0x66 || code[n] == 0x2e) {
		n++
	}
	rest := code[n:]
	switch {
	case len(rest) > 0 && rest[0] == 0x90:
		return n + 1
	case len(rest) < 3 || rest[0] != 0x0f || rest[1] != 0x1f || rest[2]>>3&7 != 0:
		return 0
	}
	mode, base := rest[2]>>6, rest[2]&7
	n += 3
	if mode != 3 && base == 4 { // a SIB byte follows
		if len(rest) < 4 {
			return 0
		}
		base = rest[3] & 7
		n++
	}
	switch {
	case mode == 1:
		n++
	case mode == 2, mode == 0 && base == 5:
		n += 4
	}
	if n > len(code) {
		return 0
	}
	return n
}

// fastNop is a nop behind the first nop of a site. The kernel may be able to replace it by a call or jump, which makes
// hits cheaper than a breakpoint does.
type fastNop struct {
	skip   int  // offset from the start of the site, in bytes
	length int  // in bytes: 5 or 10
	safe   bool // whether the site has moved the stack pointer below the red zone before this nop
}

// fastNops returns the further nops of a site that starts with a 1-byte nop. Behind that nop, <usdt.h> of libbpf emits
// one 5-byte nop (since December 2025) or one 10-byte nop (since July 2026); crau.h emits a 10-byte nop, and then a
// 5-byte nop between two instructions that move the stack pointer. offset is the file offset of the site. A nop that
// crosses a page border is left out, because kernels do not replace it.
func fastNops(machine elf.Machine, code []byte, offset uint64) []fastNop {
	if machine != elf.EM_X86_64 || !bytes.HasPrefix(code, nop1) {
		return nil
	}
	var found []fastNop
	for at, safe := 1, false; ; {
		var length int
		switch rest := code[at:]; {
		case bytes.HasPrefix(rest, nop10):
			length = len(nop10)
		case bytes.HasPrefix(rest, nop5):
			length = len(nop5)
		case bytes.HasPrefix(rest, skipRedZone) && !safe:
			at, safe = at+len(skipRedZone), true
			continue
		default:
			return found
		}
		if (offset+uint64(at))%pageSize+uint64(length) <= pageSize {
			found = append(found, fastNop{at, length, safe})
		}
		at += length
		if safe { // the next instruction moves the stack pointer back
			return found
		}
	}
}

// NopSupport describes how the running kernel treats uprobes on 5-byte and 10-byte nops. The zero value means that hits
// of these nops are not cheaper than hits of a 1-byte nop, as on kernels before 6.18. See [TryNops].
type NopSupport struct {
	nop5, nop10 replacement
}

// replacement is how the kernel replaces a nop under a uprobe by a call or jump, if at all.
type replacement uint8

const (
	notReplaced      replacement = iota
	replacedUnsafely             // hits overwrite the red zone below the stack pointer
	replacedSafely               // hits leave the red zone intact
)

// Place returns a copy of the sites, in which each site is moved to its first nop that the running kernel replaces
// without harm to the traced program, so that hits are cheap. A site without such a nop is not moved.
func (n NopSupport) Place(sites []Site) []Site {
	placed := slices.Clone(sites)
	for i, s := range placed {
		for _, nop := range s.fastNops {
			replaced := n.nop5
			if nop.length == len(nop10) {
				replaced = n.nop10
			}
			if replaced == replacedSafely || replaced == replacedUnsafely && nop.safe {
				placed[i] = s.moved(nop)
				break
			}
		}
	}
	return placed
}

// Offsets returns the file offsets of all nops of the site. A tracer attaches to one of them.
func (s Site) Offsets() []uint64 {
	offsets := []uint64{s.Offset}
	for _, nop := range s.fastNops {
		offsets = append(offsets, s.Offset+uint64(nop.skip))
	}
	return offsets
}

// HasFastNops reports whether the site has a nop that Place may move it to.
func (s Site) HasFastNops() bool { return len(s.fastNops) > 0 }

// moved returns the site at another of its nops. The operands still lead to the same values: displacements from the
// instruction pointer are reduced by the distance between the nops, and those from the stack pointer are increased if
// the code before the nop has moved the stack pointer.
func (s Site) moved(to fastNop) Site {
	s.Address += uint64(to.skip)
	s.Offset += uint64(to.skip)
	s.fastNops = nil
	s.Args = slices.Clone(s.Args)
	for i := range s.Args {
		op := &s.Args[i]
		if op.Kind == Const {
			continue
		}
		for _, register := range []uint8{op.Base, op.Index} {
			switch {
			case register == x86IP:
				op.Value -= int64(to.skip)
			case register == x86SP && to.safe:
				op.Value += redZone
			}
		}
	}
	return s
}
