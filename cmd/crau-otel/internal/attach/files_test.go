// SPDX-License-Identifier: Apache-2.0

package attach

import (
	"context"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/discover"
)

func TestDescribeLibrary(t *testing.T) {
	for _, c := range []struct {
		path, soname  string
		name, version string
	}{
		{"/usr/lib/libgnutls.so.30.42.0", "libgnutls.so.30", "libgnutls.so.30", "30.42.0"},
		{"/usr/lib/libgnutls.so.30.42.0", "", "libgnutls.so.30.42.0", "30.42.0"},
		{"/usr/lib/libfoo.so", "libfoo.so.1", "libfoo.so.1", ""},
		{"/bin/sample", "", "sample", ""},
	} {
		got := describeLibrary(&discover.File{
			Path: c.path, Probes: &probes.File{Soname: c.soname, BuildID: "abc"}, Trusted: true,
		})
		if want := (mapping.Library{Name: c.name, Path: c.path, Version: c.version, BuildID: "abc", Trusted: true}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}

// Wait waits for a file that takes long to attach, until the kernel has attached it or the context is done.
func TestWaitForFilesThatAreBeingAttached(t *testing.T) {
	t.Parallel()
	file := &attached{ended: make(chan struct{})}
	a := &Files{files: map[discover.Key]*attached{{}: file}}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	a.Wait(ctx) // returns because ctx is done, though attaching the file has not ended
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		a.Wait(t.Context())
	}()
	select {
	case <-waited:
		t.Fatal("did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	close(file.ended)
	<-waited
}
