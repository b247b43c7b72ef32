// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"strings"
)

// parseOperands parses the argument string of a note.
func parseOperands(machine elf.Machine, spec string) ([]operand, error) {
	fields, err := splitOperands(spec)
	if err != nil {
		return nil, err
	}
	if len(fields) > maxArguments {
		return nil, fmt.Errorf("%d arguments, the limit is %d", len(fields), maxArguments)
	}
	operands := make([]operand, len(fields))
	for i, field := range fields {
		if operands[i], err = parseOperand(machine, field); err != nil {
			return nil, fmt.Errorf("argument %d %q: %w", i+1, field, err)
		}
	}
	return operands, nil
}

// splitOperands splits spec at blanks outside brackets. Memory operands of arm64 contain blanks inside brackets.
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

// parseOperand parses one operand of the form [N@]OP. Without N@, the value is an unsigned word of 8 bytes.
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
		// Only %ah, %bh, %ch and %dh, which always mean 1 byte, have a shift. For other registers the size overrides the
		// width of the name, because compilers also write the name of a shorter or longer part of the register.
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
