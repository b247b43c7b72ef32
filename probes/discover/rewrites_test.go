// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"github.com/crau-otel/crau-otel/probes/host"
)

// overwrite overwrites a file in place.
func overwrite(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestOverwrittenFileIsFoundAgain checks that a mapped file that is overwritten is reported as gone, and found with its
// new content.
func TestOverwrittenFileIsFoundAgain(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := mapper(t, path)
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: 20 * time.Millisecond}, dir)
	w.scan(t)
	before := w.file(t, path).Key
	w.run(t)
	other, err := os.ReadFile(sample(t, "sample-static", t.TempDir(), "lib.so"))
	if err != nil {
		t.Fatal(err)
	}
	overwrite(t, path, other)
	w.await(t, 10*time.Second, "+"+path, "-"+path, "+"+path)
	after := w.file(t, path).Key
	if after == before || after.Inode != before.Inode {
		t.Errorf("key is %+v, before %+v", after, before)
	}
	if e := w.entry(t, path); e.Mappers != 1 || e.Processes[0] != c.pid() {
		t.Errorf("got %+v", e)
	}

	// Reread reports the file as gone immediately, and finds it again.
	w.Reread(after)
	w.await(t, 10*time.Second, "+"+path, "-"+path, "+"+path, "-"+path, "+"+path)

	// After another change, the file has no probes any more.
	overwrite(t, path, []byte("no library"))
	w.await(t, 10*time.Second, "+"+path, "-"+path, "+"+path, "-"+path, "+"+path, "-"+path)
	overwrite(t, path, data)
	w.scanLater(t, path)
}

// scanLater maps a file and waits until it is reported.
func (w *watcher) scanLater(t *testing.T, path string) {
	t.Helper()
	n := len(w.history())
	c := mapper(t, path)
	w.Notify(Executed{Process: host.Process(c.pid())})
	for deadline := time.Now().Add(10 * time.Second); len(w.history()) == n; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s is not reported", path)
		}
	}
}

// TestFileThatIsOpenForWriting checks that a file that is open for writing is not reported until it is closed, because
// its probes may move at any moment.
func TestFileThatIsOpenForWriting(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so")
	file, err := os.OpenFile(filepath.Join(dir, "lib.so"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	mapper(t, path)
	w := discover(t, Config{Rules: Rules{Enabled: true}, Interval: 20 * time.Millisecond}, dir)
	w.scan(t)
	w.expect(t)
	if e := w.entry(t, path); !strings.Contains(e.Refused, "open for writing") {
		t.Errorf("got %+v", e)
	}
	w.run(t)
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	w.await(t, 10*time.Second, "+"+path)
}

// TestLibraryIsOpenForWritingForAMoment checks that Scan waits for a library that is open for writing only for a
// moment. This happens after copying a library, if another thread has forked a process that inherited the descriptor
// and has not executed its program yet.
func TestLibraryIsOpenForWritingForAMoment(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so")
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	w := discover(t, Config{Rules: Rules{Libraries: []string{path}}}, dir)
	time.AfterFunc(200*time.Millisecond, func() { _ = file.Close() })
	w.scan(t)
	w.expect(t, "+"+path)
}

// TestFreshFileWithoutProbesIsReadAgain checks that the result of reading a fresh file is only provisional, because the
// file may be written once more without a new change time.
func TestFreshFileWithoutProbesIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for path, content := range map[string][]byte{
		filepath.Join(dir, "text"):         []byte("no library"),
		sample(t, "sample", dir, "lib.so"): nil,
	} {
		look := func() finding {
			s := sighting{link: path, path: path, root: host.Root{Path: "/"}, hostRoot: host.Root{Path: "/"}}
			f := s.look(host.NewMountKinds())
			f.discard()
			return f
		}
		var f finding
		for written := time.Now().Add(-maxTick); time.Since(written) >= maxTick; f = look() { // until read within maxTick
			written = time.Now()
			if content != nil {
				overwrite(t, path, content)
			} else if err := os.Chmod(path, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if f.err != nil || f.entry != nil && !f.entry.Fresh || f.entry == nil && f.changed != undated {
			t.Errorf("at once: %+v", f)
		}
		time.Sleep(maxTick)
		if f = look(); f.err != nil || f.entry != nil && f.entry.Fresh || f.changed == undated {
			t.Errorf("later: %+v", f)
		}
	}
}

// TestLibraryThatIsBeingWritten checks that a library that was read before its probes were written is reported once it
// is complete.
func TestLibraryThatIsBeingWritten(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	dir := t.TempDir()
	path := sample(t, "sample", dir, "lib.so")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file *os.File
	rewrite := func() {
		t.Helper()
		if file, err = os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(data[:len(data)/2]); err != nil {
			t.Fatal(err)
		}
	}
	finish := func() {
		t.Helper()
		if _, err := file.Write(data[len(data)/2:]); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	rewrite()
	w := discover(t, Config{Rules: Rules{Libraries: []string{path}}, Interval: time.Hour}, dir)
	w.scan(t)
	w.expect(t)
	if e := w.entry(t, path); !strings.Contains(e.Refused, "open for writing") {
		t.Errorf("got %+v", e)
	}
	w.run(t)
	finish()
	w.await(t, 10*time.Second, "+"+path)

	// The same holds for an attached file that is overwritten: the first reading finds only the beginning of the file.
	key := w.file(t, path).Key
	rewrite()
	w.Reread(key)
	w.await(t, 10*time.Second, "+"+path, "-"+path)
	time.Sleep(2 * minRewait) // a reading that finds no probes must not be the last one
	finish()
	w.await(t, 10*time.Second, "+"+path, "-"+path, "+"+path)
}
