// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// skips lists the files with tests that may skip themselves even in CI, each with the reason why that hides nothing.
var skips = map[string]string{
	"cmd/crau-otel/check_test.go":                     "another test runs it in a process of its own",
	"cmd/crau-otel/internal/privileges/child_test.go": "another test runs it in a process of its own",
	"cmd/crau-otel/internal/sandbox/sandbox_test.go":  "another test runs it in a process of its own",
	"cmd/crau-otel/internal/privileges/drop_test.go":  "one of two tests runs, by how the test was built",
	"test/e2e/privileges_test.go":                     "the kernel lacks what is tested",
	"test/needs/needs.go":                             "it fails in CI",
}

// Tests do not skip themselves, except in the files in skips. A test that lacks a program or a privilege calls package
// needs, which fails the test in CI and skips it elsewhere.
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
