// SPDX-License-Identifier: Apache-2.0

//go:build dist

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// With the build tag dist, this program writes the man pages and shell completions of a release into the folder share
// below its argument. The environment variable SOURCE_DATE_EPOCH sets the date of the man pages
// (https://reproducible-builds.org/specs/source-date-epoch/).
func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate DIR")
		os.Exit(2)
	}
	if err := generate(newCommand(), filepath.Join(os.Args[1], "share")); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(root *cobra.Command, share string) error {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return fmt.Errorf("read SOURCE_DATE_EPOCH: %w", err)
	}
	date := time.Unix(seconds, 0).UTC()
	pages := filepath.Join(share, "man/man1")
	if err := os.MkdirAll(pages, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	header := &doc.GenManHeader{Section: "1", Source: "crau-otel", Manual: "crau-otel", Date: &date}
	if err := doc.GenManTree(root, header, pages); err != nil {
		return fmt.Errorf("write man pages: %w", err)
	}
	for path, write := range map[string]func(string) error{
		"bash-completion/completions/crau-otel":    func(p string) error { return root.GenBashCompletionFileV2(p, true) },
		"zsh/vendor-completions/_crau-otel":        root.GenZshCompletionFile,
		"fish/vendor_completions.d/crau-otel.fish": func(p string) error { return root.GenFishCompletionFile(p, true) },
	} {
		path = filepath.Join(share, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := write(path); err != nil {
			return fmt.Errorf("write completion %s: %w", path, err)
		}
	}
	return nil
}
