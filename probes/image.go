// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// image holds the headers of an ELF file and gives bounded access to the rest of the file.
type image struct {
	r        io.ReaderAt
	size     uint64
	header   elf.Header64
	machine  elf.Machine
	segments []elf.Prog64
	sections []section
}

type section struct {
	elf.Section64
	name string
}

// errOutside is returned for data that lies outside the file.
var errOutside = errors.New("outside the file")

// newImage reads the headers of an ELF file.
func newImage(r io.ReaderAt, size int64) (*image, error) {
	if size < 0 {
		return nil, fmt.Errorf("negative size %d", size)
	}
	im := &image{r: r, size: uint64(size)}
	ident := make([]byte, elf.EI_NIDENT)
	if n, err := r.ReadAt(ident[:min(size, elf.EI_NIDENT)], 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read identification: %w", err)
	} else if !bytes.HasPrefix(ident[:n], []byte(elf.ELFMAG)) {
		return nil, ErrNotELF
	}
	if class := elf.Class(ident[elf.EI_CLASS]); class != elf.ELFCLASS64 {
		return nil, im.unsupported(ident, class.String())
	}
	if data := elf.Data(ident[elf.EI_DATA]); data != elf.ELFDATA2LSB {
		return nil, im.unsupported(ident, data.String())
	}
	if err := im.decode(0, uint64(binary.Size(im.header)), &im.header); err != nil {
		return nil, fmt.Errorf("read ELF header: %w", err)
	}
	im.machine = elf.Machine(im.header.Machine)
	if im.machine != elf.EM_X86_64 && im.machine != elf.EM_AARCH64 {
		return nil, im.unsupported(ident, "machine "+im.machine.String())
	}
	if kind := elf.Type(im.header.Type); kind != elf.ET_EXEC && kind != elf.ET_DYN {
		return nil, fmt.Errorf("%s is neither an executable nor a shared object", kind)
	}
	if err := im.readSegments(); err != nil {
		return nil, fmt.Errorf("read program headers: %w", err)
	}
	if err := im.readSections(); err != nil {
		return nil, fmt.Errorf("read section headers: %w", err)
	}
	return im, nil
}

// read returns length bytes at offset. It allocates length bytes, so the caller must limit length.
func (im *image) read(offset, length uint64) ([]byte, error) {
	if offset > im.size || length > im.size-offset { // checked before memory is allocated
		return nil, fmt.Errorf("%d bytes at offset %#x: %w", length, offset, errOutside)
	}
	data := make([]byte, length)
	return data, im.readInto(data, offset)
}

// readInto fills data with the bytes of the file at offset.
func (im *image) readInto(data []byte, offset uint64) error {
	if offset > im.size || uint64(len(data)) > im.size-offset {
		return fmt.Errorf("%d bytes at offset %#x: %w", len(data), offset, errOutside)
	}
	if n, err := im.r.ReadAt(data, int64(offset)); n < len(data) {
		return fmt.Errorf("read %d bytes at offset %#x: %w", len(data), offset, err)
	}
	return nil
}

// decode reads length bytes at offset into a structure or a slice of structures.
func (im *image) decode(offset, length uint64, into any) error {
	data, err := im.read(offset, length)
	if err != nil {
		return err
	}
	_, err = binary.Decode(data, binary.LittleEndian, into)
	return err
}

func (im *image) readSegments() error {
	count, entry := uint64(im.header.Phnum), uint64(im.header.Phentsize)
	if count == 0 {
		return nil
	}
	if want := uint64(binary.Size(elf.Prog64{})); entry != want {
		return fmt.Errorf("entry size %d, want %d", entry, want)
	}
	if count > maxSegments {
		return fmt.Errorf("%d entries, the limit is %d", count, maxSegments)
	}
	im.segments = make([]elf.Prog64, count)
	return im.decode(im.header.Phoff, count*entry, im.segments)
}

// readSections reads the section headers and their names. A file may have no section headers. An e_shnum of 0 can also
// mean more than 65279 sections, which is not supported: such a file is treated as one without section headers.
func (im *image) readSections() error {
	count, entry := uint64(im.header.Shnum), uint64(im.header.Shentsize)
	if im.header.Shoff == 0 || count == 0 {
		return nil
	}
	if want := uint64(binary.Size(elf.Section64{})); entry != want {
		return fmt.Errorf("entry size %d, want %d", entry, want)
	}
	if count > maxSections {
		return fmt.Errorf("%d entries, the limit is %d", count, maxSections)
	}
	headers := make([]elf.Section64, count)
	if err := im.decode(im.header.Shoff, count*entry, headers); err != nil {
		return err
	}
	strings := uint64(im.header.Shstrndx)
	if strings >= count {
		return fmt.Errorf("name table is section %d of %d", strings, count)
	}
	if headers[strings].Size > maxSectionNames {
		return fmt.Errorf("name table of %d bytes, the limit is %d", headers[strings].Size, maxSectionNames)
	}
	names, err := im.read(headers[strings].Off, headers[strings].Size)
	if err != nil {
		return fmt.Errorf("read names: %w", err)
	}
	im.sections = make([]section, count)
	for i, header := range headers {
		im.sections[i].Section64 = header
		if uint64(header.Name) < uint64(len(names)) {
			im.sections[i].name, _ = cString(names[header.Name:], maxNameLength)
		}
	}
	return nil
}

// section returns the first section with that name, or nil if there is none.
func (im *image) section(name string) *section {
	for i := range im.sections {
		if im.sections[i].name == name {
			return &im.sections[i]
		}
	}
	return nil
}

// fileOffset translates a virtual address to a file offset, using only the PT_LOAD segments that have the flag. At
// least length bytes at the address must be in the file.
func (im *image) fileOffset(address, length uint64, flag elf.ProgFlag) (uint64, error) {
	for _, s := range im.segments {
		if elf.ProgType(s.Type) != elf.PT_LOAD || elf.ProgFlag(s.Flags)&flag == 0 {
			continue
		}
		if address < s.Vaddr || address-s.Vaddr >= s.Filesz || length > s.Filesz-(address-s.Vaddr) {
			continue
		}
		offset := address - s.Vaddr + s.Off
		if offset < s.Off || offset > im.size || length > im.size-offset {
			return 0, fmt.Errorf("address %#x: %w", address, errOutside)
		}
		return offset, nil
	}
	return 0, fmt.Errorf("address %#x is in no %s segment of the file", address, flag)
}

// dynamic returns the entries of the PT_DYNAMIC segment, or nil if there is no such segment or it cannot be read.
func (im *image) dynamic() []elf.Dyn64 {
	for _, s := range im.segments {
		if elf.ProgType(s.Type) != elf.PT_DYNAMIC {
			continue
		}
		entry := uint64(binary.Size(elf.Dyn64{}))
		entries := make([]elf.Dyn64, min(s.Filesz/entry, maxDynamic))
		if err := im.decode(s.Off, uint64(len(entries))*entry, entries); err != nil {
			return nil
		}
		return entries
	}
	return nil
}

// soname returns DT_SONAME, or "" if the file has no such entry or the name is not printable ASCII.
func (im *image) soname() string {
	var name, table uint64
	var named bool
	for _, e := range im.dynamic() {
		switch elf.DynTag(e.Tag) {
		case elf.DT_SONAME:
			name, named = e.Val, true
		case elf.DT_STRTAB:
			table = e.Val
		}
	}
	if !named {
		return ""
	}
	offset, err := im.fileOffset(table+name, 1, elf.PF_R)
	if err != nil {
		return ""
	}
	data, err := im.read(offset, min(maxNameLength+1, im.size-offset))
	if err != nil {
		return ""
	}
	text, _ := cString(data, maxNameLength)
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return ""
		}
	}
	return text
}

// cString returns the bytes before the first NUL, and false if there is no NUL within limit+1 bytes.
func cString(data []byte, limit int) (string, bool) {
	end := bytes.IndexByte(data[:min(len(data), limit+1)], 0)
	if end < 0 {
		return "", false
	}
	return string(data[:end]), true
}
