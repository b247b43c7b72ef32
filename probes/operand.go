// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"fmt"
	"strconv"
	"strings"
)

// OperandKind says where an argument's value is.
type OperandKind uint8

// The kinds of operands.
const (
	Const    OperandKind = iota // the value is the constant Value
	Register                    // the value is in the register Base, shifted right by Shift bits
	Memory                      // the value is in memory at Base + Index*Scale + Value; an absent register counts as 0
)

// NoRegister marks an absent base or index.
const NoRegister = 0xff

// Operand is the location of one argument of a probe, in a form that the BPF program can evaluate. Registers are
// indexes of 8-byte words in struct pt_regs on x86-64 (arch/x86/include/asm/ptrace.h) and in struct user_pt_regs on
// arm64 (arch/arm64/include/uapi/asm/ptrace.h).
type Operand struct {
	Kind   OperandKind
	Size   uint8 // size of the value in bytes: 1, 2, 4 or 8
	Signed bool  // whether a value shorter than 8 bytes is sign-extended
	Shift  uint8 // bits by which to shift the register right: 8 for %ah, %bh, %ch and %dh, else 0
	Base   uint8 // register, as a word index; NoRegister if absent
	Index  uint8 // register, as a word index; NoRegister if absent; only for Memory
	Scale  uint8 // factor for Index: 1, 2, 4 or 8; 1 if Index is absent

	// Value is the constant of a Const, truncated to Size bytes and extended to 64 bits, or the displacement of a Memory
	// operand. The computation of a memory address wraps around at 64 bits.
	Value int64
}

// operand is a parsed operand. If symbol is set, Value lacks the symbol's address until resolve adds it.
type operand struct {
	Operand
	symbol string // symbol in the displacement; "" if there is none
	page   bool   // the displacement is only the low 12 bits of the address of symbol + Value (arm64 :lo12:)
}

// resolve returns the operand, which belongs to the site at address site, with its symbol's address filled in. Unless
// page is set, the displacement becomes relative to the instruction pointer, which is the address of the site when the
// uprobe is hit. The distance between symbol and site does not depend on where the file is mapped.
func (o operand) resolve(site, symbol uint64) Operand {
	out := o.Operand
	if o.page {
		out.Value = int64((symbol + uint64(o.Value)) & 0xfff)
	} else {
		out.Value = int64(symbol + uint64(o.Value) - site)
	}
	return out
}

func constant(value int64) operand {
	return operand{Operand: Operand{Kind: Const, Base: NoRegister, Index: NoRegister, Scale: 1, Value: value}}
}

func register(base uint8) operand {
	return operand{Operand: Operand{Kind: Register, Base: base, Index: NoRegister, Scale: 1}}
}

func memory(base uint8, value int64) operand {
	return operand{Operand: Operand{Kind: Memory, Base: base, Index: NoRegister, Scale: 1, Value: value}}
}

// parseNumber parses a number of up to 64 bits in the GNU assembler's syntax: decimal, hexadecimal with 0x or octal
// with a leading zero, and with an optional minus sign.
func parseNumber(text string) (int64, error) {
	if strings.ContainsRune(text, '_') { // accepted by strconv, not by the assembler
		return 0, fmt.Errorf("%q is not a number", text)
	}
	if value, err := strconv.ParseInt(text, 0, 64); err == nil {
		return value, nil
	}
	value, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a 64-bit number", text)
	}
	return int64(value), nil
}

// parseExpression parses a sum of numbers and at most one symbol, such as "8", "-8+4", "table+8" or "8+table".
func parseExpression(text string) (sum int64, symbol string, err error) {
	for rest := text; ; {
		end := len(rest)
		if i := strings.IndexAny(rest[min(1, len(rest)):], "+-"); i >= 0 {
			end = i + 1
		}
		term := rest[:end]
		if name := strings.TrimPrefix(term, "+"); isSymbol(name) {
			if symbol != "" {
				return 0, "", fmt.Errorf("expression %q names two symbols", text)
			}
			symbol = name
		} else {
			value, err := parseNumber(term)
			if err != nil {
				return 0, "", err
			}
			sum += value
		}
		if end == len(rest) {
			return sum, symbol, nil
		}
		rest = rest[end:]
	}
}

// isSymbol reports whether text is a symbol name that the assembler accepts without quotes.
func isSymbol(text string) bool {
	if text == "" || len(text) > maxNameLength || text[0] >= '0' && text[0] <= '9' {
		return false
	}
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '.', c == '$':
		default:
			return false
		}
	}
	return true
}
