// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf/asm"
)

// evaluate returns the body of a BPF program, for loadProgram, that stores the operand's value in the word at R8, or
// -0xbad if memory cannot be read.
func evaluate(o Operand) []asm.Instruction {
	code := []asm.Instruction{asm.LoadImm(asm.R3, o.Value, asm.DWord)}
	add := func(register uint8, shift int32) {
		code = append(code,
			asm.LoadMem(asm.R1, asm.R6, 8*int16(register), asm.DWord),
			asm.LSh.Imm(asm.R1, shift), asm.Add.Reg(asm.R3, asm.R1))
	}
	if o.Base != NoRegister {
		add(o.Base, 0)
	}
	if o.Index != NoRegister {
		add(o.Index, map[uint8]int32{1: 0, 2: 1, 4: 2, 8: 3}[o.Scale])
	}
	if o.Kind == Memory {
		code = append(code,
			asm.Mov.Imm(asm.R1, 0), asm.StoreMem(asm.RFP, -16, asm.R1, asm.DWord),
			asm.Mov.Reg(asm.R1, asm.RFP), asm.Add.Imm(asm.R1, -16),
			asm.Mov.Imm(asm.R2, int32(o.Size)),
			asm.FnProbeReadUser.Call(),
			asm.LoadMem(asm.R3, asm.RFP, -16, asm.DWord),
			asm.JEq.Imm(asm.R0, 0, "read"),
			asm.Mov.Imm(asm.R3, -0xbad),
			asm.Ja.Label("store"),
			asm.Mov.Reg(asm.R3, asm.R3).WithSymbol("read"),
		)
	}
	drop := int32(64 - 8*int(o.Size))
	extend := asm.RSh
	if o.Signed {
		extend = asm.ArSh
	}
	return append(code,
		asm.RSh.Imm(asm.R3, int32(o.Shift)),
		asm.LSh.Imm(asm.R3, drop), extend.Imm(asm.R3, drop),
		asm.StoreMem(asm.R8, 0, asm.R3, asm.DWord).WithSymbol("store"))
}

// TestOperandsTellTheTruth attaches one BPF program for each argument of each site, and compares the values that these
// programs read from registers and memory with those that the traced program has passed. The values can only agree if
// register numbers, addresses and symbols are correct.
func TestOperandsTellTheTruth(t *testing.T) {
	t.Parallel()
	requireBPF(t)
	const context, pointer = 0x1000, -1 << 62 // pointer stands for any valid pointer
	want := [][]int64{                        // by site and argument, in the first round
		{context, -1},
		{context, pointer, 11},
		{9, pointer, 0},
		{context, pointer, pointer},
		{context, pointer, pointer, 1},
		{context, pointer, 2},
		{context, 12, pointer, 2},
		{pointer},
	}
	for name, flags := range map[string][]string{
		"unoptimised":       {"-O0"},
		"optimised":         {"-O2"},
		"small":             {"-Os", "-fomit-frame-pointer"},
		"fixed":             {"-O2", "-no-pie", "-fno-pie"},
		"fixed unoptimised": {"-O0", "-no-pie", "-fno-pie"},
		"little optimised":  {"-O1", "-fno-omit-frame-pointer"},
		"registers":         {"-O2", "-DSTAP_SDT_ARG_CONSTRAINT=r"},
		"static":            {"-O2", "-static"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := compile(t, "gcc", append(slices.Clone(flags), "-DPROGRAM")...)
			f, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if got := probesOf(f.Sites); !slices.Equal(got, firedProbes) {
				t.Fatalf("got %v, %v", got, f.Problems)
			}
			checks := make([]func(), 0, 32)
			for i, s := range f.Sites {
				for j, o := range s.Args {
					program, words := loadProgram(t, true, evaluate(o)...)
					a, err := Attach(path, program, true, f.Sites[i:i+1], []uint64{1})
					if err != nil {
						t.Fatal(err)
					}
					defer a.Close()
					checks = append(checks, func() {
						got := int64(readWord(t, words, 1))
						if want[i][j] == pointer && (got < 1<<16 || got >= 1<<47) || want[i][j] != pointer && got != want[i][j] {
							t.Errorf("%s %q, argument %d: got %#x, want %#x", s.Probe, s.Spec, j+1, got, want[i][j])
						}
					})
				}
			}
			start(t, path, 1).finish(t)
			for _, check := range checks {
				check()
			}
		})
	}
}
