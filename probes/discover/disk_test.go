// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/probes/discover/loader"
)

// loaderCache returns a cache in glibc's format.
func loaderCache(libraries ...string) []byte {
	data := []byte("glibc-ld.so.cache1.1")
	data = binary.NativeEndian.AppendUint32(data, uint32(len(libraries)))
	strings := []byte{}
	at := 48 + 24*len(libraries)
	var entries []byte
	for _, library := range libraries {
		name := filepath.Base(library)
		entry := binary.NativeEndian.AppendUint32(nil, 0x303) // ELF, x86-64
		entry = binary.NativeEndian.AppendUint32(entry, uint32(at+len(strings)))
		entry = binary.NativeEndian.AppendUint32(entry, uint32(at+len(strings)+len(name)+1))
		entries = append(entries, append(entry, make([]byte, 12)...)...)
		strings = append(strings, name+"\x00"+library+"\x00"...)
	}
	data = binary.NativeEndian.AppendUint32(data, uint32(len(strings)))
	data = append(data, make([]byte, 48-len(data))...)
	return append(append(data, entries...), strings...)
}

// TestLibrariesThatNoProcessMapsAreFound checks that libraries on the disk are found although no process maps them, and
// that later installations, upgrades and removals are noticed.
func TestLibrariesThatNoProcessMapsAreFound(t *testing.T) {
	t.Parallel()
	host := t.TempDir()
	sample(t, "sample", host, "usr/lib/x86_64-linux-gnu/libfirst.so.1.2")
	sample(t, "sample", host, "opt/app/lib/libsecond.so")
	sample(t, "sample", host, "usr/lib/not-a-library")
	sample(t, "sample", host, "usr/lib/deeper/libdeeper.so")
	sample(t, "sample", host, "opt/other/libthird.so")
	write(t, filepath.Join(host, loader.CachePath), loaderCache("/opt/app/lib/libsecond.so"))
	for link, target := range map[string]string{
		"lib":                                    "usr/lib",
		"usr/lib/x86_64-linux-gnu/libfirst.so.1": "libfirst.so.1.2",
		"usr/lib/x86_64-linux-gnu/libthird.so.99": "/opt/other/libthird.so",
	} {
		if err := os.Symlink(target, filepath.Join(host, link)); err != nil {
			t.Fatal(err)
		}
	}
	w := discover(t, Config{Rules: Rules{Enabled: true}, Root: host}, "/usr", "/opt/app", "/opt/other")
	w.scan(t)
	w.expect(t, "+/usr/lib/x86_64-linux-gnu/libfirst.so.1.2", "+/opt/app/lib/libsecond.so", "+/opt/other/libthird.so")
	if f := w.file(t, "/opt/app/lib/libsecond.so"); f.Cgroup != "" || f.Key.Inode != inodeOf(t, filepath.Join(host, f.Path)) {
		t.Errorf("got %+v", f)
	}
	if os.Geteuid() == 0 && !w.file(t, "/opt/app/lib/libsecond.so").Trusted {
		t.Errorf("distrusted: %s", w.file(t, "/opt/app/lib/libsecond.so").Distrust)
	}

	// A library that is installed later is written in two steps.
	w.interval = 50 * time.Millisecond
	w.run(t)
	data, err := os.ReadFile(sample(t, "sample", host, "tmp/new"))
	if err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(host, "usr/lib/liblate.so")
	if err := os.WriteFile(late, data[:4096], 0o755); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4 * w.interval)
	if err := os.WriteFile(late, data, 0o755); err != nil {
		t.Fatal(err)
	}
	log := append(w.history(), "+/usr/lib/liblate.so")
	w.await(t, soon, log...)
	// One library is upgraded, another is removed.
	sample(t, "sample", host, "opt/app/lib/libsecond.so")
	if err := os.Remove(late); err != nil {
		t.Fatal(err)
	}
	w.await(t, soon, append(log, "+/opt/app/lib/libsecond.so", "-/opt/app/lib/libsecond.so", "-/usr/lib/liblate.so")...)
}

// TestNamedLibrariesAreReportedWhateverElseIsWanted checks that Rules.Libraries are reported regardless of the other
// rules.
func TestNamedLibrariesAreReportedWhateverElseIsWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, late := sample(t, "sample", dir, "bin/one"), filepath.Join(dir, "bin/two")
	write(t, filepath.Join(dir, "text"), []byte("nothing"))
	w := discover(t, Config{
		Rules: Rules{
			Libraries: []string{path, late, filepath.Join(dir, "text")}, Deny: []string{"**"},
			MaxFiles: 1, MaxFilesPerContainer: 1,
		},
		Interval: 20 * time.Millisecond,
	})
	w.scan(t)
	w.expect(t, "+"+path)
	w.run(t)
	sample(t, "sample-static", dir, "bin/two")
	w.await(t, soon, "+"+path, "+"+late)
	first := w.file(t, path)
	sample(t, "sample", dir, "bin/one")
	w.await(t, soon, "+"+path, "+"+late, "+"+path, "-"+path)
	if _, there := w.files[first.Key]; there {
		t.Error("the replaced library is still there")
	}
}

// TestReloadTakesLibrariesAwayAndAddsOthers checks that Reload makes files appear and disappear in accordance with the
// new libraries and patterns.
func TestReloadTakesLibrariesAwayAndAddsOthers(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	asked, mapped, denied := sample(t, "sample", dir, "asked"), sample(t, "sample", dir, "mapped"), sample(t, "sample", dir, "denied")
	mapper(t, mapped, denied)
	allow := []string{dir + "/**"}
	cfg := Config{Rules: Rules{Enabled: true, Libraries: []string{asked}, Allow: allow, Deny: []string{"denied"}}, Interval: time.Hour}
	w := discover(t, cfg)
	w.scan(t)
	w.expect(t, "+"+asked, "+"+mapped)
	w.run(t)

	reload := func(rules Rules) {
		t.Helper()
		if err := w.Reload(rules); err != nil {
			t.Fatal(err)
		}
	}
	reload(Rules{Enabled: true, Allow: allow, Deny: []string{"asked"}})
	w.await(t, soon, "+"+asked, "+"+mapped, "-"+asked, "+"+denied)
	reload(Rules{Libraries: []string{mapped}})
	w.await(t, soon, "+"+asked, "+"+mapped, "-"+asked, "+"+denied, "-"+denied)
	// The library "mapped" stays attached throughout, even while the rules ignore its process.
	log := append(w.history(), "+"+asked)
	reload(Rules{Enabled: true, Allow: allow, Libraries: []string{mapped, asked}, DenyExecutables: []string{filepath.Base(os.Args[0])}})
	w.await(t, soon, log...)
	reload(Rules{Enabled: true, Allow: allow, Libraries: []string{mapped, asked}})
	w.await(t, soon, append(log, "+"+denied)...)
	if err := w.Reload(Rules{Deny: []string{""}}); err == nil {
		t.Error("an empty pattern was taken")
	}
}
