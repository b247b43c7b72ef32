// SPDX-License-Identifier: Apache-2.0

// Package harness lets tests trace programs in their own process, the way cmd/crau-otel does.
package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/tracer"
)

// RequireBPF skips a test where BPF cannot be loaded; in CI it fails it, so that nothing passes by being skipped.
func RequireBPF(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("kernel tests need root")
	}
	t.Skip("kernel tests need root")
}

// Sample builds the sample program of examples/sample and returns its path. It is a file of the test's own, so that the
// runs of other tests do not hit the probes. root is the path of the repository's root.
func Sample(t testing.TB, root string) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sample")
	cmd := exec.Command("make", "-s", "-C", filepath.Join(root, "examples/sample"), "BIN="+dir, path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the sample program: %v\n%s", err, out)
	}
	return path
}

// Strings returns the strings of a file and their address, to register as cmd/crau-otel does.
func Strings(t testing.TB, path string) (address uint64, content []byte) {
	t.Helper()
	file, err := probes.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if content, err = file.Strings.Read(path); err != nil {
		t.Fatal(err)
	}
	return file.Strings.Address, content
}

// File attaches every site of a file and returns the cookies beside the attachment, which the caller closes.
func File(t testing.TB, tr *tracer.Tracer, path string) (*probes.Attachment, []uint64) {
	t.Helper()
	file, err := probes.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	cookies := make([]uint64, len(file.Sites))
	for i, site := range file.Sites {
		if cookies[i], err = tr.Add(site, 0); err != nil {
			t.Fatal(err)
		}
	}
	attachment, err := probes.Attach(path, tr.Program(), tr.Multi(), file.Sites, cookies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = attachment.Close() })
	return attachment, cookies
}
