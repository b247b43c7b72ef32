// SPDX-License-Identifier: Apache-2.0

// Package needs says what a test needs of the machine. Without it the test is skipped, with the reason. With CI=true it
// fails, so that nothing passes by being skipped. It imports nothing of this module, so that every test can use it.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Missing skips a test that lacks something, and fails it in CI.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("in CI no test is skipped: %s", fmt.Sprintf(format, args...))
	}
	t.Skipf(format, args...)
}

// Root is for tests that only root can run.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root")
	}
}

// Program returns the path of the first of these programs that is installed.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	Missing(t, "%s is not installed", names[0])
	return ""
}
