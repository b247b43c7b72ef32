// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/crau-otel/crau-otel/probes/untraced"

// untracedTable returns the table of the reasons why files are not traced.
func untracedTable() string {
	p := &page{}
	var rows [][]string
	for _, r := range untraced.Reasons() {
		rows = append(rows, []string{code(string(r.Reason)), r.Meaning, r.Remedy})
	}
	p.table([]string{"reason", "meaning", "remedy"}, rows)
	return p.String()
}
