// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"
)

// overlay mounts an overlay over the folder lower and returns its path.
func overlay(t *testing.T, dir, name, lower string) string {
	t.Helper()
	for _, folder := range []string{"upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(dir, name, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := filepath.Join(dir, name)
	merged := filepath.Join(at, "merged")
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", lower, at, at)
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		needs.Missing(t, "mount an overlay: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged, unix.MNT_DETACH) })
	return merged
}

// TestFileOfSeveralOverlaysIsReportedOnce checks that a file that several containers of an image map is reported once.
// For stat, these are different files, but the kernel attaches to the file beneath the overlays.
func TestFileOfSeveralOverlaysIsReportedOnce(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	lower := filepath.Join(dir, "layer")
	below := sample(t, "sample", lower, "lib.so")
	one, two := overlay(t, dir, "one", lower), overlay(t, dir, "two", lower)
	path := filepath.Join(one, "lib.so")
	first, second := mapper(t, path), mapper(t, filepath.Join(two, "lib.so"))

	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	w.scan(t)
	if len(w.history()) != 1 {
		t.Fatalf("reported %q", w.history())
	}
	var st unix.Stat_t
	if err := unix.Stat(below, &st); err != nil {
		t.Fatal(err)
	}
	list := w.Inventory()
	if want := (Key{st.Dev, st.Ino, st.Ctim.Nano()}); len(list) != 1 || list[0].Key != want || list[0].Mappers != 2 {
		t.Fatalf("got %+v, want %+v mapped twice", list, want)
	}
	// A process of the host maps the file without an overlay.
	third := mapper(t, below)
	w.scan(t)
	if list = w.Inventory(); len(list) != 1 || list[0].Mappers != 3 {
		t.Fatalf("got %+v", list)
	}

	// If an overlay has its own copy of the file, the copy is another file, although its name and inode number in the
	// overlay stay the same.
	if err := os.Chmod(filepath.Join(two, "lib.so"), 0o700); err != nil {
		t.Fatal(err)
	}
	fourth := mapper(t, filepath.Join(two, "lib.so"))
	w.scan(t)
	if list = w.Inventory(); len(list) != 2 || len(w.history()) != 2 {
		t.Fatalf("got %+v", list)
	}
	for _, c := range []*child{first, second, third, fourth} {
		c.stop()
	}
	w.scan(t)
	if len(w.history()) != 2 {
		t.Errorf("reported %q", w.history())
	}
}

// TestOverlayOutOfSight checks that two overlays of one file are still recognized as one file if the folder beneath
// them cannot be reached any more.
func TestOverlayOutOfSight(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	layers := filepath.Join(dir, "layers")
	if err := os.Mkdir(layers, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", layers, "tmpfs", 0, ""); err != nil {
		needs.Missing(t, "mount a tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(layers, unix.MNT_DETACH) }) // if the test ends before it has done so
	sample(t, "sample", filepath.Join(layers, "layer"), "lib.so")
	one := overlay(t, layers, "one", filepath.Join(layers, "layer"))
	two := overlay(t, layers, "two", filepath.Join(layers, "layer"))
	mapper(t, filepath.Join(one, "lib.so"))
	mapper(t, filepath.Join(two, "lib.so"))
	if err := unix.Unmount(layers, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	// After the unmounting, the kernel shows the paths without their beginning.
	w := discover(t, Config{Rules: Rules{Enabled: true, Allow: []string{"lib.so"}}})
	w.scan(t)
	found := 0
	for _, e := range w.Inventory() {
		if e.Path == "/lib.so" && e.Mappers == 2 {
			found++
		}
	}
	if found != 1 {
		t.Errorf("found %d of them: %+v", found, w.Inventory())
	}
}
