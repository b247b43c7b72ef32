// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Cgroup makes a cgroup of version 2 with that path for a test and returns its folder.
func Cgroup(t testing.TB, path string) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for mount := range strings.Lines(string(mounts)) {
		before, kind, _ := strings.Cut(mount, " - ")
		if !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		// Another test may remove what it has made of the path, while it is empty.
		for range 100 {
			folder, err := makeCgroup(t, strings.Fields(before)[4], path)
			if !os.IsNotExist(err) {
				if err != nil {
					t.Fatal(err)
				}
				return folder
			}
		}
	}
	t.Fatal("no cgroups of version 2")
	return ""
}

// makeCgroup makes a cgroup below the mount of the hierarchy. The test removes what it made once it ends.
func makeCgroup(t testing.TB, mount, path string) (folder string, err error) {
	t.Helper()
	folder = mount
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		folder = filepath.Join(folder, part)
		made := folder
		if err := os.Mkdir(folder, 0o755); err == nil { //nolint:gosec // as systemd makes them
			t.Cleanup(func() { _ = os.Remove(made) })
		} else if !os.IsExist(err) {
			return "", err
		}
	}
	return folder, nil
}
