// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
)

// symbol is a defined symbol with a wanted name.
type symbol struct {
	address  uint64
	function bool
	exported bool // global or weak
}

// symbolChunk is the number of bytes of a table that are read at a time, a multiple of the size of a symbol.
const symbolChunk = 24 << 13

// symbols looks the names up in the file's first table of that type. Several symbols can share a name: local ones,
// and versions of an exported one.
//
// It goes the other way round than usual, from the places where the names stand in the string table to the symbols
// that point there: that needs little memory however large the tables are, and mostly not even a look at the symbols.
func (im *image) symbols(kind elf.SectionType, names []string) (map[string][]symbol, error) {
	at := slices.IndexFunc(im.sections, func(s section) bool { return elf.SectionType(s.Type) == kind })
	if at < 0 || len(names) == 0 {
		return nil, nil
	}
	table := im.sections[at]
	if table.Entsize != elf.Sym64Size {
		return nil, fmt.Errorf("%s: entry size %d, want %d", kind, table.Entsize, elf.Sym64Size)
	}
	if table.Size/elf.Sym64Size > maxSymbols {
		return nil, fmt.Errorf("%s: %d symbols, the most is %d", kind, table.Size/elf.Sym64Size, maxSymbols)
	}
	if uint64(table.Link) >= uint64(len(im.sections)) {
		return nil, fmt.Errorf("%s: string table is section %d of %d", kind, table.Link, len(im.sections))
	}
	places, err := im.findStrings(im.sections[table.Link], names)
	if err != nil {
		return nil, fmt.Errorf("%s: search string table: %w", kind, err)
	}
	if len(places) == 0 {
		return nil, nil
	}

	found := make(map[string][]symbol)
	buffer := make([]byte, symbolChunk)
	end := table.Size / elf.Sym64Size * elf.Sym64Size
	for done := uint64(0); done < end; done += symbolChunk {
		if table.Off > im.size || done > im.size-table.Off {
			return nil, fmt.Errorf("%s: %w", kind, errOutside)
		}
		data := buffer[:min(symbolChunk, end-done)]
		if err := im.readInto(data, table.Off+done); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		for ; len(data) > 0; data = data[elf.Sym64Size:] {
			name, wanted := places[binary.LittleEndian.Uint32(data)]
			if !wanted {
				continue
			}
			s, usable := decodeSymbol(data)
			if usable && len(found[name]) < maxSessionSites && !slices.Contains(found[name], s) {
				found[name] = append(found[name], s)
			}
		}
	}
	return found, nil
}

// decodeSymbol reports whether the symbol is an address within the file.
func decodeSymbol(data []byte) (symbol, bool) {
	var raw elf.Sym64
	if _, err := binary.Decode(data, binary.LittleEndian, &raw); err != nil {
		return symbol{}, false
	}
	index := elf.SectionIndex(raw.Shndx)
	if index == elf.SHN_UNDEF || index >= elf.SHN_LORESERVE {
		return symbol{}, false
	}
	kind := elf.ST_TYPE(raw.Info)
	if kind != elf.STT_NOTYPE && kind != elf.STT_OBJECT && kind != elf.STT_FUNC {
		return symbol{}, false
	}
	bind := elf.ST_BIND(raw.Info)
	return symbol{
		address:  raw.Value,
		function: kind == elf.STT_FUNC,
		exported: bind == elf.STB_GLOBAL || bind == elf.STB_WEAK,
	}, true
}

// findStrings returns where in a string table the names stand. A name can also be the tail of a longer string, since
// linkers merge those.
func (im *image) findStrings(table section, names []string) (map[uint32]string, error) {
	if table.Size > maxSymbolStrings {
		return nil, fmt.Errorf("%d bytes, the most is %d", table.Size, maxSymbolStrings)
	}
	if table.Off > im.size || table.Size > im.size-table.Off {
		return nil, errOutside
	}
	places := make(map[uint32]string)
	buffer := make([]byte, min(symbolChunk+maxNameLength, table.Size))
	for done := uint64(0); done < table.Size; done += symbolChunk {
		// Chunks overlap by the longest name, which may stand on a border.
		data := buffer[:min(symbolChunk+maxNameLength, table.Size-done)]
		if err := im.readInto(data, table.Off+done); err != nil {
			return nil, err
		}
		for _, name := range names {
			needle := append([]byte(name), 0)
			for from := 0; ; {
				i := bytes.Index(data[from:], needle)
				if i < 0 {
					break
				}
				places[uint32(done)+uint32(from+i)] = name
				from += i + len(needle)
			}
			if len(places) > maxSymbolMatches {
				return nil, fmt.Errorf("wanted names stand there more than %d times", maxSymbolMatches)
			}
		}
	}
	return places, nil
}
