// SPDX-License-Identifier: Apache-2.0

//go:build linux && amd64

package crau_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Instructions of a probe site by architecture, and patterns of operands.
var (
	nop1  = []byte{0x90}
	nop5  = []byte{0x0f, 0x1f, 0x44, 0, 0}
	nop10 = []byte{0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0}
	nops  = slices.Concat(nop1, nop10,
		[]byte{0x48, 0x8d, 0x64, 0x24, 0x80}, nop5, []byte{0x48, 0x8d, 0xa4, 0x24, 0x80, 0, 0, 0}) // between two lea
	nopARM  = []byte{0x1f, 0x20, 0x03, 0xd5}
	operand = map[elf.Machine]*regexp.Regexp{
		elf.EM_X86_64:  regexp.MustCompile(`^8@(\$-?\d+|%r([abcd]x|[sd]i|bp|8|9|1[0-5]))$`),
		elf.EM_AARCH64: regexp.MustCompile(`^8@(-?\d+|x\d+|sp)$`),
	}
)

// note is the content of a probe's ELF note.
type note struct {
	name string
	args []string
	site uint64 // virtual address of the site
	code []byte // code from the site on
}

// readNotes returns the notes of provider crypto_auditing in the file at path. It checks the properties that every note
// must have.
func readNotes(t *testing.T, path string) []note {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	section := f.Section(".note.stapsdt")
	if section == nil {
		return nil
	}
	if section.Flags&elf.SHF_ALLOC != 0 {
		t.Errorf("notes are loaded: %v", section.Flags)
	}
	b, err := section.Data()
	if err != nil {
		t.Fatal(err)
	}
	var notes []note
	word := binary.LittleEndian.Uint32
	for len(b) > 0 {
		nameLen, descLen, kind := word(b), word(b[4:]), word(b[8:])
		desc := b[20:]
		if nameLen != 8 || string(b[12:20]) != "stapsdt\x00" || kind != 3 {
			t.Fatalf("note is of type %d by %q", kind, b[12:20])
		}
		b = desc[(descLen+3)&^3:]
		desc = desc[:descLen]
		site, base, semaphore := quad(desc), quad(desc[8:]), quad(desc[16:])
		text := strings.Split(string(desc[24:]), "\x00")
		if len(text) != 4 || text[0] != "crypto_auditing" || text[3] != "" {
			t.Fatalf("strings of the note are %q", text)
		}
		if s := f.Section(".stapsdt.base"); s == nil || s.Addr != base {
			t.Errorf("base of %s is %#x, not where the section is", text[1], base)
		}
		if semaphore != 0 {
			t.Errorf("semaphore of %s is %#x", text[1], semaphore)
		}
		n := note{name: text[1], args: strings.Fields(text[2]), site: site, code: codeAt(t, f, site)}
		for _, arg := range n.args {
			if !operand[f.Machine].MatchString(arg) {
				t.Errorf("%s has the operand %q", n.name, arg)
			}
		}
		notes = append(notes, n)
	}
	return notes
}

func quad(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

// codeAt returns up to 32 bytes of code starting at the virtual address addr, which must be in an executable section.
func codeAt(t *testing.T, f *elf.File, addr uint64) []byte {
	t.Helper()
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_EXECINSTR != 0 && addr >= s.Addr && addr < s.Addr+s.Size {
			code := make([]byte, min(32, s.Addr+s.Size-addr))
			if _, err := s.ReadAt(code, int64(addr-s.Addr)); err != nil {
				t.Fatal(err)
			}
			return code
		}
	}
	t.Fatalf("no code at the site %#x", addr)
	return nil
}

// checkSites checks that the code at each site starts with these instructions.
func checkSites(t *testing.T, notes []note, nop []byte) {
	t.Helper()
	if len(notes) == 0 {
		t.Error("no notes")
	}
	for _, n := range notes {
		if !bytes.HasPrefix(n.code, nop) {
			t.Errorf("site of %s is % x", n.name, n.code)
		}
	}
}

// compile runs a compiler with crau.h in its include path and returns the path of the output file.
func compile(t *testing.T, compiler string, args ...string) string {
	t.Helper()
	out := t.TempDir() + "/out"
	flags := []string{"-I.", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-o", out}
	if b, err := exec.Command(compiler, append(flags, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", compiler, args, err, b)
	}
	return out
}
