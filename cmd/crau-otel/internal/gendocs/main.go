// SPDX-License-Identifier: Apache-2.0

// Gendocs writes the generated parts of docs/: the pages attributes.md and metrics.md, and tables within other pages.
// It also writes the registry for OpenTelemetry Weaver in semconv/. Its tests compare the generated text, and the pages
// written by hand, with the code.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gendocs REPOSITORY")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gendocs:", err)
		os.Exit(1)
	}
}

// write generates the pages and registry files of the repository at root, and overwrites the existing ones.
func write(root string) error {
	pages, err := generate(root)
	if err != nil {
		return err
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil { //nolint:gosec // for all to read
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// generate returns the text of each generated file by its path in the repository.
func generate(root string) (map[string]string, error) {
	src, err := load(root, modulePath+"/mapping/shape", modulePath+"/mapping/policy")
	if err != nil {
		return nil, fmt.Errorf("read source: %w", err)
	}
	attributes, err := attributesPage(src)
	if err != nil {
		return nil, fmt.Errorf("attributes.md: %w", err)
	}
	accounting, err := splice(root, "accounting.md", map[string]string{"totals": totalsTable()})
	if err != nil {
		return nil, fmt.Errorf("accounting.md: %w", err)
	}
	discovery, err := splice(root, "discovery.md", map[string]string{"reasons": untracedTable()})
	if err != nil {
		return nil, fmt.Errorf("discovery.md: %w", err)
	}
	configuration, err := splice(root, "configuration.md", map[string]string{"keys": keysTable(), "variables": variablesTable()})
	if err != nil {
		return nil, fmt.Errorf("configuration.md: %w", err)
	}
	registry, err := semconvFiles()
	if err != nil {
		return nil, fmt.Errorf("semconv: %w", err)
	}
	files := map[string]string{
		"docs/attributes.md":    attributes,
		"docs/metrics.md":       metricsPage(),
		"docs/accounting.md":    accounting,
		"docs/configuration.md": configuration,
		"docs/discovery.md":     discovery,
	}
	for name, text := range registry {
		files["semconv/"+name] = text
	}
	return files, nil
}
