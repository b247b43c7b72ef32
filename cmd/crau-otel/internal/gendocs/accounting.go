// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"

// totalsTable returns the table of the fields of the log line "totals".
func totalsTable() string {
	p := &page{}
	var rows [][]string
	for _, f := range totals.Fields() {
		rows = append(rows, []string{code(f.Key()), f.Meaning})
	}
	p.table([]string{"field", "meaning"}, rows)
	return p.String()
}
