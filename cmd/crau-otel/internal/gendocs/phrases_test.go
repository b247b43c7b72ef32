// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// phrases contains expressions that readers found hard to understand, each with what to write instead.
var phrases = []struct {
	pattern *regexp.Regexp
	instead string
}{
	{phrase(`(is|are|was|were|been|being) told`), "reported, known, notified"},
	{phrase(`tells (what|which|that|who|how|of|it)`), "says, reports, identifies"},
	{phrase(`(says?|said|told) of`), "says about, describes"},
	{phrase(`lets? go of`), "releases, closes"},
	{phrase(`goes on (to|with|finding)|go on (to|with|finding)`), "continues"},
	{phrase(`for want of`), "without, because ... is missing"},
	{phrase(`in the making`), "under construction, unfinished"},
	{phrase(`puts? (\w+ )?in force`), "applies"},
	{phrase(`what is known of|knows of|known of`), "known, knows"},
	{phrase(`anew`), "again"},
	{phrase(`of no (matter|use)`), "irrelevant, useless"},
	{phrase(`(makes?|made) use of`), "uses"},
	{phrase(`at times`), "sometimes"},
	{phrase(`how says how|whom it asks|left standing`), "say it plainly"},
	{phrase(`(is|are|be) not asked|goes before|hands down|takes in\b|has \w+ looked at`), "say it plainly"},
	{phrase(`is to be (called|read|kept|ended|sent|shed|changed|caught)`), "has to be, must be"},
	{phrase(`as (fast|long|often) as (it|they) (likes?|go)`), "at any rate, for any time"},
	{phrase(`(ends?|waits?|asked|begins?|attached|returns) at once`), "immediately"},
	{phrase(`whoever|whatever else|whose it (is|was)`), "name who or what is meant"},
	{phrase(`what (becomes|became) of|what comes? of|come to nothing`), "the outcome of"},
	{phrase(`likewise|and the like ones`), "repeat what applies"},
	{phrase(`all the same`), "nevertheless, still"},
	{phrase(`ever more (rarely|often|slowly)`), "at growing intervals"},
	{phrase(`sums up all|sum up all`), "summarizes"},
	{phrase(`so many (bytes|spans|contexts|hits|pairs|polls|files|events|connections)`), "name the number"},
	{phrase(`notes that|takes note that|takes up the`), "records that, collects"},
	{phrase(`makes up (names|keys|values|programs)|made up (names|keys)`), "invents, invented"},
	{phrase(`for (the caller|others) to know|is the caller's to`), "the caller must"},
	{phrase(`as (its|their|the kernel's) \w+ has it|as \w+ has it`), "in the form of"},
	{phrase(`a \w+ of (its|their) own (name|kind|making)`), "separate"},
}

func phrase(pattern string) *regexp.Regexp { return regexp.MustCompile(`(?i)\b(` + pattern + `)\b`) }

// commentMarks match the start and the end of comments, in the languages of this repository.
var commentMarks = regexp.MustCompile(`^(//|#+|/\*+|\*)? ?|\*/$`)

// TestPlainEnglish checks that no comment, message or page contains the phrases above, also not across a line break.
func TestPlainEnglish(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("git", "ls-files", "*.go", "*.c", "*.h", "*.sh", "*.md", "*.yaml", "*.yml", "*Makefile", ".ci/run")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		needs.Missing(t, "not a git repository: %v", err)
	}
	for _, name := range strings.Fields(string(out)) {
		if strings.HasSuffix(name, "gendocs/phrases_test.go") || strings.Contains(name, "_bpfel.") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		if os.IsNotExist(err) { // deleted and not committed yet
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		var starts []int // index in text at which each line starts
		for line := range strings.Lines(string(content)) {
			starts = append(starts, text.Len())
			text.WriteString(commentMarks.ReplaceAllString(strings.TrimSpace(line), "") + " ")
		}
		for _, p := range phrases {
			for _, at := range p.pattern.FindAllStringIndex(text.String(), -1) {
				if rest := text.String()[at[1]:]; strings.HasPrefix(rest, " from ") || strings.HasPrefix(rest, " apart") {
					continue // "to tell one thing from another" is plain English
				}
				line, _ := slices.BinarySearch(starts, at[0]+1)
				t.Errorf("%s:%d: %q: write %s", name, line, text.String()[at[0]:at[1]], p.instead)
			}
		}
	}
}
