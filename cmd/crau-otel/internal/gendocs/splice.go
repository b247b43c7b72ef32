// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// These lines mark the start and the end of a generated table in a page that is otherwise written by hand.
const (
	beginTable = "<!-- Made by `make docs` from the code: %s. Do not edit. -->\n"
	endTable   = "<!-- End of %s. -->\n"
)

// splice returns the text of the page docs/name with each of the tables, given by name, inserted between its marks.
func splice(root, name string, tables map[string]string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "docs", name)) //nolint:gosec // root is the argument of this program
	if err != nil {
		return "", err
	}
	page := string(text)
	for table, content := range tables {
		before, rest, begins := strings.Cut(page, fmt.Sprintf(beginTable, table))
		_, after, ends := strings.Cut(rest, fmt.Sprintf(endTable, table))
		if !begins || !ends {
			return "", fmt.Errorf("no marks of the table %q", table)
		}
		page = before + fmt.Sprintf(beginTable, table) + content + "\n" + fmt.Sprintf(endTable, table) + after
	}
	return page, nil
}
