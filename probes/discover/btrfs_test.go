// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// TestFileOfASubvolumeIsReportedOnce checks that a file of a btrfs subvolume is recognized as one file if it is mapped
// directly and through overlays. Each subvolume has a separate device number, which is neither in the maps of processes
// nor in the table of mounts.
func TestFileOfASubvolumeIsReportedOnce(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	image, mounted := filepath.Join(dir, "image"), filepath.Join(dir, "mounted")
	if err := os.Mkdir(mounted, 0o755); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			needs.Missing(t, "%s: %v: %s", name, err, out)
		}
	}
	run("truncate", "-s", "128M", image)
	run("mkfs.btrfs", "-q", image)
	run("mount", "-o", "loop", image, mounted)
	t.Cleanup(func() { run("umount", "--lazy", mounted) }) // lazy, because another agent may have a file open now
	lower := filepath.Join(mounted, "subvolume")
	run("btrfs", "subvolume", "create", lower)
	below := sample(t, "sample", lower, "lib.so")
	paths := []string{below}
	for _, name := range []string{"one", "two"} {
		paths = append(paths, filepath.Join(overlay(t, mounted, name, lower), "lib.so"))
	}
	mappers := []*child{mapper(t, paths[0]), mapper(t, paths[1]), mapper(t, paths[2])}
	w := discover(t, Config{Rules: Rules{Enabled: true}}, dir)
	w.scan(t)
	if list := w.Inventory(); len(list) != 1 || list[0].Mappers != len(mappers) {
		t.Errorf("got %+v, want one file with %d processes", list, len(mappers))
	}
	if err := w.Close(); err != nil { // its open files keep the file system busy
		t.Error(err)
	}
	for _, c := range mappers {
		c.stop()
	}
}
