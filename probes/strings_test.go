// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// rodata is the header of a valid section .rodata, which covers the whole text segment.
var rodata = elf.Section64{
	Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_ALLOC), Addr: textAddr, Off: textOff, Size: textSize,
}

func TestReadStrings(t *testing.T) {
	t.Parallel()
	with := func(change func(s *elf.Section64)) *elf.Section64 {
		s := rodata
		change(&s)
		return &s
	}
	good := Strings{Address: textAddr, Offset: textOff, Size: textSize}
	for name, c := range map[string]struct {
		section *elf.Section64
		want    Strings
	}{
		"none":              {nil, Strings{}},
		"a whole segment":   {&rodata, good},
		"of fixed size":     {with(func(s *elf.Section64) { s.Flags |= uint64(elf.SHF_MERGE | elf.SHF_STRINGS) }), good},
		"a part of it":      {with(func(s *elf.Section64) { s.Addr += 8; s.Off += 8; s.Size -= 16 }), Strings{textAddr + 8, textOff + 8, textSize - 16}},
		"one byte too many": {with(func(s *elf.Section64) { s.Size++ }), Strings{}},
		"before it":         {with(func(s *elf.Section64) { s.Addr--; s.Off-- }), Strings{}},
		"elsewhere":         {with(func(s *elf.Section64) { s.Off++ }), Strings{}},
		"empty":             {with(func(s *elf.Section64) { s.Size = 0 }), Strings{}},
		"endless":           {with(func(s *elf.Section64) { s.Size = math.MaxUint64 }), Strings{}},
		"too large":         {with(func(s *elf.Section64) { s.Size = maxStrings + 1 }), Strings{}},
		"not in memory":     {with(func(s *elf.Section64) { s.Flags = 0 }), Strings{}},
		"not in the file":   {with(func(s *elf.Section64) { s.Type = uint32(elf.SHT_NOBITS) }), Strings{}},
		"said writable":     {with(func(s *elf.Section64) { s.Flags |= uint64(elf.SHF_WRITE) }), Strings{}},
		"really writable": {
			with(func(s *elf.Section64) { s.Addr, s.Off, s.Size = dataAddr, dataOff, dataSize }), Strings{},
		},
	} {
		e := elfSpec{notes: []noteSpec{ours("new_context", sitePC, "8@%rdi 8@%rsi")}, rodata: c.section}
		f, err := e.build(t).read()
		if err != nil || f.Strings != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, f.Strings, err, c.want)
		}
	}
}

// String constants are not used if a writable segment has a page in common with them.
func TestReadStringsBesideData(t *testing.T) {
	t.Parallel()
	for vaddr, want := range map[uint64]bool{
		textAddr + 0x0fff: false, textAddr + 0x1000: true, textAddr - 0x1000 - dataSize*2: true, textAddr - dataSize*2 + 1: false,
		textAddr + textSize: false, math.MaxUint64 - 8: false,
	} {
		b := elfSpec{notes: []noteSpec{ours("new_context", sitePC, "8@%rdi 8@%rsi")}, rodata: &rodata}.build(t)
		b.patch(64+56+16, vaddr) // address of the second segment, which is writable
		f, err := b.read()
		if err != nil || (f.Strings != Strings{}) != want {
			t.Errorf("data at %#x: strings %+v, %v; want any: %v", vaddr, f.Strings, err, want)
		}
	}
}

func TestStringsRead(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := (Strings{Offset: 3, Size: 7}).Read(path); err != nil || string(got) != "3456789" {
		t.Errorf("got %q, %v", got, err)
	}
	for want, s := range map[string]Strings{
		"EOF":                  {Offset: 4, Size: 7}, // the file has shrunk
		"the limit is 8388608": {Size: maxStrings + 1},
	} {
		if got, err := s.Read(path); got != nil || err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %q, %v; want %q", s, got, err, want)
		}
	}
	if _, err := (Strings{Size: 1}).Read(filepath.Dir(path)); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("of a folder: %v", err)
	}
	held, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got, err := (Strings{Offset: 0, Size: 2}).Read(filepath.Join("/proc/self/fd", strconv.FormatUint(uint64(held.Fd()), 10))); err != nil || string(got) != "01" {
		t.Errorf("of a deleted file that is held: %q, %v", got, err)
	}
}
