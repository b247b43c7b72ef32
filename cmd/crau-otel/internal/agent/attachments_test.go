// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"testing"

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
