// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// skips are the tests that may skip themselves even in CI, by file, and why that hides nothing.
var skips = map[string]string{
	"cmd/crau-otel/check_test.go":                     "another test runs it in a process of its own",
	"cmd/crau-otel/internal/privileges/child_test.go": "another test runs it in a process of its own",
	"cmd/crau-otel/internal/sandbox/sandbox_test.go":  "another test runs it in a process of its own",
	"cmd/crau-otel/internal/privileges/drop_test.go":  "one of two tests runs, by how the test was built",
	"test/e2e/privileges_test.go":                     "the kernel lacks what is tested",
	"test/needs/needs.go":                             "it fails in CI",
}

// Whatever a test lacks it asks package needs for, which fails in CI instead of skipping.
func TestNothingIsSkippedSilently(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("git", "grep", "--untracked", "-lE", `\b(t|b|tb|f)\.Skip(f|Now)?\(|Getenv\("CI"\)`, "--", "*.go")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		needs.Missing(t, "not a git repository: %v", err)
	}
	files := strings.Fields(string(out))
	for _, f := range files {
		if _, ok := skips[f]; !ok {
			t.Errorf("%s skips a test by itself: use needs.Missing, or say here why that hides nothing", f)
		}
	}
	for f := range skips {
		if !slices.Contains(files, f) {
			t.Errorf("%s skips no test any more", f)
		}
	}
}
