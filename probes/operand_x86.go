// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Word indexes into struct pt_regs of x86-64, arch/x86/include/asm/ptrace.h.
const (
	x86BP = 4
	x86BX = 5
	x86AX = 10
	x86CX = 11
	x86DX = 12
	x86SI = 13
	x86DI = 14
	x86IP = 16
	x86SP = 19
)

// x86Register is the part of a saved register that a register name denotes.
type x86Register struct {
	index uint8
	width uint8 // bytes that the name denotes
	shift uint8 // less significant bits below these bytes
}

// x86Registers maps register names, without the percent sign, to saved registers. It is read-only.
var x86Registers = makeX86Registers()

func makeX86Registers() map[string]x86Register {
	registers := map[string]x86Register{"rip": {x86IP, 8, 0}}
	for name, index := range map[string]uint8{
		"ax": x86AX, "bx": x86BX, "cx": x86CX, "dx": x86DX,
		"si": x86SI, "di": x86DI, "bp": x86BP, "sp": x86SP,
	} {
		registers["r"+name] = x86Register{index, 8, 0}
		registers["e"+name] = x86Register{index, 4, 0}
		registers[name] = x86Register{index, 2, 0}
		if letter, found := strings.CutSuffix(name, "x"); found {
			registers[letter+"l"] = x86Register{index, 1, 0}
			registers[letter+"h"] = x86Register{index, 1, 8}
		} else {
			registers[name+"l"] = x86Register{index, 1, 0}
		}
	}
	for i, index := range []uint8{9, 8, 7, 6, 3, 2, 1, 0} { // r8 to r15
		name := "r" + strconv.Itoa(8+i)
		registers[name] = x86Register{index, 8, 0}
		registers[name+"d"] = x86Register{index, 4, 0}
		registers[name+"w"] = x86Register{index, 2, 0}
		registers[name+"b"] = x86Register{index, 1, 0}
	}
	return registers
}

// parseX86 parses an x86-64 operand in AT&T syntax.
func parseX86(text string) (operand, error) {
	if number, found := strings.CutPrefix(text, "$"); found {
		value, err := parseNumber(number)
		if err != nil {
			return operand{}, fmt.Errorf("parse constant: %w", err)
		}
		return constant(value), nil
	}
	if strings.Contains(text, ":") {
		return operand{}, errors.New("segment-relative operands are not supported")
	}
	if strings.HasPrefix(text, "%") {
		r, err := parseX86Register(text)
		if err != nil {
			return operand{}, err
		}
		op := register(r.index)
		op.Shift = r.shift
		return op, nil
	}
	return parseX86Memory(text)
}

func parseX86Register(text string) (x86Register, error) {
	name, found := strings.CutPrefix(text, "%")
	if !found {
		return x86Register{}, fmt.Errorf("%q is not a register", text)
	}
	if r, found := x86Registers[name]; found {
		return r, nil
	}
	for _, prefix := range []string{"xmm", "ymm", "zmm", "mm", "st", "k"} {
		if strings.HasPrefix(name, prefix) {
			return x86Register{}, fmt.Errorf("vector or floating-point register %q is not supported", text)
		}
	}
	return x86Register{}, fmt.Errorf("unknown register %q", text)
}

// parseX86Memory parses an address of the form expression(base,index,scale). Every part is optional.
func parseX86Memory(text string) (operand, error) {
	expression, inner, bracketed := strings.Cut(text, "(")
	if strings.Contains(expression, "@") {
		return operand{}, fmt.Errorf("relocation %q is not supported", expression)
	}

	op := memory(NoRegister, 0)
	if bracketed {
		registers, found := strings.CutSuffix(inner, ")")
		if !found {
			return operand{}, fmt.Errorf("%q does not end with a bracket", text)
		}
		if err := op.parseX86Address(registers); err != nil {
			return operand{}, err
		}
	}
	if expression == "" && bracketed {
		return op, nil
	}

	var err error
	if op.Value, op.symbol, err = parseExpression(expression); err != nil {
		return operand{}, fmt.Errorf("parse displacement: %w", err)
	}
	if op.symbol == "" || op.Base == x86IP {
		return op, nil
	}
	// Code that is not position independent refers to a symbol by its absolute address. The operand is made relative to
	// the instruction pointer instead, so that it does not depend on where the file is mapped.
	if op.Base != NoRegister {
		if op.Index != NoRegister {
			return operand{}, errors.New("a symbol with both base and index is not supported")
		}
		op.Index, op.Scale = op.Base, 1
	}
	op.Base = x86IP
	return op, nil
}

// parseX86Address parses the part between the brackets into Base, Index and Scale.
func (o *operand) parseX86Address(text string) error {
	parts := strings.Split(text, ",")
	if len(parts) > 3 {
		return fmt.Errorf("too many parts in (%s)", text)
	}
	if parts[0] != "" {
		base, err := parseX86AddressRegister(parts[0])
		if err != nil {
			return err
		}
		o.Base = base
	} else if len(parts) == 1 {
		return errors.New("empty brackets")
	}
	if len(parts) == 1 {
		return nil
	}

	index, err := parseX86AddressRegister(parts[1])
	if err != nil {
		return err
	}
	if index == x86SP || index == x86IP || o.Base == x86IP {
		return fmt.Errorf("(%s) is not an x86-64 address", text)
	}
	o.Index = index
	if len(parts) == 3 {
		switch parts[2] {
		case "1", "2", "4", "8":
			o.Scale = parts[2][0] - '0'
		default:
			return fmt.Errorf("scale %q is not 1, 2, 4 or 8", parts[2])
		}
	}
	return nil
}

func parseX86AddressRegister(text string) (uint8, error) {
	r, err := parseX86Register(text)
	if err != nil {
		return 0, err
	}
	if r.width != 8 {
		return 0, fmt.Errorf("address register %q is not 64 bits wide", text)
	}
	return r.index, nil
}
