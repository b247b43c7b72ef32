// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

// Package crau_test compiles programs that use crau.h, and examines the compiled files and the probes that the programs
// fire.
package crau_test

import (
	"bytes"
	"debug/elf"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

var update = flag.Bool("update", false, "write golden files")

// golden compares got with testdata/NAME.golden, or writes that file with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("events are not those of %s:\n%s", path, got)
	}
}

// Compiler commands by language.
var (
	gcc     = []string{"gcc"}
	gpp     = []string{"g++"}
	clang   = []string{"clang", "clang-19"}
	clangpp = []string{"clang++", "clang++-19"}
	gccARM  = []string{"aarch64-linux-gnu-gcc"}

	c99   = "-std=c99"
	gnu11 = "-std=gnu11"
	cpp11 = "-std=c++11"
	cpp20 = "-std=c++20"
)

// TestEveryWayOfCompilingFiresTheSameEvents compiles one program with many compilers and options. All results must fire
// the same events.
func TestEveryWayOfCompilingFiresTheSameEvents(t *testing.T) {
	languages := []struct {
		name     string
		compiler []string
		flags    []string
	}{
		{"gcc-c99", gcc, []string{c99}},
		{"gcc-gnu11", gcc, []string{gnu11}},
		{"g++-c++11", gpp, []string{cpp11, "-x", "c++"}},
		{"clang-c99", clang, []string{c99}},
		{"clang++-c++20", clangpp, []string{cpp20, "-x", "c++"}},
	}
	builds := []struct {
		name  string
		flags []string
		nop   []byte
	}{
		{"O0", []string{"-O0"}, nops},
		{"O2", []string{"-O2"}, nops},
		{"O3-PIC", []string{"-O3", "-fPIC", "-pie"}, nops},
		{"frame-pointer", []string{"-O1", "-fno-omit-frame-pointer", "-fno-pie", "-no-pie"}, nops},
		{"static", []string{"-O2", "-static"}, nops},
		{"LTO", []string{"-O2", "-flto"}, nops},
		{"nop1", []string{"-O2", "-DCRAU_NOP1"}, nop1},
	}
	for _, l := range languages {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			compiler := needs.Program(t, l.compiler...)
			for _, b := range builds {
				t.Run(b.name, func(t *testing.T) {
					flags := append(append(b.flags, l.flags...), "testdata/probes.c")
					if b.name == "LTO" && strings.HasPrefix(l.name, "clang") {
						// Compile in two steps, because GCC's linker cannot read Clang's bitcode.
						flags = []string{
							"-O2", "-Wno-unused-command-line-argument", "-x", "ir",
							compile(t, compiler, append(flags, "-c")...),
						}
					}
					program := compile(t, compiler, flags...)
					checkSites(t, readNotes(t, program), b.nop)
					var events strings.Builder
					contexts := make(map[uint64]int)
					trace(t, func(h hit) { events.WriteString(h.event(contexts) + "\n") }, program)
					golden(t, "probes", events.String())
				})
			}
		})
	}
}

func TestSharedObject(t *testing.T) {
	for _, compiler := range [][]string{gcc, clang} {
		t.Run(compiler[0], func(t *testing.T) {
			cc := needs.Program(t, compiler...)
			for _, level := range []string{"-O0", "-O2", "-O3"} {
				library := compile(t, cc, level, "-fPIC", "-shared", "-Wl,-z,defs", "testdata/probes.c")
				checkSites(t, readNotes(t, library), nops)
			}
		})
	}
}

func TestARM64(t *testing.T) {
	cc := needs.Program(t, gccARM...)
	for _, flags := range [][]string{
		{"-O0"}, {"-O2"}, {"-O3", "-fPIC", "-shared"}, {"-O2", "-static"}, {"-O2", "-flto"}, {"-O2", "-DCRAU_NOP1"},
	} {
		checkSites(t, readNotes(t, compile(t, cc, append(flags, "testdata/probes.c")...)), nopARM)
	}
}

// If two files have the same inline function, the linker keeps one copy of it, with one note.
func TestInlineFunctionsOfTwoFilesHaveOneNote(t *testing.T) {
	for _, compiler := range [][]string{gpp, clangpp} {
		t.Run(compiler[0], func(t *testing.T) {
			cxx := needs.Program(t, compiler...)
			for _, level := range []string{"-O0", "-O2"} {
				other := compile(t, cxx, level, "-c", "-DOTHER", "testdata/inline.cc")
				notes := readNotes(t, compile(t, cxx, level, "testdata/inline.cc", other))
				checkSites(t, notes, nops)
				var names []string
				for _, n := range notes {
					names = append(names, n.name)
				}
				if got := strings.Join(names, " "); strings.Count(got, "word_data") != 2 || len(names) != 3 {
					t.Errorf("%s: notes are %s", level, got)
				}
			}
		})
	}
}

func TestStack(t *testing.T) {
	for _, flags := range [][]string{
		{gnu11, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"},
		{gnu11, "-O3", "-DCRAU_STACK_DEPTH=2"},
		{cpp11, "-O2", "-x", "c++", "-DCRAU_STACK_DEPTH=3"},
	} {
		cc := needs.Program(t, "gcc")
		flags = append(flags, "-pthread", "testdata/stack.c")
		other := compile(t, cc, append(flags, "-c", "-DOTHER")...)
		program := compile(t, cc, append(flags, "-x", "none", other)...)
		if b, err := exec.Command(program).CombinedOutput(); err != nil {
			t.Errorf("%v: %v\n%s", flags, err, b)
		}
	}
}

// With CRAU_DISABLE, a program has no notes, thread-local variables or strings of crau.h, and its compilation causes no
// warnings about unused variables.
func TestDisabledProbesLeaveNothingBehind(t *testing.T) {
	for _, level := range []string{"-O0", "-O2"} {
		for _, language := range []string{"c", "c++"} {
			flags := []string{level, "-Wunused", "-DCRAU_DISABLE", "-c", "-x", language, "testdata/probes.c"}
			object := compile(t, needs.Program(t, "gcc"), flags...)
			f, err := elf.Open(object)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range f.Sections {
				if s.Flags&elf.SHF_TLS != 0 || strings.Contains(s.Name, "stapsdt") {
					t.Errorf("%v: section %s", flags, s.Name)
				}
			}
			f.Close()
			b, err := os.ReadFile(object)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []string{"nowhere", "test::negative"} {
				if bytes.Contains(b, []byte(s)) {
					t.Errorf("%v: the string %s", flags, s)
				}
			}
		}
	}
}

// TestCompilerRefusesWrongUses checks that wrong uses of crau.h do not compile.
func TestCompilerRefusesWrongUses(t *testing.T) {
	cc := needs.Program(t, "gcc")
	for want, code := range map[string]string{
		"crau_at_most_16_elements": "crau_push(" + strings.Repeat("CRAU_WORD(\"k\", 1), ", 16) + "CRAU_WORD(\"k\", 1));",
		"makes pointer from":       `CRAU_WORD_DATA(1, 2, 3);`,
		"incompatible pointer":     `CRAU_DATA(1, "array", 1);`,
	} {
		source := "#include \"crau.h\"\nvoid f(void) { " + code + " }\n"
		cmd := exec.Command(cc, "-I.", "-Werror", "-x", "c", "-S", "-o", os.DevNull, "-")
		cmd.Stdin = strings.NewReader(source)
		if b, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(b), want) {
			t.Errorf("%s\n%v: no error with %q:\n%s", source, err, want, b)
		}
	}
}

// TestReadelfReadsTheSameNotes checks that readelf, a program independent of this project, can read the notes.
func TestReadelfReadsTheSameNotes(t *testing.T) {
	program := compile(t, needs.Program(t, "gcc"), "-O2", "testdata/probes.c")
	b, err := exec.Command(needs.Program(t, "readelf"), "--notes", "--wide", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Count(string(b), "Provider: crypto_auditing\n"), len(readNotes(t, program)); got != want {
		t.Errorf("readelf finds %d notes, not %d:\n%s", got, want, b)
	}
}
