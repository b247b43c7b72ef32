// SPDX-License-Identifier: Apache-2.0

// Docs writes the pages of docs/ that are made of tables in the code: attributes.md and metrics.md. Its tests compare
// them, and the pages written by hand, with what the code does.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: docs REPOSITORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// write writes the generated pages of the repository at root.
func write(root string) error {
	pages, err := generate(root)
	if err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(root, "docs", name), []byte(text), 0o644); err != nil { //nolint:gosec // for all to read
			return fmt.Errorf("write page: %w", err)
		}
	}
	return nil
}

// generate returns the text of each generated page by its name in docs/.
func generate(root string) (map[string]string, error) {
	src, err := load(root, modulePath+"/mapping", modulePath+"/mapping/policy")
	if err != nil {
		return nil, fmt.Errorf("read source: %w", err)
	}
	attributes, err := attributesPage(src)
	if err != nil {
		return nil, fmt.Errorf("attributes.md: %w", err)
	}
	return map[string]string{"attributes.md": attributes, "metrics.md": metricsPage()}, nil
}
