// SPDX-License-Identifier: Apache-2.0

package leases

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"

	"golang.org/x/sys/unix"
)

// TestWriterWaitsUntilTheLeaseIsReleased checks that a writer waits until the lease is released. The test process
// itself is the writer: because it opens the file again, the kernel treats it like another process.
func TestWriterWaitsUntilTheLeaseIsReleased(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := New()
	defer h.Close()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	broken := make(chan struct{})
	lease, err := h.Take(file, func(*Lease) { close(broken) })
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan error, 1)
	go func() { written <- os.WriteFile(path, []byte("new"), 0o600) }()
	select {
	case <-broken:
	case err := <-written:
		t.Fatalf("written although there is a lease: %v", err)
	case <-time.After(10 * time.Second):
		t.Fatal("the lease is not broken after 10 s")
	}
	if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
		t.Errorf("before the lease is released, the file has %q, %v", content, err)
	}
	lease.Release()
	lease.Release()
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestNoLeaseOfFileThatIsOpenForWriting(t *testing.T) {
	h := New()
	defer h.Close()
	file, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := h.Take(file, nil); !errors.Is(err, ErrWritten) {
		t.Errorf("got %v", err)
	}
}

// A lease on a file of an overlay applies to the file beneath, so that writers who bypass the overlay have to wait too.
func TestLeaseBeneathOverlay(t *testing.T) {
	dir := t.TempDir()
	upper, merged := filepath.Join(dir, "upper"), filepath.Join(dir, "merged")
	for _, folder := range []string{"lower", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(upper, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	options := "lowerdir=" + dir + "/lower,upperdir=" + upper + ",workdir=" + dir + "/work"
	if err := unix.Mount("overlay", merged, "overlay", 0, options); err != nil {
		needs.Missing(t, "mount overlay: %v", err)
	}
	defer func() { _ = unix.Unmount(merged, unix.MNT_DETACH) }()
	h := New()
	defer h.Close()
	for _, writer := range []string{upper, merged} {
		file, err := os.Open(filepath.Join(merged, "file"))
		if err != nil {
			t.Fatal(err)
		}
		broken := make(chan *Lease, 1)
		lease, err := h.Take(file, func(l *Lease) { broken <- l })
		if err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() { written <- os.WriteFile(filepath.Join(writer, "file"), []byte("x"), 0o600) }()
		select {
		case <-broken:
		case <-time.After(10 * time.Second):
			t.Errorf("written through %s, the lease is not broken after 10 s", writer)
		}
		lease.Release()
		if err := <-written; err != nil {
			t.Error(err)
		}
		_ = file.Close()
	}
}
