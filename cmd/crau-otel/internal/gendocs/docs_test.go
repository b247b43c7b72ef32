// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/mapping/schema"
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
		if got := read(t, name); got != want {
			t.Errorf("%s is not what the code says: run make docs", name)
		}
	}
}

// documented returns the attributes that package schema defines, by key.
func documented() map[string]schema.Attribute {
	all := make(map[string]schema.Attribute)
	for _, a := range schema.Attributes() {
		all[string(a.Key)] = a
	}
	return all
}

func TestAttributesAreDefinedOnceAndWhole(t *testing.T) {
	t.Parallel()
	seen := make(map[attribute.Key]bool)
	for _, a := range schema.Attributes() {
		if seen[a.Key] {
			t.Errorf("%s is defined twice", a.Key)
		}
		seen[a.Key] = true
		if a.Type == "" || a.Example == "" || a.On == "" || a.Meaning == "" || a.Stability == "" {
			t.Errorf("%s lacks something: %+v", a.Key, a)
		}
	}
}

// blocks returns the contents of the fenced code blocks of a language in a page.
func blocks(text, language string) []string {
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// rows returns the rows of the first table below a heading, without the two header lines. Code marks are removed from
// the cells.
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
