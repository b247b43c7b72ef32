// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"testing"
)

// The layout of the files that elfSpec.build returns.
const (
	textAddr, textOff, textSize = 0x401000, 0x200, 0x80
	dataAddr, dataOff, dataSize = 0x603280, 0x280, 0x40
	baseAddr                    = 0x401070
	sitePC                      = textAddr + 0x10
	siteOff                     = textOff + 0x10
)

// noteSpec describes a stapsdt note to build.
type noteSpec struct {
	provider, name, args string
	pc, base, semaphore  uint64
	raw                  []byte // if set, the whole descriptor; replaces the fields above
}

// provider is the provider in the notes returned by the function ours.
const provider = "crypto_auditing"

// ours returns a valid note of provider crypto_auditing.
func ours(name string, pc uint64, args string) noteSpec {
	return noteSpec{provider: provider, name: name, args: args, pc: pc, base: baseAddr}
}

func (n noteSpec) desc() []byte {
	if n.raw != nil {
		return n.raw
	}
	var b bytes.Buffer
	for _, word := range []uint64{n.pc, n.base, n.semaphore} {
		b.Write(binary.LittleEndian.AppendUint64(nil, word))
	}
	for _, text := range []string{n.provider, n.name, n.args} {
		b.WriteString(text)
		b.WriteByte(0)
	}
	return b.Bytes()
}

type symbolSpec struct {
	name    string
	address uint64
	info    uint8 // 0 means a global function
	section uint16
}

// elfSpec describes a file to build. The zero value is an x86-64 shared object without notes.
type elfSpec struct {
	machine    elf.Machine // 0 means x86-64
	notes      []noteSpec
	base       uint64 // address of .stapsdt.base; 0 for no such section
	buildID    string
	soname     string
	dynamic    []symbolSpec // symbols in .dynsym
	static     []symbolSpec // symbols in .symtab
	rodata     *elf.Section64
	text       []byte // code at textAddr; nops fill the rest of the segment
	noSections bool   // without section headers: the notes are found through their PT_NOTE segment
}

// built is a file with the positions of its section headers, for tests that damage it.
type built struct {
	data     []byte
	sections map[string]int // file offsets of the section headers, by section name
}

// patch overwrites the bytes at offset with a number in little-endian encoding.
func (b built) patch(offset int, value any) {
	if _, err := binary.Encode(b.data[offset:], binary.LittleEndian, value); err != nil {
		panic(err)
	}
}

func noteBytes(owner string, kind uint32, desc []byte) []byte {
	var b []byte
	b = binary.LittleEndian.AppendUint32(b, uint32(len(owner)+1))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(desc)))
	b = binary.LittleEndian.AppendUint32(b, kind)
	b = append(append(b, owner...), 0)
	b = pad4(b)
	return pad4(append(b, desc...))
}

func pad4(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// encode returns the little-endian encoding of fixed-size structures.
func encode(values ...any) []byte {
	var b []byte
	for _, v := range values {
		b, _ = binary.Append(b, binary.LittleEndian, v)
	}
	return b
}

// symbolTable returns the content of a symbol table and of its string table.
func symbolTable(symbols []symbolSpec) (table, names []byte) {
	table, names = make([]byte, elf.Sym64Size), []byte{0}
	for _, s := range symbols {
		if s.info == 0 {
			s.info = elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)
		}
		table = append(table, encode(elf.Sym64{
			Name: uint32(len(names)), Info: s.info, Shndx: s.section, Value: s.address,
		})...)
		names = append(append(names, s.name...), 0)
	}
	return table, names
}

// build returns the file that e describes.
func (e elfSpec) build(tb testing.TB) built {
	tb.Helper()
	if e.machine == 0 {
		e.machine = elf.EM_X86_64
	}
	out := make([]byte, dataOff+dataSize)
	copy(out[textOff:], e.text)
	nop := nop1
	if e.machine == elf.EM_AARCH64 {
		nop = nopARM
	}
	for i := textOff + len(e.text); i < textOff+textSize; i += len(nop) {
		copy(out[i:], nop)
	}
	place := func(data []byte) (offset, size uint64) {
		for len(out)%8 != 0 {
			out = append(out, 0)
		}
		offset = uint64(len(out))
		out = append(out, data...)
		return offset, uint64(len(data))
	}

	segments := []elf.Prog64{
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Off: textOff, Vaddr: textAddr, Filesz: textSize, Memsz: textSize},
		{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_W), Off: dataOff, Vaddr: dataAddr, Filesz: dataSize, Memsz: 2 * dataSize},
	}
	sections := []section{{}}
	if e.buildID != "" {
		offset, size := place(noteBytes("GNU", gnuBuildID, []byte(e.buildID)))
		segments = append(segments, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: offset, Filesz: size, Align: 4})
	}
	if e.soname != "" {
		name, size := place(append([]byte("x\x00"+e.soname), 0))
		segments = append(segments, elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R), Off: name, Vaddr: 0x700000, Filesz: size})
		offset, size := place(encode(
			elf.Dyn64{Tag: int64(elf.DT_SONAME), Val: 2}, elf.Dyn64{Tag: int64(elf.DT_STRTAB), Val: 0x700000}, elf.Dyn64{},
		))
		segments = append(segments, elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Off: offset, Filesz: size})
	}
	var notes []byte
	for _, n := range e.notes {
		notes = append(notes, noteBytes(stapOwner, stapType, n.desc())...)
	}
	if e.notes != nil {
		offset, size := place(notes)
		segments = append(segments, elf.Prog64{Type: uint32(elf.PT_NOTE), Off: offset, Filesz: size, Align: 4})
		sections = append(sections, section{name: ".note.stapsdt", Section64: elf.Section64{Type: uint32(elf.SHT_NOTE), Off: offset, Size: size}})
	}
	if e.base != 0 {
		sections = append(sections, section{name: ".stapsdt.base", Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS), Addr: e.base, Size: 1}})
	}
	if e.rodata != nil {
		sections = append(sections, section{name: ".rodata", Section64: *e.rodata})
	}
	for _, t := range []struct {
		name    string
		kind    elf.SectionType
		symbols []symbolSpec
	}{{".dynsym", elf.SHT_DYNSYM, e.dynamic}, {".symtab", elf.SHT_SYMTAB, e.static}} {
		if t.symbols == nil {
			continue
		}
		table, names := symbolTable(t.symbols)
		offset, size := place(table)
		sections = append(sections, section{name: t.name, Section64: elf.Section64{
			Type: uint32(t.kind), Off: offset, Size: size, Entsize: elf.Sym64Size, Link: uint32(len(sections) + 1),
		}})
		offset, size = place(names)
		sections = append(sections, section{name: t.name + ".str", Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB), Off: offset, Size: size}})
	}

	header := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(e.machine), Version: 1,
		Phoff: 64, Phentsize: 56, Phnum: uint16(len(segments)), Ehsize: 64,
	}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	at := make(map[string]int)
	if !e.noSections {
		names := []byte{0}
		sections = append(sections, section{name: ".shstrtab", Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB)}})
		for i := range sections {
			sections[i].Name = uint32(len(names))
			names = append(append(names, sections[i].name...), 0)
		}
		last := len(sections) - 1
		sections[last].Off, sections[last].Size = place(names)
		var table []byte
		for i, s := range sections {
			at[s.name] = i * 64
			table = append(table, encode(s.Section64)...)
		}
		header.Shoff, _ = place(table)
		header.Shentsize, header.Shnum, header.Shstrndx = 64, uint16(len(sections)), uint16(last)
		for name := range at {
			at[name] += int(header.Shoff)
		}
	}
	copy(out, encode(header, segments))
	if 64+56*len(segments) > textOff {
		tb.Fatal("too many segments for the builder")
	}
	return built{out, at}
}

// read parses the file under the path lib.so.
func (b built) read() (*File, error) {
	return Read(bytes.NewReader(b.data), int64(len(b.data)), "lib.so")
}
