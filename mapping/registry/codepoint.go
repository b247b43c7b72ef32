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

// readTable returns the rows of a data file without its heading. The files are part of the program, so a bad one
// is a bug of the program: it panics.
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

// unknownName names a codepoint that no table has.
func unknownName(id uint64) string { return fmt.Sprintf("unknown (0x%04x)", id) }

// find looks up a word that an event gave as a codepoint: one above 16 bits is none.
func find[T any](table map[uint16]T, id uint64) (T, bool) {
	if id > 0xffff {
		var none T
		return none, false
	}
	v, ok := table[uint16(id)]
	return v, ok
}
