// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// pages contains the paths of the Markdown files that users and contributors read.
var pages = findPages()

func findPages() []string {
	var all []string
	for _, pattern := range []string{"*.md", ".github/*.md", "docs/*.md", "docs/*/*.md", "examples/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			panic(err)
		}
		for _, file := range found {
			name, err := filepath.Rel(root, file)
			if err != nil {
				panic(err)
			}
			all = append(all, name)
		}
	}
	return all
}

var link = regexp.MustCompile(`\]\(([^)]+)\)`)

func TestLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			to := page
			if target != "" {
				to = filepath.Join(filepath.Dir(page), target)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: %s: %v", page, m[1], err)
			} else if anchor != "" && !headings(read(t, to))[anchor] {
				t.Errorf("%s: %s: no such heading", page, m[1])
			}
		}
	}
}

var (
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	notInLinks = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// headings returns the anchors of the headings in a page, in the form that GitHub gives them.
func headings(text string) map[string]bool {
	anchors := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchors[strings.ReplaceAll(notInLinks.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return anchors
}

// localLinks returns the paths of the files in the repository that a page links to.
func localLinks(t *testing.T, page string) []string {
	t.Helper()
	var targets []string
	for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target != "" && !strings.Contains(target, "://") {
			targets = append(targets, filepath.Join(filepath.Dir(page), target))
		}
	}
	return targets
}

func TestEveryPageIsReachableFromREADME(t *testing.T) {
	t.Parallel()
	reached := []string{"README.md"}
	for i := 0; i < len(reached); i++ {
		for _, target := range localLinks(t, reached[i]) {
			if slices.Contains(pages, target) && !slices.Contains(reached, target) {
				reached = append(reached, target)
			}
		}
	}
	for _, page := range pages {
		if strings.HasPrefix(page, ".github/") { // templates that GitHub shows by itself
			continue
		}
		if !slices.Contains(reached, page) {
			t.Errorf("no link leads to %s", page)
		}
	}
}

func TestREADMEIsShort(t *testing.T) {
	t.Parallel()
	if n := strings.Count(read(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines, want at most 150: move the rest to docs", n)
	}
}

func TestProseIsWrapped(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		text := read(t, page)
		if strings.HasPrefix(text, generated) {
			continue
		}
		fenced, n := false, 0
		for line := range strings.Lines(text) {
			n++
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			// A table's row and a long link cannot be wrapped.
			if fenced || strings.HasPrefix(line, "|") || !strings.Contains(strings.TrimLeft(line, " -"), " ") {
				continue
			}
			if utf8.RuneCountInString(line) > maxColumns && !strings.Contains(line, "](http") {
				t.Errorf("%s:%d: %d columns", page, n, utf8.RuneCountInString(line))
			}
		}
	}
}
