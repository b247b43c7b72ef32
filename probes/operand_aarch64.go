// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// armSP is the word index of sp in struct user_pt_regs of arm64 (arch/arm64/include/uapi/asm/ptrace.h). The indexes of
// x0 to x30 are 0 to 30.
const armSP = 31

// parseAArch64 parses an arm64 operand in the syntax of GCC and Clang: a register, a number with or without #, or an
// address in square brackets.
func parseAArch64(text string) (operand, error) {
	if inner, found := strings.CutPrefix(text, "["); found {
		address, found := strings.CutSuffix(inner, "]")
		if !found {
			return operand{}, fmt.Errorf("%q does not end with a bracket (write-back is not supported)", text)
		}
		return parseAArch64Memory(address)
	}
	if text == "xzr" || text == "wzr" {
		return constant(0), nil
	}
	if index, _, found := aarch64Register(text); found {
		return register(index), nil
	}
	if isSymbol(text) {
		if isAArch64Vector(text) {
			return operand{}, fmt.Errorf("vector register %q is not supported", text)
		}
		return operand{}, fmt.Errorf("unknown register %q", text)
	}
	value, err := parseNumber(strings.TrimPrefix(text, "#"))
	if err != nil {
		return operand{}, fmt.Errorf("parse constant: %w", err)
	}
	return constant(value), nil
}

// parseAArch64Memory parses the part between the brackets: a base register, optionally followed by a number, the low
// bits of a symbol, or an index register with a shift.
func parseAArch64Memory(text string) (operand, error) {
	parts := strings.Split(text, ",")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	if len(parts) > 3 {
		return operand{}, fmt.Errorf("too many parts in [%s]", text)
	}
	base, err := parseAArch64AddressRegister(parts[0])
	if err != nil {
		return operand{}, err
	}
	op := memory(base, 0)
	if len(parts) == 1 {
		return op, nil
	}

	offset := strings.TrimPrefix(parts[1], "#")
	switch {
	case strings.HasPrefix(offset, ":"):
		err = op.parseAArch64Relocation(offset)
	case isSymbol(offset):
		return op, op.parseAArch64Index(parts[1:])
	default:
		if op.Value, err = parseNumber(offset); err != nil {
			err = fmt.Errorf("parse displacement: %w", err)
		}
	}
	if err == nil && len(parts) == 3 {
		err = fmt.Errorf("unexpected %q after the displacement", parts[2])
	}
	return op, err
}

// parseAArch64Relocation parses :lo12:symbol, the offset of a symbol in its page. An adrp instruction has put the
// address of the page into the base register.
func (o *operand) parseAArch64Relocation(text string) error {
	expression, found := strings.CutPrefix(text, ":lo12:")
	if !found {
		return fmt.Errorf("relocation %q is not supported", text)
	}
	var err error
	if o.Value, o.symbol, err = parseExpression(expression); err != nil {
		return fmt.Errorf("parse displacement: %w", err)
	}
	if o.symbol == "" {
		return fmt.Errorf("relocation %q names no symbol", text)
	}
	o.page = true
	return nil
}

// parseAArch64Index parses an index register and an optional "lsl N".
func (o *operand) parseAArch64Index(parts []string) error {
	if len(parts) == 2 {
		kind, amount, _ := strings.Cut(parts[1], " ")
		if kind != "lsl" {
			return fmt.Errorf("index extension %q is not supported", parts[1])
		}
		shift, err := parseNumber(strings.TrimPrefix(strings.TrimSpace(amount), "#"))
		if err != nil {
			return fmt.Errorf("parse shift: %w", err)
		}
		if shift < 0 || shift > 3 {
			return fmt.Errorf("shift %d is not between 0 and 3", shift)
		}
		o.Scale = 1 << shift
	}
	index, err := parseAArch64AddressRegister(parts[0])
	if err != nil {
		return err
	}
	if index == armSP {
		return errors.New("sp cannot be an index")
	}
	o.Index = index
	return nil
}

func parseAArch64AddressRegister(name string) (uint8, error) {
	index, width, found := aarch64Register(name)
	if !found {
		return 0, fmt.Errorf("%q is not an address register", name)
	}
	if width != 8 {
		return 0, fmt.Errorf("address register %q is not 64 bits wide", name)
	}
	return index, nil
}

// aarch64Register returns the word index of a general register, and the number of its bytes that the name denotes.
func aarch64Register(name string) (index, width uint8, found bool) {
	switch name {
	case "sp":
		return armSP, 8, true
	case "wsp":
		return armSP, 4, true
	case "fp":
		return 29, 8, true
	case "lr":
		return 30, 8, true
	}
	number, found := registerNumber(name)
	if !found || number > 30 {
		return 0, 0, false
	}
	switch name[0] {
	case 'x':
		return number, 8, true
	case 'w':
		return number, 4, true
	}
	return 0, 0, false
}

func isAArch64Vector(name string) bool {
	number, found := registerNumber(name)
	return found && number < 32 && strings.IndexByte("vbhsdqz", name[0]) >= 0
}

// registerNumber returns the number that follows the one-letter prefix of a register name. Leading zeros are not valid.
func registerNumber(name string) (uint8, bool) {
	if len(name) < 2 || len(name) > 3 || name[1] == '0' && len(name) > 2 {
		return 0, false
	}
	number, err := strconv.ParseUint(name[1:], 10, 8)
	return uint8(number), err == nil
}
