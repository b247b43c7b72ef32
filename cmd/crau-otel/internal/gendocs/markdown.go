// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// generated is the first line of every page that this program writes as a whole.
const generated = "<!-- Made by `make docs` from the code. Do not edit. -->\n\n"

// maxColumns is the maximum length of a line, both in pages and in code.
const maxColumns = 120

// page builds a Markdown text.
type page struct{ strings.Builder }

func (p *page) section(title string) { fmt.Fprintf(p, "\n## %s\n", title) }

// text adds a paragraph of sentences, wrapped at maxColumns.
func (p *page) text(sentences ...string) {
	width := maxColumns // so that the first word starts a new line
	for word := range strings.FieldsSeq(strings.Join(sentences, " ")) {
		n := utf8.RuneCountInString(word)
		switch {
		case width+1+n > maxColumns:
			p.WriteString("\n" + word)
			width = n
		default:
			p.WriteString(" " + word)
			width += 1 + n
		}
	}
	p.WriteByte('\n')
}

// table adds a table; names are the headings of the columns.
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

// code puts words into code marks and separates them by commas. It omits empty words.
func code(words ...string) string {
	var set []string
	for _, w := range words {
		if w != "" {
			set = append(set, "`"+w+"`")
		}
	}
	return strings.Join(set, ", ")
}
