// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Report contains the results for all features, in the order in which they are printed.
type Report []Result

// Err returns an error that names each feature that is missing for the command run, or nil if none is.
func (r Report) Err() error {
	var missing []string
	for _, result := range r {
		if result.Status == Missing {
			missing = append(missing, result.Name)
		}
	}
	if missing == nil {
		return nil
	}
	return fmt.Errorf("run would not work here; missing: %s", strings.Join(missing, ", "))
}

// WriteJSON writes an array with one object per result.
func (r Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// lineWidth is the maximum number of columns in a line, unless a single word is longer.
const lineWidth = 110

// WriteText writes the report as a table for people.
func (r Report) WriteText(w io.Writer) error {
	width, degraded := 0, 0
	for _, result := range r {
		width = max(width, len(result.Name))
		if result.Status == Degraded {
			degraded++
		}
	}
	var b strings.Builder
	indent := len(Degraded) + 2 + width + 2
	for _, result := range r {
		head := fmt.Sprintf("%-*s  %-*s  ", len(Degraded), result.Status, width, result.Name)
		wrap(&b, head, indent, result.Detail)
		if result.Remedy != "" {
			wrap(&b, strings.Repeat(" ", indent)+"-> ", indent+3, result.Remedy)
		}
	}
	switch {
	case r.Err() != nil: // the caller prints the error
	case degraded > 0:
		fmt.Fprintf(&b, "\ncrau-otel runs here, with what is degraded: %d of %d\n", degraded, len(r))
	default:
		b.WriteString("\ncrau-otel runs here\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// wrap writes head and then text, in lines of at most lineWidth columns. Lines after the first are indented by indent,
// the width of head.
func wrap(b *strings.Builder, head string, indent int, text string) {
	b.WriteString(head)
	column := indent
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0:
		case column+1+len(word) > lineWidth:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	b.WriteByte('\n')
}
