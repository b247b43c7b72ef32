// SPDX-License-Identifier: Apache-2.0

package loader

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
)

const (
	maxSegments = 128      // program headers of one file
	maxDynamic  = 64 << 10 // bytes of the dynamic section
	maxStrings  = 4 << 20  // bytes of the dynamic string table
	maxNeeded   = 512      // libraries that one file needs
	maxInterp   = 4096     // bytes of the path of the interpreter
)

// object is the information in an ELF file that the dynamic loader uses.
type object struct {
	path    string // within the program's root folder
	interp  string
	needed  []string
	rpath   []string // ignored by the loader if there is a runpath
	runpath []string
	loader  *object // object that needs this one; nil for the program
}

var errNotNative = errors.New("not a 64-bit ELF file for this machine")

// machine returns the machine for which files are traced, which is this one.
func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// readObject reads an ELF file by its program headers, as the loader does: section headers may be missing.
func readObject(r io.ReaderAt) (*object, error) {
	var header [64]byte
	if _, err := r.ReadAt(header[:], 0); err != nil {
		return nil, err
	}
	order := binary.LittleEndian
	if string(header[:4]) != elf.ELFMAG || header[4] != byte(elf.ELFCLASS64) || header[5] != byte(elf.ELFDATA2LSB) ||
		elf.Machine(order.Uint16(header[18:])) != machine() {
		return nil, errNotNative
	}
	count := min(int(order.Uint16(header[56:])), maxSegments)
	headers := make([]byte, 56*count)
	if order.Uint16(header[54:]) != 56 {
		return nil, errNotNative
	}
	if _, err := r.ReadAt(headers, int64(order.Uint64(header[32:]))); err != nil {
		return nil, err
	}
	var segments []elf.ProgHeader
	for h := headers; len(h) > 0; h = h[56:] {
		segments = append(segments, elf.ProgHeader{
			Type: elf.ProgType(order.Uint32(h)), Off: order.Uint64(h[8:]), Vaddr: order.Uint64(h[16:]),
			Filesz: order.Uint64(h[32:]),
		})
	}
	o := &object{}
	for _, s := range segments {
		switch s.Type {
		case elf.PT_INTERP:
			text, err := readPart(r, s.Off, min(s.Filesz, maxInterp))
			if err != nil {
				return nil, err
			}
			text, _, _ = bytes.Cut(text, []byte{0})
			o.interp = string(text)
		case elf.PT_DYNAMIC:
			dynamic, err := readPart(r, s.Off, min(s.Filesz, maxDynamic)&^15)
			if err != nil {
				return nil, err
			}
			if err := o.readDynamic(r, segments, dynamic); err != nil {
				return nil, err
			}
		}
	}
	return o, nil
}

func readPart(r io.ReaderAt, offset, size uint64) ([]byte, error) {
	data := make([]byte, size)
	_, err := r.ReadAt(data, int64(offset))
	return data, err
}

// readDynamic reads those entries of the dynamic section that name other files.
func (o *object) readDynamic(r io.ReaderAt, segments []elf.ProgHeader, dynamic []byte) error {
	var table, size uint64
	var needed, rpath, runpath []uint64
	for d := dynamic; len(d) > 0; d = d[16:] {
		value := binary.LittleEndian.Uint64(d[8:])
		switch elf.DynTag(binary.LittleEndian.Uint64(d)) {
		case elf.DT_STRTAB:
			table = value
		case elf.DT_STRSZ:
			size = value
		case elf.DT_NEEDED:
			needed = append(needed, value)
		case elf.DT_RPATH:
			rpath = append(rpath, value)
		case elf.DT_RUNPATH:
			runpath = append(runpath, value)
		case elf.DT_NULL:
			d = d[:16] // ends the loop
		}
	}
	for _, s := range segments {
		if s.Type != elf.PT_LOAD || table < s.Vaddr || table-s.Vaddr >= s.Filesz {
			continue
		}
		start := table - s.Vaddr
		strs, err := readPart(r, s.Off+start, min(size, s.Filesz-start, maxStrings))
		if err != nil {
			return err
		}
		text := func(offset uint64) string {
			if offset >= uint64(len(strs)) {
				return ""
			}
			text, _, _ := bytes.Cut(strs[offset:], []byte{0})
			return string(text)
		}
		for _, offset := range needed[:min(len(needed), maxNeeded)] {
			o.needed = append(o.needed, text(offset))
		}
		for _, offset := range rpath {
			o.rpath = append(o.rpath, strings.Split(text(offset), ":")...)
		}
		for _, offset := range runpath {
			o.runpath = append(o.runpath, strings.Split(text(offset), ":")...)
		}
		return nil
	}
	return nil
}
