// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
)

// TestWhoCanWriteTheWayToALibraryDecides checks that a library is trusted only if nobody but root can change the file
// or a folder on its path.
func TestWhoCanWriteTheWayToALibraryDecides(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	for name, test := range map[string]struct {
		change func(host, path string) error
		want   string
	}{
		"root's":          {func(string, string) error { return nil }, ""},
		"read-only":       {func(_, path string) error { return os.Chmod(path, 0o444) }, ""},
		"another owner":   {func(_, path string) error { return os.Chown(path, 1000, 0) }, "/usr/lib/lib.so is owned by user 1000"},
		"group writes":    {func(_, path string) error { return os.Chmod(path, 0o775) }, "/usr/lib/lib.so can be written by others"},
		"others write":    {func(_, path string) error { return os.Chmod(path, 0o757) }, "/usr/lib/lib.so can be written by others"},
		"folder's owner":  {func(host, _ string) error { return os.Chown(host+"/usr", 7, 0) }, "/usr is owned by user 7"},
		"folder writable": {func(host, _ string) error { return os.Chmod(host+"/usr/lib", 0o775) }, "/usr/lib can be written by others"},
		"sticky folder":   {func(host, _ string) error { return os.Chmod(host+"/usr", os.ModeSticky|0o777) }, "/usr can be written by others"},
		"root folder":     {func(host, _ string) error { return os.Chmod(host, 0o777) }, "/ can be written by others"},
		"moved": {func(host, path string) error {
			if err := os.Chmod(host+"/usr", 0o777); err != nil {
				return err
			}
			return os.Rename(path, filepath.Join(host, "lib.so"))
		}, ""},
		"deleted":        {func(_, path string) error { return os.Remove(path) }, ""},
		"deleted folder": {func(host, _ string) error { return os.RemoveAll(host + "/usr/lib") }, "its path does not lead to it"},
		"deleted, writable": {func(host, path string) error {
			if err := os.Chmod(host+"/usr/lib", 0o757); err != nil {
				return err
			}
			return os.Remove(path)
		}, "/usr/lib can be written by others"},
		"nosuid": {func(host, path string) error {
			file, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			if err := unix.Mount("none", host+"/usr/lib", "tmpfs", unix.MS_NOSUID, "mode=755"); err != nil {
				return err
			}
			return os.WriteFile(path, file, 0o755)
		}, "its file system is mounted nosuid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := t.TempDir()
			t.Cleanup(func() { _ = unix.Unmount(host+"/usr/lib", unix.MNT_DETACH) })
			if err := os.Chmod(host, 0o755); err != nil {
				t.Fatal(err)
			}
			path := sample(t, "sample", host, "usr/lib/lib.so")
			var program *child
			if name != "nosuid" { // that change puts another file at the path
				program = mapper(t, path)
			}
			if err := test.change(host, path); err != nil {
				t.Fatal(err)
			}
			if program == nil {
				program = mapper(t, path)
			}
			w := discover(t, Config{Rules: Rules{Enabled: true, Allow: []string{"/usr/lib/lib.so"}}, Root: host}, host)
			w.scan(t)
			list := w.Inventory()
			if len(list) != 1 || !slices.Equal(list[0].Processes, []uint32{program.pid()}) {
				t.Fatalf("got %+v", list)
			}
			if e := list[0]; e.Distrust != test.want || e.Trusted != (test.want == "") || e.Namespaced {
				t.Errorf("trusted %t, namespaced %t, %q; want %q", e.Trusted, e.Namespaced, e.Distrust, test.want)
			}
		})
	}
}

// TestTrustInNamespace checks that a file of the host's root in a separate mount namespace is trusted, but also marked
// as namespaced.
func TestTrustInNamespace(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	from := sample(t, "sample-static", t.TempDir(), "program")
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf(
		"mount -t tmpfs -o mode=755 none /mnt && cp %s /mnt/crau-test-program && exec /mnt/crau-test-program --wait", from))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	program := start(t, cmd)
	w := discover(t, Config{Rules: Rules{Enabled: true, Allow: []string{"crau-test-program"}}})
	w.scan(t)
	if f := w.file(t, "/mnt/crau-test-program"); !f.Trusted || !f.Namespaced {
		t.Errorf("namespaced %t, distrusted: %s", f.Namespaced, f.Distrust)
	}
	program.stop()
}

// A second path that makes a file look less trustworthy, such as one in a user's overlay, does not reduce the trust in
// the file. After the inode has changed, the path that is then examined decides.
func TestPathsTakeNoTrustAway(t *testing.T) {
	t.Parallel()
	of := func(trusted, namespaced bool, changed int64) *entry {
		e := &entry{File: File{Trusted: trusted, Namespaced: namespaced, Probes: &probes.File{}}, buildID: "abc"}
		e.status.Ctim.Sec = changed
		return e
	}
	for _, c := range []struct {
		known, other *entry
		want         likeness
	}{
		{of(true, false, 1), of(true, false, 1), same},
		{of(true, false, 1), of(false, true, 1), same},
		{of(true, false, 1), of(true, true, 1), same},
		{of(false, false, 1), of(false, true, 1), same},
		{of(true, true, 1), of(true, false, 1), rejudged},
		{of(false, false, 1), of(true, true, 1), rejudged},
		{of(true, false, 1), of(false, false, 2), rejudged},
		{of(false, false, 1), of(true, false, 2), rejudged},
		{of(true, false, 1), of(true, false, 2), same},
	} {
		if got := c.known.compare(c.other); got != c.want {
			t.Errorf("trusted %v, namespaced %v at %d, then %v, %v at %d: %v", c.known.Trusted, c.known.Namespaced,
				c.known.status.Ctim.Sec, c.other.Trusted, c.other.Namespaced, c.other.status.Ctim.Sec, got)
		}
	}
}

// A file whose permissions change stays attached. A file that is also written to is reported as gone, and found as
// another file.
func TestFileWhosePermissionsChangeStaysAttached(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	host := t.TempDir()
	path := sample(t, "sample", host, "usr/lib/lib.so")
	mapper(t, path)
	w := discover(t, Config{Rules: Rules{Enabled: true, Allow: []string{"/usr/lib/lib.so"}}, Root: host}, host)
	distrusted := func() int { return w.search.catalogue.quotas.distrusted[ofFiles] }
	look := func() { // maps the file in a new process, then scans
		t.Helper()
		mapper(t, path)
		w.scan(t)
	}
	chmod := func(mode os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	look()
	if f := w.file(t, "/usr/lib/lib.so"); !f.Trusted || distrusted() != 0 {
		t.Errorf("got %+v, %d distrusted", f, distrusted())
	}
	chmod(0o775)
	look()
	w.expect(t, "+/usr/lib/lib.so", "=/usr/lib/lib.so")
	if f := w.file(t, "/usr/lib/lib.so"); f.Trusted || f.Distrust != "/usr/lib/lib.so can be written by others" || distrusted() != 1 {
		t.Errorf("got %+v, %d distrusted", f, distrusted())
	}
	chmod(0o755)
	look()
	w.expect(t, "+/usr/lib/lib.so", "=/usr/lib/lib.so", "=/usr/lib/lib.so")
	if f := w.file(t, "/usr/lib/lib.so"); !f.Trusted || f.Distrust != "" || distrusted() != 0 {
		t.Errorf("got %+v, %d distrusted", f, distrusted())
	}
	chmod(0o775)
	if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
		t.Fatal(err)
	}
	look()
	w.expect(t, "+/usr/lib/lib.so", "=/usr/lib/lib.so", "=/usr/lib/lib.so", "-/usr/lib/lib.so", "+/usr/lib/lib.so")
}
