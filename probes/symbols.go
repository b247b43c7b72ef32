// SPDX-License-Identifier: Apache-2.0

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
)

// symbol is a symbol that the file defines and whose name was looked up.
type symbol struct {
	address  uint64
	function bool
	exported bool // global or weak
}

// symbolChunk is the number of bytes of a symbol or string table that are read at a time. It is a multiple of the size
// of a symbol.
const symbolChunk = 24 << 13

// symbolSet is the result of looking up symbols by name. A name can belong to several symbols: local ones, and versions
// of an exported one.
type symbolSet struct {
	found  map[string][]symbol
	failed map[string]error // names whose lookup failed; found may have some of their symbols
}

// symbols looks up names in the file's first symbol table of the type kind.
//
// It first searches the string table for the names, and then the symbol table for symbols whose name is at one of the
// offsets found. This needs little memory for tables of any size. If the names do not occur in the string table, the
// symbol table is not read.
func (im *image) symbols(kind elf.SectionType, names []string) (set symbolSet, err error) {
	index := slices.IndexFunc(im.sections, func(s section) bool { return elf.SectionType(s.Type) == kind })
	if index < 0 || len(names) == 0 {
		return set, nil
	}
	table := im.sections[index]
	if table.Entsize != elf.Sym64Size {
		return set, fmt.Errorf("%s: entry size %d, want %d", kind, table.Entsize, elf.Sym64Size)
	}
	if table.Size/elf.Sym64Size > maxSymbols {
		return set, fmt.Errorf("%s: %d symbols, the limit is %d", kind, table.Size/elf.Sym64Size, maxSymbols)
	}
	if uint64(table.Link) >= uint64(len(im.sections)) {
		return set, fmt.Errorf("%s: string table is section %d of %d", kind, table.Link, len(im.sections))
	}
	set.failed = make(map[string]error)
	occurrences, err := im.findStrings(im.sections[table.Link], names, set.failed)
	if err != nil {
		return symbolSet{}, fmt.Errorf("%s: search string table: %w", kind, err)
	}
	if len(occurrences) == 0 {
		return set, nil
	}

	set.found = make(map[string][]symbol)
	buffer := make([]byte, symbolChunk)
	end := table.Size / elf.Sym64Size * elf.Sym64Size
	for done := uint64(0); done < end; done += symbolChunk {
		if table.Off > im.size || done > im.size-table.Off {
			return symbolSet{}, fmt.Errorf("%s: %w", kind, errOutside)
		}
		data := buffer[:min(symbolChunk, end-done)]
		if err := im.readInto(data, table.Off+done); err != nil {
			return symbolSet{}, fmt.Errorf("%s: %w", kind, err)
		}
		for ; len(data) > 0; data = data[elf.Sym64Size:] {
			name, wanted := occurrences[binary.LittleEndian.Uint32(data)]
			if !wanted {
				continue
			}
			s, usable := decodeSymbol(data)
			if usable && len(set.found[name]) < maxSessionSites && !slices.Contains(set.found[name], s) {
				set.found[name] = append(set.found[name], s)
			}
		}
	}
	return set, nil
}

// decodeSymbol decodes an entry of a symbol table. It returns false for a symbol that is not an address within the
// file.
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

// findStrings returns the offsets in a string table at which the names occur, and the name at each offset. A name can
// also occur as the end of a longer string, because linkers merge such strings; only the symbol table shows which of
// them is meant. Names that exceed the limits are added to failed. The limit on names shrinks with the size of the
// table, and the limit on occurrences of a name with the number of names.
func (im *image) findStrings(table section, names []string, failed map[string]error) (map[uint32]string, error) {
	if table.Size > maxSymbolStrings {
		return nil, fmt.Errorf("%d bytes, the limit is %d", table.Size, maxSymbolStrings)
	}
	if table.Off > im.size || table.Size > im.size-table.Off {
		return nil, errOutside
	}
	if limit := min(maxWantedSymbols, max(1, maxSymbolSearch/max(1, table.Size))); uint64(len(names)) > limit {
		for _, name := range names[limit:] {
			failed[name] = fmt.Errorf("%d symbols in the operands of one file, the limit is %d", len(names), limit)
		}
		names = names[:limit]
	}
	maxPerName := maxSymbolMatches / max(1, len(names))
	count := make(map[string]int)
	occurrences := make(map[uint32]string)
	buffer := make([]byte, min(symbolChunk+maxNameLength, table.Size))
	for done := uint64(0); done < table.Size; done += symbolChunk {
		// Chunks overlap by the maximum length of a name, so that a name on the border of two chunks is complete in one of
		// them.
		data := buffer[:min(symbolChunk+maxNameLength, table.Size-done)]
		if err := im.readInto(data, table.Off+done); err != nil {
			return nil, err
		}
		for _, name := range names {
			needle := append([]byte(name), 0)
			for from := 0; failed[name] == nil; {
				i := bytes.Index(data[from:], needle)
				if i < 0 {
					break
				}
				offset := uint32(done) + uint32(from+i)
				from += i + len(needle)
				if _, again := occurrences[offset]; again {
					continue // found twice, in the overlap of two chunks
				}
				if count[name]++; count[name] > maxPerName {
					failed[name] = fmt.Errorf("more than %d strings end like this", maxPerName)
				}
				occurrences[offset] = name
			}
		}
	}
	return occurrences, nil
}
