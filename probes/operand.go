// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// OperandKind is the kind of location that holds an argument's value.
type OperandKind uint8

// The kinds of operands.
const (
	Const    OperandKind = iota // in Value
	Register                    // in the register Base, shifted right by Shift bits
	Memory                      // at the address Base + Index*Scale + Value; absent registers count as 0
)

// NoRegister marks an absent base or index.
const NoRegister = 0xff

// Operand is the location of one argument of a probe, in a form the BPF program can evaluate. Registers are indexes
// of 8-byte words in struct pt_regs on x86-64 (arch/x86/include/asm/ptrace.h) and in struct user_pt_regs on arm64
// (arch/arm64/include/uapi/asm/ptrace.h).
type Operand struct {
	Kind   OperandKind
	Size   uint8 // bytes: 1, 2, 4 or 8
	Signed bool  // whether a value shorter than 8 bytes is sign-extended
	Shift  uint8 // bits to shift the base register right first: 8 for %ah, %bh, %ch and %dh, else 0
	Base   uint8 // word index, NoRegister if absent
	Index  uint8 // word index, NoRegister if absent; only for Memory
	Scale  uint8 // 1, 2, 4 or 8; 1 without an index

	// Value is the constant, truncated to Size and extended to 64 bits, or the displacement. Address computations wrap
	// around.
	Value int64
}

// operand is a parsed operand. If symbol is set, its displacement is not complete without the symbol's address.
type operand struct {
	Operand
	symbol string // "" if the operand is complete
	page   bool   // only the low 12 bits of the symbol's address are added (arm64 :lo12:)
}

// resolve completes the operand of the site at address site with the address of its symbol. At a uprobe the
// instruction pointer is the address of the site, so the distance between symbol and site does not depend on where
// the file is mapped.
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

// parseOperands parses the argument string of a note.
func parseOperands(machine elf.Machine, spec string) ([]operand, error) {
	fields, err := splitOperands(spec)
	if err != nil {
		return nil, err
	}
	if len(fields) > maxArguments {
		return nil, fmt.Errorf("%d arguments, the most is %d", len(fields), maxArguments)
	}
	operands := make([]operand, len(fields))
	for i, field := range fields {
		if operands[i], err = parseOperand(machine, field); err != nil {
			return nil, fmt.Errorf("argument %d %q: %w", i+1, field, err)
		}
	}
	return operands, nil
}

// splitOperands splits spec at blanks outside of brackets. Memory operands of arm64 contain blanks inside brackets.
func splitOperands(spec string) ([]string, error) {
	var fields []string
	start, depth := -1, 0
	for i := range len(spec) {
		c := spec[i]
		if c == ' ' && depth == 0 {
			if start >= 0 {
				fields = append(fields, spec[start:i])
			}
			start = -1
			continue
		}
		if start < 0 {
			start = i
		}
		switch c {
		case '(', '[':
			depth++
		case ')', ']':
			depth--
		}
		if depth < 0 {
			break
		}
	}
	if depth != 0 {
		return nil, fmt.Errorf("unbalanced brackets in %q", spec)
	}
	if start >= 0 {
		fields = append(fields, spec[start:])
	}
	return fields, nil
}

// parseOperand parses one [N@]OP. Without N@, the value is an unsigned word of 8 bytes.
func parseOperand(machine elf.Machine, field string) (operand, error) {
	size, signed, text := uint8(8), false, field
	if prefix, rest, found := strings.Cut(field, "@"); found {
		var err error
		if size, signed, err = parseSize(prefix); err != nil {
			return operand{}, err
		}
		text = rest
	}
	if text == "" {
		return operand{}, errors.New("no operand")
	}

	var op operand
	var err error
	switch machine {
	case elf.EM_X86_64:
		op, err = parseX86(text)
	case elf.EM_AARCH64:
		op, err = parseAArch64(text)
	default:
		err = fmt.Errorf("machine %s is not supported", machine)
	}
	if err != nil {
		return operand{}, err
	}

	op.Size, op.Signed = size, signed
	if op.Shift != 0 && size != 1 {
		// Otherwise the size overrides the width of the register's name, because compilers also use the names of
		// shorter and longer aliases. %ah has no longer alias.
		return operand{}, fmt.Errorf("register holds 1 byte, not %d", size)
	}
	if op.Kind == Const {
		op.Value = extend(op.Value, size, signed)
	}
	return op, nil
}

// parseSize parses the part of an operand before the at sign.
func parseSize(prefix string) (size uint8, signed bool, err error) {
	digits, signed := strings.CutPrefix(prefix, "-")
	switch digits {
	case "1", "2", "4", "8":
		return digits[0] - '0', signed, nil
	case "4f", "8f", "16f", "12f":
		return 0, false, errors.New("floating-point arguments are not supported")
	}
	return 0, false, fmt.Errorf("size %q is not one of 1, 2, 4, 8, -1, -2, -4, -8", prefix)
}

// extend truncates value to size bytes and extends it to 64 bits.
func extend(value int64, size uint8, signed bool) int64 {
	drop := 64 - 8*uint(size)
	if signed {
		return value << drop >> drop
	}
	return int64(uint64(value) << drop >> drop)
}

// parseNumber parses a number of up to 64 bits in the GNU assembler's syntax: decimal, hexadecimal with 0x or octal
// with a leading zero, with an optional minus sign.
func parseNumber(text string) (int64, error) {
	if strings.ContainsRune(text, '_') { // Go's own digit separator
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

// isSymbol reports whether text is a symbol name that the assembler does not quote.
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
