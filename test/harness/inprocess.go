// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/tracer"
)

// Strings returns the content of a file's read-only strings and their address. Both are arguments of a tracer, in
// addition to the file's sites.
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

// File attaches every site of a file in the test's process, without an agent, and returns the cookies of the sites. The
// file is detached at the end of the test.
func File(t testing.TB, tr *tracer.Tracer, path string) (*probes.Attachment, []uint64) {
	t.Helper()
	file, err := probes.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	sites := tr.Place(file.Sites)
	cookies := make([]uint64, len(sites))
	for i, site := range sites {
		if cookies[i], err = tr.Add(site, 0); err != nil {
			t.Fatal(err)
		}
	}
	attachment, err := probes.Attach(path, tr.Program(), tr.Multi(), sites, cookies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = attachment.Close() })
	return attachment, cookies
}
