// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"fmt"
)

// Strings is the location of a file's string constants. It is only set if every process maps this memory read-only, but
// a process can still change its copy with mprotect or ptrace. The zero value means that the file has no such memory.
type Strings struct {
	Address uint64 // virtual address in the file
	Offset  uint64 // file offset
	Size    uint64 // in bytes, at most 8 MiB
}

// strings returns the location of .rodata if it is mapped read-only from the file.
func (im *image) strings() Strings {
	s := im.section(".rodata")
	if s == nil || s.Size == 0 || s.Size > maxStrings || s.Addr+s.Size < s.Addr {
		return Strings{}
	}
	const unwanted = elf.SHF_WRITE | elf.SHF_TLS | elf.SHF_COMPRESSED
	if flags := elf.SectionFlag(s.Flags); elf.SectionType(s.Type) != elf.SHT_PROGBITS || flags&elf.SHF_ALLOC == 0 || flags&unwanted != 0 {
		return Strings{}
	}
	offset, err := im.fileOffset(s.Addr, s.Size, elf.PF_R)
	if err != nil || offset != s.Off || im.writable(s.Addr, s.Size) {
		return Strings{}
	}
	return Strings{Address: s.Addr, Offset: offset, Size: s.Size}
}

// writable reports whether a writable segment has a page in common with the bytes. A segment that becomes read-only
// after relocation counts as writable.
func (im *image) writable(address, size uint64) bool {
	const page = 4096
	for _, s := range im.segments {
		if elf.ProgType(s.Type) != elf.PT_LOAD || elf.ProgFlag(s.Flags)&elf.PF_W == 0 || s.Memsz == 0 {
			continue
		}
		first, last := s.Vaddr&^(page-1), (s.Vaddr+s.Memsz-1)|(page-1)
		if last < first || address <= last && first < address+size {
			return true
		}
	}
	return false
}

// Read returns the string constants of the file at path, which may be /proc/self/fd/N.
func (s Strings) Read(path string) ([]byte, error) {
	if s.Size > maxStrings {
		return nil, fmt.Errorf("read strings of %s: %d bytes, the limit is %d", path, s.Size, maxStrings)
	}
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content := make([]byte, s.Size)
	if n, err := f.ReadAt(content, int64(s.Offset)); n < len(content) {
		return nil, fmt.Errorf("read strings of %s: %w", path, err)
	}
	return content, nil
}
