// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

const (
	noteSection = ".note.stapsdt"
	stapOwner   = "stapsdt" // _SDT_NOTE_NAME of <sys/sdt.h>
	stapType    = 3         // _SDT_NOTE_TYPE
	gnuBuildID  = 3         // NT_GNU_BUILD_ID
	maxBuildID  = 64        // bytes; the kernel takes at most 20
)

// note is the content of a note that isOurs accepts. Its addresses and arguments have not been interpreted yet.
type note struct {
	name      string // name of the probe
	pc        uint64 // address of the nop when the note was written
	base      uint64 // address of the section .stapsdt.base when the note was written
	semaphore uint64 // address of the semaphore when the note was written; 0 if the probe has none
	spec      string // argument string
}

// eachNote calls visit for every note in data. Names and descriptors are padded to 8 bytes if align is 8, which is the
// alignment of some segments, and to 4 bytes otherwise.
func eachNote(data []byte, align uint64, visit func(owner string, kind uint32, desc []byte)) error {
	if align != 8 {
		align = 4
	}
	padded := func(n uint32) uint64 { return (uint64(n) + align - 1) &^ (align - 1) }
	for number := 0; len(data) > 0; number++ {
		if len(data) < 12 {
			return fmt.Errorf("note %d: header of %d bytes", number, len(data))
		}
		nameSize := binary.LittleEndian.Uint32(data)
		descSize := binary.LittleEndian.Uint32(data[4:])
		kind := binary.LittleEndian.Uint32(data[8:])
		// Padding is relative to the start of the note, which has a header of 12 bytes.
		descStart := (12 + uint64(nameSize) + align - 1) &^ (align - 1)
		if descStart > uint64(len(data)) || uint64(descSize) > uint64(len(data))-descStart {
			return fmt.Errorf("note %d: name of %d and descriptor of %d bytes do not fit", number, nameSize, descSize)
		}
		owner, _ := cString(data[12:12+nameSize], maxNameLength)
		visit(owner, kind, data[descStart:descStart+uint64(descSize)])
		data = data[min(descStart+padded(descSize), uint64(len(data))):]
	}
	return nil
}

// notes returns all notes accepted by isOurs. It reads the sections named .note.stapsdt or, in a file without section
// headers, the PT_NOTE segments.
func (im *image) notes(failed *problems) []note {
	var found []note
	budget := uint64(maxNoteBytes)
	total := 0
	read := func(origin string, offset, size, align uint64) {
		if size > budget {
			failed.add(fmt.Errorf("%s: more than %d bytes of notes", origin, maxNoteBytes))
			return
		}
		budget -= size
		data, err := im.read(offset, size)
		if err != nil {
			failed.add(fmt.Errorf("%s: %w", origin, err))
			return
		}
		if err := eachNote(data, align, func(owner string, kind uint32, desc []byte) {
			if owner != stapOwner || kind != stapType {
				return
			}
			n, ours, err := parseNote(desc)
			switch {
			case err != nil:
				failed.add(fmt.Errorf("%s: %w", origin, err))
			case !ours:
			case total == maxNotes:
				failed.add(fmt.Errorf("%s: %s at %#x: more than %d notes", origin, n.name, n.pc, maxNotes))
			default:
				total++
				found = append(found, n)
			}
		}); err != nil {
			failed.add(fmt.Errorf("%s: %w", origin, err))
		}
	}
	if len(im.sections) == 0 {
		for i, s := range im.segments {
			if elf.ProgType(s.Type) == elf.PT_NOTE {
				read(fmt.Sprintf("segment %d", i), s.Off, s.Filesz, s.Align)
			}
		}
		return found
	}
	for i, s := range im.sections {
		if s.name == noteSection && elf.SectionType(s.Type) == elf.SHT_NOTE {
			read(fmt.Sprintf("section %d", i), s.Off, s.Size, 4)
		}
	}
	return found
}

// parseNote parses the descriptor of a stapsdt note, which has three addresses and three strings. ours is false for a
// note that isOurs does not accept; such a note is not parsed further.
func parseNote(desc []byte) (n note, ours bool, err error) {
	if len(desc) < 24 {
		return note{}, false, fmt.Errorf("descriptor of %d bytes", len(desc))
	}
	n.pc = binary.LittleEndian.Uint64(desc)
	n.base = binary.LittleEndian.Uint64(desc[8:])
	n.semaphore = binary.LittleEndian.Uint64(desc[16:])
	desc = desc[24:]

	provider, ok := cString(desc, len(desc))
	if !ok {
		return note{}, false, errors.New("provider is not terminated")
	}
	desc = desc[len(provider)+1:]
	if probe, _ := cString(desc, maxNameLength); !isOurs(provider, probe) {
		return note{}, false, nil
	}
	if n.name, ok = cString(desc, maxNameLength); !ok {
		return note{}, false, fmt.Errorf("probe name at %#x is not terminated within %d bytes", n.pc, maxNameLength)
	}
	desc = desc[len(n.name)+1:]
	if n.spec, ok = cString(desc, maxSpecLength); !ok {
		return note{}, false, fmt.Errorf("arguments of %q at %#x are not terminated within %d bytes", n.name, n.pc, maxSpecLength)
	}
	return n, true, nil
}

// buildID returns the NT_GNU_BUILD_ID as lower-case hex, or "" if there is none. It looks in the PT_NOTE segments, as
// the kernel does.
func (im *image) buildID() string {
	var id string
	budget := uint64(maxNoteBytes)
	for _, s := range im.segments {
		if elf.ProgType(s.Type) != elf.PT_NOTE || s.Filesz > budget {
			continue
		}
		budget -= s.Filesz
		data, err := im.read(s.Off, s.Filesz)
		if err != nil {
			continue
		}
		_ = eachNote(data, s.Align, func(owner string, kind uint32, desc []byte) {
			if id == "" && owner == "GNU" && kind == gnuBuildID && len(desc) <= maxBuildID {
				id = fmt.Sprintf("%x", desc)
			}
		})
	}
	return id
}
