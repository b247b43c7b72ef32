// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
)

// generated heads every page that this program writes.
const generated = "<!-- Made by `make docs` from the code. Do not edit. -->\n\n"

// page is a Markdown text in the making.
type page struct{ strings.Builder }

func (p *page) section(title string) { fmt.Fprintf(p, "\n## %s\n", title) }

// text adds a paragraph of lines.
func (p *page) text(lines ...string) { fmt.Fprintf(p, "\n%s\n", strings.Join(lines, "\n")) }

// table adds a table with a row of names above it.
func (p *page) table(names []string, rows [][]string) {
	p.WriteByte('\n')
	p.row(names)
	p.WriteString(strings.Repeat("|---", len(names)) + "|\n")
	for _, row := range rows {
		p.row(row)
	}
}

func (p *page) row(cells []string) {
	for _, cell := range cells {
		p.WriteString("| " + strings.ReplaceAll(cell, "|", `\|`) + " ")
	}
	p.WriteString("|\n")
}

// code sets words in code type with commas between them.
func code(words ...string) string {
	var set []string
	for _, w := range words {
		if w != "" {
			set = append(set, "`"+w+"`")
		}
	}
	return strings.Join(set, ", ")
}
