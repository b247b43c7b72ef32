// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping"
)

const root = "../../../.."

// read returns the text of a file of the repository.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestGeneratedPagesAreUpToDate(t *testing.T) {
	t.Parallel()
	pages, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		if got := read(t, "docs/"+name); got != want {
			t.Errorf("docs/%s is not what the code says: run make docs", name)
		}
	}
}

// documented returns the defined attributes by their keys.
func documented() map[string]mapping.Attribute {
	all := make(map[string]mapping.Attribute)
	for _, a := range mapping.Attributes() {
		all[string(a.Key)] = a
	}
	return all
}

func TestAttributesAreDefinedOnceAndWhole(t *testing.T) {
	t.Parallel()
	seen := make(map[attribute.Key]bool)
	for _, a := range mapping.Attributes() {
		if seen[a.Key] {
			t.Errorf("%s is defined twice", a.Key)
		}
		seen[a.Key] = true
		if a.Type == "" || a.Example == "" || a.On == "" || a.When == "" || a.Stability == "" {
			t.Errorf("%s lacks something: %+v", a.Key, a)
		}
	}
}

// pages are the files written by hand or by this program that users read.
var pages = []string{"README.md", "docs/attributes.md", "docs/metrics.md", "docs/queries.md", "docs/performance.md", "examples/README.md"}

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

// headings returns the anchors that a page has.
func headings(text string) map[string]bool {
	anchors := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchors[strings.ReplaceAll(notInLinks.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")] = true
	}
	return anchors
}

// blocks returns the fenced blocks of a language in a page.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// rows returns the cells of the table rows below a heading, without their code marks, names and rule left out.
func rows(t *testing.T, text, title string) [][]string {
	t.Helper()
	_, below, found := strings.Cut(text, "\n"+title+"\n")
	if !found {
		t.Fatalf("no heading %q", title)
	}
	var all [][]string
	for line := range strings.Lines(below) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), " |")
			for i := range cells {
				cells[i] = strings.ReplaceAll(strings.TrimSpace(cells[i]), "`", "")
			}
			all = append(all, cells)
		case strings.HasPrefix(line, "#") || len(all) > 0:
			return all[min(2, len(all)):]
		}
	}
	return all[min(2, len(all)):]
}
