// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Cgroup makes a cgroup of version 2 with that path and returns its folder. The cgroup is removed at the end of the
// test.
func Cgroup(t testing.TB, path string) string {
	t.Helper()
	folder, remove, err := MakeCgroup(path)
	t.Cleanup(remove)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// MakeCgroup makes a cgroup of version 2 with that path and returns its folder. remove removes the parts of the path
// that were created, if they are empty; it is never nil.
func MakeCgroup(path string) (folder string, remove func(), err error) {
	var made []string
	remove = func() {
		for _, folder := range slices.Backward(made) {
			_ = os.Remove(folder)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", remove, err
	}
	for mount := range strings.Lines(string(mounts)) {
		before, kind, _ := strings.Cut(mount, " - ")
		if !strings.HasPrefix(kind, "cgroup2 ") {
			continue
		}
		// Another test may remove the parts of the path that it has created, while they are empty.
		for range 100 {
			if folder, err = makeCgroup(strings.Fields(before)[4], path, &made); !os.IsNotExist(err) {
				break
			}
		}
		return folder, remove, err
	}
	return "", remove, errors.New("make cgroup: no cgroups of version 2")
}

// makeCgroup makes a cgroup below the mount of the hierarchy, and appends the parts that did not exist to made.
func makeCgroup(mount, path string, made *[]string) (folder string, err error) {
	folder = mount
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		folder = filepath.Join(folder, part)
		if err := os.Mkdir(folder, 0o755); err == nil { //nolint:gosec // as systemd makes them
			*made = append(*made, folder)
		} else if !os.IsExist(err) {
			return "", err
		}
	}
	return folder, nil
}
