// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// ErrUnsupported is returned for an ELF file that may have probes but is of a kind that cannot be attached to: 32-bit,
// big-endian, or for another machine. The error that wraps it gives the reason.
var ErrUnsupported = errors.New("cannot be attached to")

// nativeMachine is the machine that this program runs on.
func nativeMachine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// CheckNative returns an error that wraps [ErrUnsupported] unless the file is for the machine that this program runs
// on. The kernel would accept uprobes on a file for another machine, but no process here executes such a file.
func (f *File) CheckNative() error {
	if native := nativeMachine(); f.Machine != native {
		return fmt.Errorf("%s: %s file on %s: %w", f.Path, f.Machine, native, ErrUnsupported)
	}
	return nil
}

// checkNativeFile does the check of CheckNative for the file at path, which may be /proc/self/fd/N. It also rejects
// files that are not ELF files, and 32-bit files.
func checkNativeFile(path string) error {
	f, err := openRegular(path)
	if err != nil {
		return err
	}
	defer f.Close()
	header := make([]byte, binary.Size(elf.Header32{}))
	if _, err := f.ReadAt(header, 0); errors.Is(err, io.EOF) || err == nil && !bytes.HasPrefix(header, []byte(elf.ELFMAG)) {
		return ErrNotELF
	} else if err != nil {
		return err
	}
	if class := elf.Class(header[elf.EI_CLASS]); class != elf.ELFCLASS64 {
		return fmt.Errorf("%s: %w", class, ErrUnsupported)
	}
	return (&File{Path: path, Machine: elf.Machine(byteOrder(header).Uint16(header[18:]))}).CheckNative()
}

// byteOrder returns the byte order of the ELF file that starts with ident.
func byteOrder(ident []byte) binary.ByteOrder {
	if elf.Data(ident[elf.EI_DATA]) == elf.ELFDATA2MSB {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// unsupported returns the error for a file of a kind that newImage does not support: [ErrNoProbes] if the file has no
// note that isOurs accepts, else [ErrUnsupported]. It also returns [ErrUnsupported] for a damaged file, whose notes
// cannot be read.
func (im *image) unsupported(ident []byte, kind string) error {
	if found, err := im.mentionsProvider(ident); err == nil && !found {
		return ErrNoProbes
	}
	return fmt.Errorf("%s is not supported, only 64-bit little-endian x86-64 and arm64: file %w", kind, ErrUnsupported)
}

// mentionsProvider reports whether a section .note.stapsdt of the file mentions a probe that isOurs accepts. The file
// may be of any class and byte order.
func (im *image) mentionsProvider(ident []byte) (bool, error) {
	order := byteOrder(ident)
	decode := func(offset, length uint64, into any) error {
		data, err := im.read(offset, length)
		if err == nil {
			_, err = binary.Decode(data, order, into)
		}
		return err
	}
	var sections []elf.Section64
	var names uint64 // index of the section with the section names
	if elf.Class(ident[elf.EI_CLASS]) == elf.ELFCLASS64 {
		var header elf.Header64
		if err := decode(0, uint64(binary.Size(header)), &header); err != nil {
			return false, err
		}
		sections, names = make([]elf.Section64, min(header.Shnum, maxSections)), uint64(header.Shstrndx)
		if err := decode(header.Shoff, uint64(binary.Size(sections)), sections); err != nil {
			return false, err
		}
	} else {
		var header elf.Header32
		if err := decode(0, uint64(binary.Size(header)), &header); err != nil {
			return false, err
		}
		short := make([]elf.Section32, min(header.Shnum, maxSections))
		if err := decode(uint64(header.Shoff), uint64(binary.Size(short)), short); err != nil {
			return false, err
		}
		names = uint64(header.Shstrndx)
		for _, s := range short {
			sections = append(sections, elf.Section64{Name: s.Name, Type: s.Type, Off: uint64(s.Off), Size: uint64(s.Size)})
		}
	}
	if names >= uint64(len(sections)) || sections[names].Size > maxSectionNames {
		return false, errors.New("no section names")
	}
	text, err := im.read(sections[names].Off, sections[names].Size)
	if err != nil {
		return false, err
	}
	budget := uint64(maxNoteBytes)
	for _, s := range sections {
		if elf.SectionType(s.Type) != elf.SHT_NOTE || uint64(s.Name) >= uint64(len(text)) {
			continue
		}
		if name, _ := cString(text[s.Name:], maxNameLength); name != noteSection {
			continue
		}
		if s.Size > budget {
			return false, fmt.Errorf("more than %d bytes of notes", maxNoteBytes)
		}
		budget -= s.Size
		notes, err := im.read(s.Off, s.Size)
		if err != nil {
			return false, err
		}
		if mentionsOurs(notes) {
			return true, nil
		}
	}
	return false, nil
}

// mentionsOurs reports whether the notes contain the names of a provider and a probe that isOurs accepts, one after the
// other.
func mentionsOurs(notes []byte) bool {
	for _, p := range providers {
		start := []byte(p.name + "\x00")
		for rest := notes; ; {
			_, after, found := bytes.Cut(rest, start)
			if !found {
				break
			}
			if probe, _ := cString(after, maxNameLength); isOurs(p.name, probe) {
				return true
			}
			rest = after
		}
	}
	return false
}
