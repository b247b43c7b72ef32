// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Valid arguments of each probe, for each machine.
var (
	argsX86 = map[Probe]string{
		NewContext: "8@%rdi 8@$-1", WordData: "8@%rdi 8@8(%rsp) -4@$5", StringData: "8@%rdi 8@%rsi 8@%rdx",
		BlobData: "8@%rdi 8@%rsi 8@%rdx 8@(%rcx,%rax,8)", Data: "8@%rdi 8@%rsp 8@$2", NewContextWithData: "8@%rdi 8@%rsi 8@%rsp 8@$1",
	}
	argsAArch64 = map[Probe]string{
		NewContext: "8@x0 8@-1", WordData: "8@x0 8@[sp, 8] -4@5", StringData: "8@x0 8@x1 8@x2",
		BlobData: "8@x0 8@x1 8@x2 8@[x1, x2, lsl 3]", Data: "8@x0 8@sp 8@2", NewContextWithData: "8@x0 8@x1 8@sp 8@1",
	}
)

// everyProbe describes a file that has one site of each probe, 4 bytes apart, the symbol gnutls_handshake, and a note
// of another provider.
func everyProbe(machine elf.Machine) elfSpec {
	e := elfSpec{
		machine: machine, base: baseAddr, buildID: "\xde\xad\xbe\xef", soname: "libtest.so.1",
		notes:   []noteSpec{{provider: "libc", name: "setjmp", args: "8@%mm0", pc: 1}},
		dynamic: []symbolSpec{{name: "gnutls_handshake"}, {name: "gnutls_handshake", address: textAddr + 0x40, section: 1}},
	}
	args := argsX86
	if machine == elf.EM_AARCH64 {
		args = argsAArch64
	}
	for p := NewContext; p < SessionEnter; p++ {
		e.notes = append(e.notes, ours(p.String(), sitePC+4*uint64(p), args[p]))
	}
	return e
}

func TestReadEveryProbe(t *testing.T) {
	t.Parallel()
	for machine, first := range map[elf.Machine]uint8{elf.EM_X86_64: 14, elf.EM_AARCH64: 0} {
		f, err := everyProbe(machine).build(t).read()
		if err != nil {
			t.Fatal(err)
		}
		if f.Path != "lib.so" || f.Machine != machine || f.BuildID != "deadbeef" || f.Soname != "libtest.so.1" || f.Problems != nil {
			t.Errorf("got %+v", f)
		}
		if len(f.Sites) != 7 {
			t.Fatalf("%s: %d sites, want 7", machine, len(f.Sites))
		}
		for i, s := range f.Sites[:6] {
			p := Probe(i + 1)
			if s.Probe != p || s.Address != sitePC+4*uint64(p) || s.Offset != siteOff+4*uint64(p) || s.RefCtrOffset != 0 {
				t.Errorf("%s: got %+v", p, s)
			}
			if len(s.Args) != probeTable[p].arguments || s.Args[0] != (Operand{Register, 8, false, 0, first, none, 1, 0}) {
				t.Errorf("%s: arguments %+v", p, s.Args)
			}
		}
		want := Site{
			Probe: SessionEnter, Address: textAddr + 0x40, Offset: textOff + 0x40,
			Args: []Operand{{Register, 8, false, 0, first, none, 1, 0}}, Spec: "gnutls_handshake",
		}
		if !reflect.DeepEqual(f.Sites[6], want) {
			t.Errorf("got %+v, want %+v", f.Sites[6], want)
		}
	}
}

func TestReadPrelinkAndSemaphore(t *testing.T) {
	t.Parallel()
	moved := ours("new_context", sitePC-0x1000, "8@%rdi 8@%rsi")
	moved.base -= 0x1000
	moved.semaphore = dataAddr + 6 - 0x1000
	f, err := elfSpec{base: baseAddr, notes: []noteSpec{moved}}.build(t).read()
	if err != nil {
		t.Fatal(err)
	}
	if s := f.Sites[0]; s.Address != sitePC || s.Offset != siteOff || s.RefCtrOffset != dataOff+6 {
		t.Errorf("got %+v", s)
	}
	// Without the section .stapsdt.base, or if the note does not contain its address, the file is assumed not to have
	// moved.
	still := ours("new_context", sitePC, "8@%rdi 8@%rsi")
	still.base = 0
	for _, e := range []elfSpec{{notes: []noteSpec{still}, base: 0x123}, {notes: []noteSpec{ours("new_context", sitePC, "8@%rdi 8@%rsi")}}} {
		if f, err := e.build(t).read(); err != nil || f.Sites[0].Offset != siteOff {
			t.Errorf("got %+v, %v", f, err)
		}
	}
}

func TestReadBadNotes(t *testing.T) {
	t.Parallel()
	const good = "8@%rdi 8@%rsi"
	semaphore := func(address uint64) noteSpec {
		n := ours("new_context", sitePC+8, good)
		n.semaphore = address
		return n
	}
	raw := func(n noteSpec, cut int) noteSpec {
		desc := n.desc()
		return noteSpec{raw: desc[:len(desc)-cut]}
	}
	for name, test := range map[string]struct {
		note noteSpec
		want string
	}{
		"unknown probe":        {ours("new_ctx", sitePC+8, good), `"new_ctx" at 0x401018: unknown probe`},
		"session_enter":        {ours("session_enter", sitePC+8, "8@%rdi"), "unknown probe"},
		"too few arguments":    {ours("word_data", sitePC+8, good), "2 arguments, want 3"},
		"too many arguments":   {ours("new_context", sitePC+8, good+" 8@$1"), "3 arguments, want 2"},
		"no arguments":         {ours("new_context", sitePC+8, ""), "0 arguments, want 2"},
		"bad operand":          {ours("new_context", sitePC+8, "8@%rdi 8@%xmm1"), `argument 2 "8@%xmm1"`},
		"outside":              {ours("new_context", textAddr-1, good), "address 0x400fff is in no PF_X segment"},
		"past the segment":     {ours("new_context", textAddr+textSize, good), "is in no PF_X segment"},
		"not executable":       {ours("new_context", dataAddr, good), "is in no PF_X segment"},
		"semaphore in text":    {semaphore(textAddr), "semaphore: address 0x401000 is in no PF_W segment"},
		"semaphore at the end": {semaphore(dataAddr + dataSize - 1), "is in no PF_W segment"},
		"semaphore in bss":     {semaphore(dataAddr + dataSize), "is in no PF_W segment"},
		"odd semaphore":        {semaphore(dataAddr + 3), "semaphore at file offset"},
		"unknown symbol":       {ours("new_context", sitePC+8, "8@%rdi 8@x(%rip)"), `argument 2: find symbol "x": not in the symbol tables`},
		"short descriptor":     {noteSpec{raw: make([]byte, 23)}, "descriptor of 23 bytes"},
		"no provider":          {noteSpec{raw: make([]byte, 24)}, "provider is not terminated"},
		"endless arguments":    {raw(ours("new_context", sitePC+8, good), 1), "arguments of \"new_context\" at 0x401018 are not terminated"},
		"endless name":         {raw(ours("new_context", sitePC+8, ""), 2), "probe name at 0x401018 is not terminated"},
		"long name":            {ours(strings.Repeat("n", maxNameLength+1), sitePC+8, good), "not terminated within 256 bytes"},
		"long, not too long":   {ours(strings.Repeat("n", maxNameLength), sitePC+8, good), "unknown probe"},
		"long arguments":       {ours("new_context", sitePC+8, good+strings.Repeat(" ", maxSpecLength+1-len(good))), "not terminated within 1024 bytes"},
		"control characters":   {ours("new_context", sitePC+8, "8@%rdi 8@\x1b[2J"), `\x1b`},
		"line break":           {ours("new_context\n", sitePC+8, good), `"new_context\n"`},
	} {
		notes := []noteSpec{ours("new_context", sitePC, good), test.note, ours("new_context", sitePC+4, good)}
		f, err := elfSpec{base: baseAddr, notes: notes}.build(t).read()
		if err != nil || len(f.Sites) != 2 || len(f.Problems) != 1 || !strings.Contains(f.Problems[0].Error(), test.want) {
			t.Errorf("%s among good ones: got %+v, %v; want %q", name, f, err, test.want)
		}
		// If the bad note is the only note, Read returns an error, but not ErrNoProbes.
		f, err = elfSpec{base: baseAddr, notes: notes[1:2]}.build(t).read()
		if f == nil || len(f.Sites) != 0 || len(f.Problems) != 1 || err == nil || errors.Is(err, ErrNoProbes) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s alone: got %+v, %v", name, f, err)
		}
	}
	// An argument string of exactly the maximum length is valid.
	spec := good + strings.Repeat(" ", maxSpecLength-len(good))
	if f, err := (elfSpec{notes: []noteSpec{ours("new_context", sitePC, spec)}}).build(t).read(); err != nil || f.Sites[0].Spec != spec {
		t.Errorf("longest arguments: %v", err)
	}
}

func TestReadMisaligned(t *testing.T) {
	t.Parallel()
	_, err := elfSpec{machine: elf.EM_AARCH64, notes: []noteSpec{ours("new_context", sitePC+2, "8@x0 8@x1")}}.build(t).read()
	if err == nil || !strings.Contains(err.Error(), "where no instruction starts") {
		t.Error(err)
	}
}

func TestReadDuplicates(t *testing.T) {
	t.Parallel()
	f, err := elfSpec{notes: []noteSpec{
		ours("new_context", sitePC, "8@%rdi 8@%rsi"), ours("new_context", sitePC, "8@%rdi 8@%rsi"),
		ours("new_context", sitePC, "%rdi  8@%rsi"), ours("new_context", sitePC+1, "8@%rdi 8@%rsi"),
	}}.build(t).read()
	if err != nil || len(f.Sites) != 2 || f.Problems != nil || f.Sites[0].Spec != "8@%rdi 8@%rsi" {
		t.Errorf("got %+v, %v", f, err)
	}
}

// If the notes of one place differ, none of them is used, because it is unknown which of them applies at a hit.
func TestReadNotesThatDiffer(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]noteSpec{
		"constant":   ours("word_data", sitePC, "8@%rdi 8@%rsi 8@$4096"),
		"register":   ours("word_data", sitePC, "8@%rdi 8@%rdx 8@$1024"),
		"probe":      ours("string_data", sitePC, "8@%rdi 8@%rsi 8@$1024"),
		"unknown":    ours("new_probe", sitePC, "8@%rdi 8@%rsi 8@$1024"),
		"unreadable": ours("word_data", sitePC, "8@%rdi 8@%rsi 8@%xmm1"),
	} {
		first := ours("word_data", sitePC, "8@%rdi 8@%rsi 8@$1024")
		for _, notes := range [][]noteSpec{{first, other}, {other, first}, {first, first, other}} {
			notes = append(notes, ours("new_context", sitePC+1, "8@%rdi 8@%rsi"))
			f, err := elfSpec{notes: notes}.build(t).read()
			if err != nil || len(f.Sites) != 1 || f.Sites[0].Probe != NewContext || len(f.Problems) != 1 {
				t.Fatalf("%s: %+v, %v", name, f, err)
			}
			for _, want := range []string{"another note of this place differs: ", `8@$1024"`, other.args} {
				if !strings.Contains(f.Problems[0].Error(), want) {
					t.Errorf("%s: %v; want %q", name, f.Problems, want)
				}
			}
		}
	}
}

func TestReadSymbols(t *testing.T) {
	t.Parallel()
	object := elf.ST_INFO(elf.STB_LOCAL, elf.STT_OBJECT)
	x86 := elfSpec{
		notes: []noteSpec{
			ours("new_context", sitePC, "8@%rdi 8@state+8(%rip)"),
			ours("new_context", sitePC+4, "8@%rdi 8@twice(%rip)"),
			ours("new_context", sitePC+8, "8@%rdi 8@imported(%rip)"),
			ours("new_context", sitePC+12, "8@exported(%rip) 8@thread(%rip)"),
		},
		static: []symbolSpec{
			{"prefixed_state", 1, object, 1},
			{"state", dataAddr, object, 2},
			{"state", dataAddr, object, 2},
			{"twice", dataAddr, object, 2},
			{"twice", dataAddr + 8, object, 2},
			{"thread", 8, elf.ST_INFO(elf.STB_GLOBAL, elf.STT_TLS), 3},
			{"gnutls_handshake", textAddr, 0, 1},
		},
		dynamic: []symbolSpec{
			{"imported", 0, 0, 0},
			{"exported", dataAddr, elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT), 2},
			{"gnutls_handshake", 0, 0, 0},
			{"gnutls_handshake", dataAddr, object, 2},
		},
	}
	f, err := x86.build(t).read()
	if err != nil || len(f.Sites) != 2 || len(f.Problems) != 3 {
		t.Fatalf("got %+v, %v", f, err)
	}
	if want := (Operand{Memory, 8, false, 0, x86IP, none, 1, dataAddr + 8 - sitePC}); f.Sites[0].Args[1] != want {
		t.Errorf("got %+v, want %+v", f.Sites[0].Args[1], want)
	}
	// .dynsym only imports gnutls_handshake, so its entry point is the one that .symtab defines.
	if s := f.Sites[1]; s.Probe != SessionEnter || s.Offset != textOff {
		t.Errorf("got %+v", s)
	}
	for i, want := range []string{"several symbols", "not in the symbol tables", `"thread": not in`} {
		if !strings.Contains(f.Problems[i].Error(), want) {
			t.Errorf("problem %q, want %q", f.Problems[i], want)
		}
	}

	arm := elfSpec{
		machine: elf.EM_AARCH64, static: []symbolSpec{{"state", 0x603ff8, object, 2}},
		notes: []noteSpec{ours("new_context", sitePC, "8@x0 8@[x1, #:lo12:state+16]")},
	}
	f, err = arm.build(t).read()
	if err != nil || f.Sites[0].Args[1] != (Operand{Memory, 8, false, 0, 1, none, 1, 8}) {
		t.Errorf("got %+v, %v", f, err)
	}
}

// TestReadSymbolOnChunkBorder puts the wanted name at different positions around the border between two chunks of the
// string table.
func TestReadSymbolOnChunkBorder(t *testing.T) {
	t.Parallel()
	for _, padding := range []int{-40, -18, -17, -16, -2, -1, 0, 1} {
		filler := strings.Repeat("f", symbolChunk+padding)
		e := elfSpec{notes: []noteSpec{ours("new_context", sitePC, "8@%rdi 8@%rsi")}, dynamic: []symbolSpec{
			{filler, 0, 0, 0}, {"gnutls_handshake", textAddr, 0, 1},
		}}
		if f, err := e.build(t).read(); err != nil || len(f.Sites) != 2 {
			t.Errorf("%d: got %+v, %v", padding, f, err)
		}
	}
}

func TestReadWithoutSections(t *testing.T) {
	t.Parallel()
	e := everyProbe(elf.EM_X86_64)
	e.noSections = true
	f, err := e.build(t).read()
	if err != nil || len(f.Sites) != 6 || f.BuildID != "deadbeef" {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestReadNoProbes(t *testing.T) {
	t.Parallel()
	other := noteSpec{provider: "libc", name: "setjmp", args: "8@%mm0"}
	for _, e := range []elfSpec{{}, {noSections: true}, {notes: []noteSpec{other}}, {notes: []noteSpec{}, buildID: "x"}} {
		if f, err := e.build(t).read(); f != nil || !errors.Is(err, ErrNoProbes) || !strings.Contains(err.Error(), "lib.so") {
			t.Errorf("got %+v, %v", f, err)
		}
	}
}

func TestOpenReadsRegularFilesOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "lib.so")
	if err := os.WriteFile(path, everyProbe(elf.EM_X86_64).build(t).data, 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := Open(path); err != nil || len(f.Sites) != 7 || f.Path != path {
		t.Errorf("got %+v, %v", f, err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no ELF"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(text); !errors.Is(err, ErrNotELF) || !strings.Contains(err.Error(), text) {
		t.Errorf("text file: %v", err)
	}
	if _, err := Open(filepath.Join(dir, "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, path := range []string{fifo, dir, "/dev/zero"} {
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path+": not a regular file") {
				t.Errorf("%s: %v", path, err)
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("hangs on a FIFO, a directory or a device")
	}
}

func TestProbeString(t *testing.T) {
	t.Parallel()
	for p, want := range map[Probe]string{0: "Probe(0)", NewContext: "new_context", NewContextWithData: "new_context_with_data", SessionEnter: "session_enter", SessionLeave: "session_leave", 9: "Probe(9)"} {
		if p.String() != want {
			t.Errorf("got %s, want %s", p, want)
		}
	}
}
