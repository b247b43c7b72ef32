// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"slices"
	"testing"
	"time"
)

// TestNewFilesAreReportedFirst checks that new files are reported before files that are gone, because detaching takes
// long.
func TestNewFilesAreReportedFirst(t *testing.T) {
	t.Parallel()
	var log []string
	names := map[Key]string{}
	d, err := New(Config{
		Found: func(f *File) { log = append(log, "+"+f.Path) },
		Gone: func(k Key) {
			log = append(log, "-"+names[k])
			time.Sleep(goneBudget / 2)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	add := func(name string, inode uint64, kind eventKind) {
		t.Helper()
		open, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if kind != gone {
			t.Cleanup(func() { open.Close() })
		}
		key := Key{Inode: inode}
		names[key] = name
		e := &entry{File: File{Key: key, Path: name, open: open}, owner: &owner{}}
		d.search.catalogue.events = append(d.search.catalogue.events, event{e, kind})
	}
	for i, name := range []string{"a", "b", "c", "d", "e"} {
		add(name, uint64(i), gone)
	}
	add("a", 0, found) // the same key is found again, so Found must wait for Gone
	add("new", 10, found)
	d.deliver(goneBudget)
	if len(log) < 2 || log[0] != "+new" || log[1] != "-a" || slices.Contains(log, "-e") {
		t.Errorf("reported %q", log)
	}
	before := len(log)
	add("newer", 11, found)
	d.deliver(0)
	if slices.Index(log, "+newer") > slices.Index(log, "-c") || slices.Index(log, "+a") < slices.Index(log, "-a") || len(log) != 8 {
		t.Errorf("reported %q, then %q", log[:before], log[before:])
	}
	if d.hasWork() {
		t.Error("something is left")
	}
}
