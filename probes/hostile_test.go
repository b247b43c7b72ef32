// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
)

// checkFile asserts the invariants of the results of Read, which hold for any file of that size, however hostile.
func checkFile(t *testing.T, f *File, err error, size int64) {
	t.Helper()
	if f == nil {
		if err == nil {
			t.Error("neither a file nor an error")
		}
		return
	}
	if (len(f.Sites) == 0) != (err != nil) || len(f.Problems) > maxProblems+1 || len(f.Sites) > maxNotes+maxSessionSites {
		t.Errorf("%d sites, %d problems, error %v", len(f.Sites), len(f.Problems), err)
	}
	if len(f.BuildID) > 2*maxBuildID || len(f.Soname) > maxNameLength {
		t.Errorf("build id %q, soname %q", f.BuildID, f.Soname)
	}
	if s := f.Strings; s.Size > maxStrings || s.Size > uint64(size) || s.Offset > uint64(size)-s.Size || s.Address+s.Size < s.Address {
		t.Errorf("strings %+v beyond %d", s, size)
	}
	seen := make(map[string]bool)
	for _, s := range f.Sites {
		if s.Offset == 0 || s.Offset >= uint64(size) || s.RefCtrOffset != 0 && s.RefCtrOffset+2 > uint64(size) || s.RefCtrOffset%2 != 0 {
			t.Errorf("offsets beyond %d: %+v", size, s)
		}
		if key := fmt.Sprint(s.Probe, s.Offset); seen[key] {
			t.Errorf("twice: %+v", s)
		} else {
			seen[key] = true
		}
		if s.Probe < NewContext || s.Probe > SessionLeave || len(s.Args) != probeTable[s.Probe].arguments || len(s.Spec) > maxSpecLength {
			t.Errorf("got %+v", s)
		}
		for _, a := range s.Args {
			checkArgument(t, f.Machine, a)
		}
	}
}

// checkArgument asserts that the BPF program can evaluate the operand.
func checkArgument(t *testing.T, machine elf.Machine, o Operand) {
	t.Helper()
	registers := uint8(21) // words in struct pt_regs of x86-64
	if machine == elf.EM_AARCH64 {
		registers = 34
	}
	power := func(n uint8) bool { return n == 1 || n == 2 || n == 4 || n == 8 }
	register := func(n uint8) bool { return n == NoRegister || n < registers }
	ok := power(o.Size) && power(o.Scale) && register(o.Base) && register(o.Index) && o.Kind <= Memory &&
		(o.Shift == 0 || o.Shift == 8 && o.Size == 1 && o.Kind == Register) && (o.Index != NoRegister || o.Scale == 1)
	switch o.Kind {
	case Const:
		ok = ok && o.Base == NoRegister && o.Index == NoRegister && o.Value == extend(o.Value, o.Size, o.Signed)
	case Register:
		ok = ok && o.Base != NoRegister && o.Index == NoRegister && o.Value == 0
	}
	if !ok {
		t.Errorf("%s: unusable operand %+v", machine, o)
	}
}

// hostileSeed describes a file with every table that the package reads, for tests that damage it.
func hostileSeed(machine elf.Machine) elfSpec {
	e := everyProbe(machine)
	args := "8@state(%rip) 8@$1"
	if machine == elf.EM_AARCH64 {
		args = "8@[x0, :lo12:state] 8@1"
	}
	n := ours("new_context", sitePC+0x40, args)
	n.semaphore = dataAddr
	e.notes = append(e.notes, n)
	e.rodata = &rodata
	e.static = []symbolSpec{{"state", dataAddr, elf.ST_INFO(elf.STB_LOCAL, elf.STT_OBJECT), 2}}
	return e
}

func TestReadTruncated(t *testing.T) {
	t.Parallel()
	for _, machine := range []elf.Machine{elf.EM_X86_64, elf.EM_AARCH64} {
		for _, noSections := range []bool{false, true} {
			e := hostileSeed(machine)
			e.noSections = noSections
			data := e.build(t).data
			for n := range data {
				f, err := Read(bytes.NewReader(data[:n]), int64(n), "short")
				checkFile(t, f, err, int64(n))
				if n < 4 && !errors.Is(err, ErrNotELF) {
					t.Errorf("%d bytes: %v", n, err)
				}
				// The file has shrunk after its size was read.
				f, err = Read(bytes.NewReader(data[:n]), int64(len(data)), "shrunk")
				checkFile(t, f, err, int64(len(data)))
			}
		}
	}
}

// TestExtremeBytesInAnyPlaceAreHandled sets each byte in turn to several extreme values.
func TestExtremeBytesInAnyPlaceAreHandled(t *testing.T) {
	t.Parallel()
	data := hostileSeed(elf.EM_X86_64).build(t).data
	for i, old := range data {
		for _, value := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			data[i] = value
			f, err := Read(bytes.NewReader(data), int64(len(data)), "flipped")
			checkFile(t, f, err, int64(len(data)))
		}
		data[i] = old
	}
}

func TestReadUnsupported(t *testing.T) {
	t.Parallel()
	for want, patch := range map[string]func(b built){
		"ELFCLASS32 is not supported":                              func(b built) { b.data[elf.EI_CLASS] = 1 },
		"ELFDATA2MSB is not supported":                             func(b built) { b.data[elf.EI_DATA] = 2 },
		"machine EM_RISCV is not supported":                        func(b built) { b.patch(18, uint16(elf.EM_RISCV)) },
		"ET_REL is neither":                                        func(b built) { b.patch(16, uint16(elf.ET_REL)) },
		"read program headers: entry size 32, want 56":             func(b built) { b.patch(54, uint16(32)) },
		"read program headers: 2049 entries, the limit is 2048":    func(b built) { b.patch(56, uint16(maxSegments+1)) },
		"read section headers: entry size 40, want 64":             func(b built) { b.patch(58, uint16(40)) },
		"read section headers: 8193 entries, the limit is 8192":    func(b built) { b.patch(60, uint16(maxSections+1)) },
		"name table is section 200 of":                             func(b built) { b.patch(62, uint16(200)) },
		"name table of 1048577 bytes, the limit is 1048576":        func(b built) { b.patch(b.sections[".shstrtab"]+32, uint64(maxSectionNames+1)) },
		"384 bytes at offset 0xffffffffffffffff: outside the file": func(b built) { b.patch(40, uint64(math.MaxUint64)) },
	} {
		b := everyProbe(elf.EM_X86_64).build(t)
		patch(b)
		if f, err := b.read(); f != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %+v, %v; want %q", f, err, want)
		}
	}
}

// sparse is a file that reads as zeros after its data.
type sparse struct{ data []byte }

func (s sparse) ReadAt(p []byte, offset int64) (int, error) {
	clear(p)
	if offset < int64(len(s.data)) {
		copy(p, s.data[offset:])
	}
	return len(p), nil
}

// TestReadLimits changes one field of a section header to an impossible value. The value is reported as a problem, and
// all sites that do not depend on the section are read.
func TestReadLimits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		section string
		field   int // offset of the changed field in the section header
		value   any
		sites   int    // number of sites that are read
		want    string // part of the problem
	}{
		"notes":         {".note.stapsdt", 32, uint64(maxNoteBytes + 1), 0, "more than 4194304 bytes of notes"},
		"symbols":       {".dynsym", 32, uint64(maxSymbols+1) * 24, 7, "the limit is 2097152"},
		"symbol names":  {".dynsym.str", 32, uint64(maxSymbolStrings + 1), 7, "the limit is 67108864"},
		"symbol size":   {".dynsym", 56, uint64(16), 7, "entry size 16, want 24"},
		"symbol link":   {".dynsym", 40, uint32(99), 7, "string table is section 99"},
		"symbol offset": {".dynsym", 24, uint64(math.MaxUint64 - 24), 7, "outside the file"},
	} {
		b := hostileSeed(elf.EM_X86_64).build(t)
		b.patch(b.sections[test.section]+test.field, test.value)
		f, err := Read(sparse{b.data}, 1<<40, "lib.so")
		checkFile(t, f, err, 1<<40)
		if len(f.Sites) != test.sites || len(f.Problems) != 1 || !strings.Contains(f.Problems[0].Error(), test.want) {
			t.Errorf("%s: got %+v, %v; want %q", name, f, err, test.want)
		}
	}
}

func TestReadManyNotes(t *testing.T) {
	t.Parallel()
	for _, n := range []int{maxNotes - 1, maxNotes, maxNotes + 1, maxNotes + maxProblems + 9} {
		var e elfSpec
		for range n {
			e.notes = append(e.notes, ours("new_context", sitePC, "8@%rdi 8@%rsi"))
		}
		b := e.build(t)
		// Each note gets a separate site: the text segment is moved and enlarged, so that it ends with one more nop for
		// each note.
		b.patch(64+8, uint64(len(b.data)-siteOff+textOff))
		b.patch(64+32, uint64(1<<20))
		b.data = append(b.data, bytes.Repeat(nop1, n)...)
		offset := bytes.Index(b.data, []byte(stapOwner)) + 8
		size := len(noteBytes(stapOwner, stapType, e.notes[0].desc()))
		for i := range n {
			b.patch(offset+i*size, uint64(sitePC+i))
		}
		f, err := b.read()
		if err != nil {
			t.Fatal(err)
		}
		checkFile(t, f, err, int64(len(b.data)))
		if want := min(n, maxNotes); len(f.Sites) != want {
			t.Errorf("%d notes: %d sites, want %d", n, len(f.Sites), want)
		}
		if want := min(max(n-maxNotes, 0), maxProblems+1); len(f.Problems) != want {
			t.Errorf("%d notes: %d problems, want %d", n, len(f.Problems), want)
		} else if want > maxProblems && f.Problems[maxProblems].Error() != "and 9 more" {
			t.Errorf("last problem %q", f.Problems[maxProblems])
		}
	}
}

func TestReadManySymbols(t *testing.T) {
	t.Parallel()
	for _, n := range []int{33, maxWantedSymbols, maxWantedSymbols + 1} {
		e := elfSpec{static: []symbolSpec{{"other", dataAddr, 0, 2}}}
		for i := range n {
			e.notes = append(e.notes, ours("new_context", sitePC+uint64(i), fmt.Sprintf("8@s%04d(%%rip) 8@$1", i)))
			e.static = append(e.static, symbolSpec{fmt.Sprintf("s%04d", i), dataAddr, 0, 2})
		}
		b := e.build(t)
		b.patch(64+8, uint64(len(b.data)-siteOff+textOff))
		b.patch(64+32, uint64(1<<20))
		b.data = append(b.data, bytes.Repeat(nop1, n)...)
		f, err := b.read()
		if err != nil || len(f.Sites) != min(n, maxWantedSymbols) || len(f.Problems) != n-len(f.Sites) {
			t.Errorf("%d symbols: %d sites, %v", n, len(f.Sites), f.Problems)
		}
		if n > maxWantedSymbols && !strings.Contains(f.Problems[0].Error(), `"s1024": 1025 symbols in the operands of one file, the limit is 1024`) {
			t.Error(f.Problems[0])
		}
	}
}

// Symbols that cannot be resolved only affect the sites that need them.
func TestReadSymbolsThatEndAlike(t *testing.T) {
	t.Parallel()
	object := elf.ST_INFO(elf.STB_LOCAL, elf.STT_OBJECT)
	e := elfSpec{notes: []noteSpec{
		ours("new_context", sitePC, "8@%rdi 8@state(%rip)"),
		ours("new_context", sitePC+1, "8@%rdi 8@x(%rip)"),
		ours("new_context", sitePC+2, "8@%rdi 8@twice(%rip)"),
		ours("new_context", sitePC+3, "8@%rdi 8@%rsi"),
	}, static: []symbolSpec{{"state", dataAddr, object, 2}, {"x", dataAddr + 8, object, 2}, {"twice", dataAddr, object, 2}, {"twice", dataAddr + 8, object, 2}}}
	for i := range 300 {
		e.static = append(e.static, symbolSpec{fmt.Sprintf("of_%d_state", i), dataAddr + 16, object, 2})
	}
	for range maxSymbolMatches / 3 {
		e.static = append(e.static, symbolSpec{"x", dataAddr + 8, object, 2})
	}
	f, err := e.build(t).read()
	if err != nil || len(f.Sites) != 2 || len(f.Problems) != 2 {
		t.Fatalf("%d sites, %v, %v", len(f.Sites), f.Problems, err)
	}
	if got := f.Sites[0].Args[1]; got.Value != dataAddr-sitePC {
		t.Errorf("state is at %+v", got)
	}
	for i, want := range []string{`"x": more than 21845 strings end like this`, `"twice": several symbols have this name`} {
		if !strings.Contains(f.Problems[i].Error(), want) {
			t.Errorf("problem %q, want %q", f.Problems[i], want)
		}
	}
}

// failing is a file that cannot be read beyond the offset end.
type failing struct {
	data []byte
	end  int64
}

var errMedium = errors.New("bad medium")

func (r failing) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > r.end {
		return 0, errMedium
	}
	return bytes.NewReader(r.data).ReadAt(p, offset)
}

func TestReadError(t *testing.T) {
	t.Parallel()
	data := everyProbe(elf.EM_X86_64).build(t).data
	for _, end := range []int64{0, 64, 0x200} {
		if _, err := Read(failing{data, end}, int64(len(data)), "lib.so"); !errors.Is(err, errMedium) || errors.Is(err, ErrNotELF) {
			t.Errorf("readable up to %d: %v", end, err)
		}
	}
	if _, err := Read(bytes.NewReader(nil), -1, "lib.so"); err == nil {
		t.Error("negative size is accepted")
	}
	if _, err := Read(io.NewSectionReader(nil, 0, 0), 0, "lib.so"); !errors.Is(err, ErrNotELF) {
		t.Error(err)
	}
}
