// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"testing"
)

func FuzzRead(f *testing.F) {
	for _, machine := range []elf.Machine{elf.EM_X86_64, elf.EM_AARCH64} {
		for _, noSections := range []bool{false, true} {
			e := hostileSeed(machine)
			e.noSections = noSections
			f.Add(e.build(f).data)
		}
	}
	f.Add([]byte(elf.ELFMAG))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Read(bytes.NewReader(data), int64(len(data)), "fuzzed")
		checkFile(t, file, err, int64(len(data)))
	})
}

func FuzzOperandsX86(f *testing.F) {
	for _, spec := range argsX86 {
		f.Add(spec)
	}
	for _, spec := range []string{"-8@-8+st+4(%rip)", "1@%ah", "8@table(,%rax,8)", "8@table(%rbx)", "8f@%xmm0", "8@%fs:tl@tpoff", "8@$0xffffffffffffffff", "6295616"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) { checkSpec(t, elf.EM_X86_64, spec) })
}

func FuzzOperandsAArch64(f *testing.F) {
	for _, spec := range argsAArch64 {
		f.Add(spec)
	}
	for _, spec := range []string{"8@[x4, #:lo12:counter+8]", "-4@wsp 8@#-5", "8@xzr", "8@[x1, w2, sxtw 3]", "8@[x0, 8]!", "8@q3", "8@[fp,lr]"} {
		f.Add(spec)
	}
	f.Fuzz(func(t *testing.T, spec string) { checkSpec(t, elf.EM_AARCH64, spec) })
}

func checkSpec(t *testing.T, machine elf.Machine, spec string) {
	operands, err := parseOperands(machine, spec)
	if err != nil && operands != nil {
		t.Errorf("%q: operands despite %v", spec, err)
	}
	for _, o := range operands {
		checkArgument(t, machine, o.Operand)
		if o.symbol == "" {
			continue
		}
		if !isSymbol(o.symbol) || o.Kind != Memory || !o.page && o.Base != x86IP {
			t.Errorf("%q: symbol %q in %+v", spec, o.symbol, o)
		}
		const site, symbol = 0x401000, 0x603ff8
		checkArgument(t, machine, o.resolve(site, symbol))
	}
}
