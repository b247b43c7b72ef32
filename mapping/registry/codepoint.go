// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"embed"
	"encoding/csv"
	"fmt"
	"strconv"
)

//go:embed data/*.csv
var data embed.FS

// readTable returns the rows of a data file without the heading. It panics if the file is invalid, because the files
// are embedded in the program.
func readTable(file string) [][]string {
	f, err := data.Open("data/" + file)
	if err != nil {
		panic(fmt.Sprintf("registry: open table: %v", err))
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		panic(fmt.Sprintf("registry: read table %s: %v", file, err))
	}
	return rows[1:]
}

func parseCodepoint(s string) uint16 {
	id, err := strconv.ParseUint(s, 0, 16)
	if err != nil {
		panic(fmt.Sprintf("registry: parse codepoint: %v", err))
	}
	return uint16(id)
}

func parseStatus(s string) Status {
	for _, status := range []Status{PostQuantum, Hybrid, Classical} {
		if s == status.String() {
			return status
		}
	}
	panic(fmt.Sprintf("registry: parse status %q", s))
}

// unknownName returns the name of a codepoint that is not registered.
func unknownName(id uint64) string { return fmt.Sprintf("unknown (0x%04x)", id) }

// table maps codepoints to entries, indexed by the upper byte and then by the lower byte. It is faster than a map,
// which takes 20 ns for a lookup; nearly every number in an event is looked up.
type table[T any] [256]*[256]*T

func newTable[T any](of map[uint16]T) *table[T] {
	var t table[T]
	for id, v := range of {
		page := t[id>>8]
		if page == nil {
			page = new([256]*T)
			t[id>>8] = page
		}
		page[id&0xff] = &v
	}
	return &t
}

// find returns the entry of a codepoint, or nil. Numbers above 16 bits are not codepoints.
func (t *table[T]) find(id uint64) *T {
	if id > 0xffff || t[id>>8] == nil {
		return nil
	}
	return t[id>>8][id&0xff]
}
