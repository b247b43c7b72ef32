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

// Cgroup creates a cgroup v2 with that path and returns its folder. The cgroup is removed at the end of the test.
func Cgroup(t testing.TB, path string) string {
	t.Helper()
	folder, remove, err := MakeCgroup(path)
	t.Cleanup(remove)
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

// MakeCgroup creates a cgroup v2 with that path and returns its folder. remove removes those parts of the path that
// MakeCgroup created, unless they are in use. It is never nil.
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
		// Tests in parallel may share parts of the path. Another test may remove a part that is empty before it is used
		// here, so creating the path is tried again.
		for range 100 {
			if folder, err = makeCgroup(strings.Fields(before)[4], path, &made); !os.IsNotExist(err) {
				break
			}
		}
		return folder, remove, err
	}
	return "", remove, errors.New("make cgroup: no cgroups of version 2")
}

// makeCgroup creates a cgroup below the mount point of the hierarchy. It appends the folders that did not exist to
// made.
func makeCgroup(mount, path string, made *[]string) (folder string, err error) {
	folder = mount
	for part := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		folder = filepath.Join(folder, part)
		if err := os.Mkdir(folder, 0o755); err == nil { //nolint:gosec // mode that systemd uses
			*made = append(*made, folder)
		} else if !os.IsExist(err) {
			return "", err
		}
	}
	return folder, nil
}
