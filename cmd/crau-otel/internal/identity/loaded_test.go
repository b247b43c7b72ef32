// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/test/harness"
)

// The program that a loader runs is the only program that the process maps; libraries do not count. If a process maps
// two programs, there is no result. The test process itself only counts if it was built with cgo.
func TestProgramsOf(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	names := func() string {
		var list []string
		for _, p := range programsOf(host.Process(os.Getpid()), func() {}) {
			if p.name != filepath.Base(self) {
				list = append(list, p.name)
			}
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	dir := t.TempDir()
	copied := func(program string) string {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, program+"-copy")
		if err := os.WriteFile(to, data, 0o755); err != nil {
			t.Fatal(err)
		}
		return to
	}
	libraries, _ := filepath.Glob("/lib/*-linux-gnu/libc.so.6") // libraries with a PT_INTERP, like programs
	for _, library := range libraries {
		harness.MapCode(t, library)
	}
	if got := names(); got != "" {
		t.Errorf("without a program: %q", got)
	}
	first := copied("sleep")
	harness.MapCode(t, first)
	if got := names(); got != "sleep-copy" {
		t.Errorf("with one program: %q", got)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	if got := names(); got != "sleep-copy" {
		t.Errorf("with one program that was deleted: %q", got)
	}
	harness.MapCode(t, copied("cat"))
	if got := names(); got != "cat-copy sleep-copy" {
		t.Errorf("with two programs: %q", got)
	}
}

func TestLoaderNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"ld-linux-x86-64.so.2": true, "ld-linux-aarch64.so.1": true, "ld-2.31.so": true, "ld.so": true, "ld64.so.2": true,
		"ld-musl-x86_64.so.1": true, "libc.so": true, "libc.musl-x86_64.so.1": true,
		"ld": false, "ldd": false, "nginx": false, "libc.so.6": false, "old-x.so": false,
	} {
		if got := loaderName.MatchString(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
