// SPDX-License-Identifier: Apache-2.0

//go:build packages

package packages

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestImageHasAllThatRunNeeds builds the files of the container image with the script that the Dockerfile runs. It then
// runs crau-otel in a root file system with nothing but these files, /proc and /sys, like a container in the host's PID
// namespace.
func TestImageHasAllThatRunNeeds(t *testing.T) {
	s := system{filepath.Join(t.TempDir(), "image")}
	run(t, nil, filepath.Join(root, "packaging/image.sh"), s.path, "v1.2.3")
	for _, dir := range []string{"proc", "sys"} {
		if err := os.Mkdir(filepath.Join(s.path, dir), 0o555); err != nil {
			t.Fatal(err)
		}
		s.mount(t, dir)
	}
	if got := s.run(t, "/usr/bin/crau-otel", "version"); !strings.HasPrefix(got, "crau-otel v1.2.3 ") {
		t.Errorf("version: %q", got)
	}
	s.run(t, "/usr/bin/crau-otel", "check")
	if !s.exists("/etc/ssl/certs/ca-certificates.crt") {
		t.Error("the image has no certificate authorities")
	}
}

// mount bind-mounts a folder of the host, such as proc, into the system.
func (s system) mount(t *testing.T, dir string) {
	t.Helper()
	target := filepath.Join(s.path, dir)
	if err := syscall.Mount("/"+dir, target, "", syscall.MS_BIND|syscall.MS_REC|syscall.MS_SLAVE, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(target, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
