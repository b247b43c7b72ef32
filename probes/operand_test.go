// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"reflect"
	"strings"
	"testing"
)

const none = NoRegister

func TestOperandsX86(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]operand{
		"8@$5":                    {Operand: Operand{Const, 8, false, 0, none, none, 1, 5}},
		"-4@$-5":                  {Operand: Operand{Const, 4, true, 0, none, none, 1, -5}},
		"4@$-1":                   {Operand: Operand{Const, 4, false, 0, none, none, 1, 0xffffffff}},
		"-1@$255":                 {Operand: Operand{Const, 1, true, 0, none, none, 1, -1}},
		"8@$0x7fffffffffffffff":   {Operand: Operand{Const, 8, false, 0, none, none, 1, 0x7fffffffffffffff}},
		"8@$0xffffffffffffffff":   {Operand: Operand{Const, 8, false, 0, none, none, 1, -1}},
		"8@$18446744073709551614": {Operand: Operand{Const, 8, false, 0, none, none, 1, -2}},
		"8@$-9223372036854775808": {Operand: Operand{Const, 8, false, 0, none, none, 1, -1 << 63}},
		"-8@%rdi":                 {Operand: Operand{Register, 8, true, 0, 14, none, 1, 0}},
		"%rax":                    {Operand: Operand{Register, 8, false, 0, 10, none, 1, 0}},
		"8@%eax":                  {Operand: Operand{Register, 8, false, 0, 10, none, 1, 0}},
		"1@%rdx":                  {Operand: Operand{Register, 1, false, 0, 12, none, 1, 0}},
		"1@%ah":                   {Operand: Operand{Register, 1, false, 8, 10, none, 1, 0}},
		"-1@%bh":                  {Operand: Operand{Register, 1, true, 8, 5, none, 1, 0}},
		"8@(%rbp)":                {Operand: Operand{Memory, 8, false, 0, 4, none, 1, 0}},
		"-2@-176(%rbp)":           {Operand: Operand{Memory, 2, true, 0, 4, none, 1, -176}},
		"8@0x10(%rsp)":            {Operand: Operand{Memory, 8, false, 0, 19, none, 1, 16}},
		"8@16-8(%rsp)":            {Operand: Operand{Memory, 8, false, 0, 19, none, 1, 8}},
		"-8@(%r12,%r8,8)":         {Operand: Operand{Memory, 8, true, 0, 3, 9, 8, 0}},
		"-1@(%r14,%rbx)":          {Operand: Operand{Memory, 1, true, 0, 1, 5, 1, 0}},
		"8@-120(%rsp,%r15,4)":     {Operand: Operand{Memory, 8, false, 0, 19, 0, 4, -120}},
		"8@64(,%rcx,8)":           {Operand: Operand{Memory, 8, false, 0, none, 11, 8, 64}},
		"8@(,%rcx)":               {Operand: Operand{Memory, 8, false, 0, none, 11, 1, 0}},
		"8@6295616":               {Operand: Operand{Memory, 8, false, 0, none, none, 1, 6295616}},
		"8@16(%rip)":              {Operand: Operand{Memory, 8, false, 0, 16, none, 1, 16}},
		"-8@sg(%rip)":             {Operand: Operand{Memory, 8, true, 0, 16, none, 1, 0}, symbol: "sg"},
		"8@st+8(%rip)":            {Operand: Operand{Memory, 8, false, 0, 16, none, 1, 8}, symbol: "st"},
		"8@8+st(%rip)":            {Operand: Operand{Memory, 8, false, 0, 16, none, 1, 8}, symbol: "st"},
		"8@-8+key.0-4(%rip)":      {Operand: Operand{Memory, 8, false, 0, 16, none, 1, -12}, symbol: "key.0"},
		"8@table":                 {Operand: Operand{Memory, 8, false, 0, 16, none, 1, 0}, symbol: "table"},
		"8@table+8(,%rax,8)":      {Operand: Operand{Memory, 8, false, 0, 16, 10, 8, 8}, symbol: "table"},
		"8@table(%rax)":           {Operand: Operand{Memory, 8, false, 0, 16, 10, 1, 0}, symbol: "table"},
	} {
		checkOperand(t, elf.EM_X86_64, text, want)
	}
}

func TestRegistersX86(t *testing.T) {
	t.Parallel()
	for names, index := range map[string]uint8{
		"rax eax ax al": 10, "rbx ebx bx bl": 5, "rcx ecx cx cl": 11, "rdx edx dx dl": 12,
		"rsi esi si sil": 13, "rdi edi di dil": 14, "rbp ebp bp bpl": 4, "rsp esp sp spl": 19,
		"r8 r8d r8w r8b": 9, "r9 r9d r9w r9b": 8, "r10 r10d r10w r10b": 7, "r11 r11d r11w r11b": 6,
		"r12 r12d r12w r12b": 3, "r13 r13d r13w r13b": 2, "r14 r14d r14w r14b": 1, "r15 r15d r15w r15b": 0,
		"rip": 16,
	} {
		for i, name := range strings.Fields(names) {
			want := operand{Operand: Operand{Register, []uint8{8, 4, 2, 1}[i], false, 0, index, none, 1, 0}}
			checkOperand(t, elf.EM_X86_64, []string{"8", "4", "2", "1"}[i]+"@%"+name, want)
		}
	}
}

func TestOperandsAArch64(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]operand{
		"8@5":                        {Operand: Operand{Const, 8, false, 0, none, none, 1, 5}},
		"-8@-1":                      {Operand: Operand{Const, 8, true, 0, none, none, 1, -1}},
		"2@-1":                       {Operand: Operand{Const, 2, false, 0, none, none, 1, 0xffff}},
		"8@#0x10":                    {Operand: Operand{Const, 8, false, 0, none, none, 1, 16}},
		"8@xzr":                      {Operand: Operand{Const, 8, false, 0, none, none, 1, 0}},
		"4@wzr":                      {Operand: Operand{Const, 4, false, 0, none, none, 1, 0}},
		"8@x0":                       {Operand: Operand{Register, 8, false, 0, 0, none, 1, 0}},
		"-4@w30":                     {Operand: Operand{Register, 4, true, 0, 30, none, 1, 0}},
		"x29":                        {Operand: Operand{Register, 8, false, 0, 29, none, 1, 0}},
		"8@fp":                       {Operand: Operand{Register, 8, false, 0, 29, none, 1, 0}},
		"8@lr":                       {Operand: Operand{Register, 8, false, 0, 30, none, 1, 0}},
		"8@sp":                       {Operand: Operand{Register, 8, false, 0, 31, none, 1, 0}},
		"4@wsp":                      {Operand: Operand{Register, 4, false, 0, 31, none, 1, 0}},
		"8@[sp]":                     {Operand: Operand{Memory, 8, false, 0, 31, none, 1, 0}},
		"-2@[sp, 52]":                {Operand: Operand{Memory, 2, true, 0, 31, none, 1, 52}},
		"8@[x0, #-8]":                {Operand: Operand{Memory, 8, false, 0, 0, none, 1, -8}},
		"8@[x0,8]":                   {Operand: Operand{Memory, 8, false, 0, 0, none, 1, 8}},
		"1@[x5, x19]":                {Operand: Operand{Memory, 1, false, 0, 5, 19, 1, 0}},
		"8@[x1, x2, lsl 3]":          {Operand: Operand{Memory, 8, false, 0, 1, 2, 8, 0}},
		"8@[x1, x2, lsl #0]":         {Operand: Operand{Memory, 8, false, 0, 1, 2, 1, 0}},
		"8@[x4, #:lo12:counter]":     {Operand: Operand{Memory, 8, false, 0, 4, none, 1, 0}, symbol: "counter", page: true},
		"8@[x4, :lo12:counter+4104]": {Operand: Operand{Memory, 8, false, 0, 4, none, 1, 4104}, symbol: "counter", page: true},
	} {
		checkOperand(t, elf.EM_AARCH64, text, want)
	}
}

func checkOperand(t *testing.T, machine elf.Machine, text string, want operand) {
	t.Helper()
	got, err := parseOperands(machine, text)
	if err != nil || len(got) != 1 || got[0] != want {
		t.Errorf("%s %q: got %+v, %v; want %+v", machine, text, got, err, want)
	}
}

func TestOperandErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		machine elf.Machine
		text    string
		want    string // part of the error
	}{
		{elf.EM_X86_64, "8f@%rbp", "floating-point"},
		{elf.EM_X86_64, "8@", "no operand"},
		{elf.EM_X86_64, "3@%rax", "not one of"},
		{elf.EM_X86_64, "+8@%rax", "not one of"},
		{elf.EM_X86_64, "@%rax", "not one of"},
		{elf.EM_X86_64, "8@%xmm0", "vector"},
		{elf.EM_X86_64, "8@%st(1)", "vector"},
		{elf.EM_X86_64, "8@%riz", "unknown register"},
		{elf.EM_X86_64, "8@%", "unknown register"},
		{elf.EM_X86_64, "2@%ah", "1 byte"},
		{elf.EM_X86_64, "8@%fs:0x10", "segment"},
		{elf.EM_X86_64, "-8@%fs:tl@tpoff", "segment"},
		{elf.EM_X86_64, "8@tl@gottpoff(%rip)", "relocation"},
		{elf.EM_X86_64, "8@$", "not a 64-bit number"},
		{elf.EM_X86_64, "8@$global", "not a 64-bit number"},
		{elf.EM_X86_64, "8@$18446744073709551616", "not a 64-bit number"},
		{elf.EM_X86_64, "8@$1_000", "not a number"},
		{elf.EM_X86_64, "8@()", "empty brackets"},
		{elf.EM_X86_64, "8@(%rax", "unbalanced"},
		{elf.EM_X86_64, "8@%rax)", "unbalanced"},
		{elf.EM_X86_64, "8@8(%rax)4", "bracket"},
		{elf.EM_X86_64, "8@(rax)", "not a register"},
		{elf.EM_X86_64, "8@(%eax)", "64 bits wide"},
		{elf.EM_X86_64, "8@(%rax,%ecx)", "64 bits wide"},
		{elf.EM_X86_64, "8@(%rax,)", "not a register"},
		{elf.EM_X86_64, "8@(%rax,%rsp)", "not an x86-64 address"},
		{elf.EM_X86_64, "8@(%rip,%rax)", "not an x86-64 address"},
		{elf.EM_X86_64, "8@(%rax,%rcx,3)", "scale"},
		{elf.EM_X86_64, "8@(%rax,%rcx,8,8)", "too many"},
		{elf.EM_X86_64, "8@a+b(%rip)", "two symbols"},
		{elf.EM_X86_64, "8@4-a(%rip)", "number"},
		{elf.EM_X86_64, "8@4+(%rax)", "number"},
		{elf.EM_X86_64, "8@t(%rax,%rcx,8)", "both base and index"},
		{elf.EM_X86_64, "8@[x0]", "number"},
		{elf.EM_X86_64, strings.Repeat("8@%rax ", 13), "13 arguments"},
		{elf.EM_X86_64, "8@%rax\t8@%rbx", "unknown register"},
		{elf.EM_AARCH64, "8@%rax", "number"},
		{elf.EM_AARCH64, "8@x31", "unknown register"},
		{elf.EM_AARCH64, "8@x01", "unknown register"},
		{elf.EM_AARCH64, "8@d0", "vector"},
		{elf.EM_AARCH64, "8@[x0, 8]!", "write-back"},
		{elf.EM_AARCH64, "8@[x0], 8", "write-back"},
		{elf.EM_AARCH64, "8@[]", "not an address register"},
		{elf.EM_AARCH64, "8@[x0,]", "not a 64-bit number"},
		{elf.EM_AARCH64, "8@[w0]", "64 bits wide"},
		{elf.EM_AARCH64, "8@[xzr]", "not an address register"},
		{elf.EM_AARCH64, "8@[x1, w2]", "64 bits wide"},
		{elf.EM_AARCH64, "8@[x1, w2, sxtw 3]", "index extension"},
		{elf.EM_AARCH64, "8@[x1, x2, sxtx 3]", "index extension"},
		{elf.EM_AARCH64, "8@[x1, x2, lsl 4]", "between 0 and 3"},
		{elf.EM_AARCH64, "8@[x1, x2, lsl]", "parse shift"},
		{elf.EM_AARCH64, "8@[x1, sp]", "cannot be an index"},
		{elf.EM_AARCH64, "8@[x1, 8, 8]", "after the displacement"},
		{elf.EM_AARCH64, "8@[x1, x2, lsl 3, 4]", "too many"},
		{elf.EM_AARCH64, "8@[x1, :got:a]", "relocation"},
		{elf.EM_AARCH64, "8@[x1, :lo12:8]", "no symbol"},
		{elf.EM_RISCV, "8@a0", "not supported"},
	} {
		got, err := parseOperands(test.machine, test.text)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s %q: got %+v, %v; want an error with %q", test.machine, test.text, got, err, test.want)
		}
	}
}

func TestSplitOperands(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"":                                      nil,
		"  ":                                    nil,
		" 8@%rax  8@(%rbx,%rcx,8) ":             {"8@%rax", "8@(%rbx,%rcx,8)"},
		"8@[sp, 8] -4@x1 8@[x1, x2, lsl 3] 8@5": {"8@[sp, 8]", "-4@x1", "8@[x1, x2, lsl 3]", "8@5"},
	} {
		if got, err := splitOperands(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}
