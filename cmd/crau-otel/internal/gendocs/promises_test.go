// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/limits"
)

var (
	testName     = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)`")
	testFunction = regexp.MustCompile(`(?m)^[^:]+:func ((?:Test|Fuzz|Benchmark)[A-Za-z0-9_]+)\(`)
)

// TestPromisesNameTests checks that every test that a page names exists, and that each row in the tables of
// docs/reliability.md and docs/threats.md names a test.
func TestPromisesNameTests(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("git", "grep", "-E", `^func (Test|Fuzz|Benchmark)`, "--", "*_test.go")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		needs.Missing(t, "not a git repository: %v", err)
	}
	exists := make(map[string]bool)
	for _, m := range testFunction.FindAllStringSubmatch(string(out), -1) {
		exists[m[1]] = true
	}
	for _, page := range pages {
		for _, m := range testName.FindAllStringSubmatch(read(t, page), -1) {
			if !exists[m[1]] {
				t.Errorf("%s names %s, which does not exist", page, m[1])
			}
		}
	}
	for _, page := range []string{"docs/reliability.md", "docs/threats.md"} {
		n := 0
		for line := range strings.Lines(read(t, page)) {
			if !strings.HasPrefix(line, "| ") || strings.HasSuffix(line, "| held by |\n") {
				continue
			}
			n++
			if !testName.MatchString(line) {
				t.Errorf("%s: no test holds %s", page, line)
			}
		}
		if n < 15 {
			t.Errorf("%s makes only %d promises", page, n)
		}
	}
}

// bounding reports whether a key limits what the agent stores or does.
func bounding(key string) bool {
	return strings.HasPrefix(key, "limits.") || strings.Contains(key, ".max_") || key == "ring.size" || key == "shutdown.timeout"
}

func TestEveryLimitIsAmongThePromises(t *testing.T) {
	t.Parallel()
	page, n := read(t, "docs/reliability.md")+read(t, "docs/limits.md"), 0
	for _, s := range config.Settings() {
		if !bounding(s.Key) {
			continue
		}
		n++
		if !strings.Contains(page, "`"+s.Key+"`") {
			t.Errorf("no page says what happens beyond %s", s.Key)
		}
	}
	if n < 10 {
		t.Errorf("only %d limits", n)
	}
}

// TestEveryLimitIsInTheTable checks that the table in docs/limits.md lists exactly the limits of package limits, and
// that each row names a test.
func TestEveryLimitIsInTheTable(t *testing.T) {
	t.Parallel()
	_, table, _ := strings.Cut(read(t, "docs/limits.md"), "\n## Limits\n")
	found := make(map[string]bool)
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 8 || cells[1] == " resource " || strings.HasPrefix(cells[1], "-") {
			continue
		}
		found[strings.Trim(cells[2], " `")] = true
		if !testName.MatchString(cells[6]) {
			t.Errorf("no test holds the limit of%s", cells[1])
		}
	}
	for _, limit := range limits.All() {
		if !found[string(limit)] {
			t.Errorf("docs/limits.md does not have %s", limit)
		}
		delete(found, string(limit))
	}
	delete(found, "") // rows of limits that are not counted, because nothing is lost at them
	for name := range found {
		t.Errorf("docs/limits.md has %s, which is not counted", name)
	}
}
