// SPDX-License-Identifier: Apache-2.0

// Package needs lets tests declare what they need from the machine. If something is missing, the test is skipped with
// the reason. With CI=true the test fails instead, so that no test of CI passes by being skipped. The package imports
// nothing of this module, so that every test can use it.
package needs

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// Missing skips a test because something that it needs is missing. With CI=true it fails the test.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("in CI no test is skipped: %s", fmt.Sprintf(format, args...))
	}
	t.Skipf(format, args...)
}

// Root skips a test, or fails it with CI=true, unless it runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		Missing(t, "needs root")
	}
}

// Program returns the path of the first of the named programs that is installed. If there is none, the test is skipped,
// or fails with CI=true.
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
