// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// A library can be overwritten in place, as cp does, while it is attached. Programs that load it immediately afterwards
// run as without tracing, and the new library is traced too.
func TestOverwrittenLibraryHarmsNoProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	build := func(name string, args ...string) string {
		return harness.Compile(t, root, filepath.Join(dir, name), append([]string{"-shared", "-fPIC", "testdata/overwritten.c"}, args...)...)
	}
	versions := []string{build("new.so", "-DNEW"), build("old.so")}
	library := harness.Copy(t, versions[1], filepath.Join(dir, "libmix.so"))
	program := harness.Compile(t, root, filepath.Join(dir, unique(t, "mixes")), "testdata/mixes.c", library, "-Wl,-rpath,"+dir)
	run := func() string {
		t.Helper()
		out, err := exec.Command(program).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	want := make(map[string]string)
	for _, version := range versions {
		harness.Copy(t, version, library)
		want[version] = run()
	}
	a := trace(t, library)
	var longest time.Duration
	const rounds = 6
	for i := range rounds {
		version := versions[i%2]
		start := time.Now()
		harness.Copy(t, version, library) // waits until the agent has detached the file
		longest = max(longest, time.Since(start))
		if got := run(); got != want[version] {
			t.Errorf("round %d: the program prints %q, untraced it is %q", i, got, want[version])
		}
		a.WaitLogs("msg=attached file="+library, i+1)
	}
	t.Logf("overwriting took %v at most", longest)
	run()
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	spans := ofService(a.ConsoleSpans(), filepath.Base(program))
	if len(spans) == 0 {
		t.Error("nothing is traced after the library was overwritten")
	}
	for _, s := range spans {
		if s.Attributes["crypto.library.path"] != library {
			t.Errorf("attributes are %v", s.Attributes)
		}
	}
}

// A program repeatedly opens an attached file for writing, but writes nothing. Each time the whole file is detached,
// and no hit is reported twice.
func TestFileOpenedForWritingAgainAndAgain(t *testing.T) {
	t.Parallel()
	program := ownSample(t)
	a := trace(t, program)
	const times = 12
	for i := range times {
		file, err := os.OpenFile(program, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		a.WaitLogs("msg=attached file="+program, i+1)
	}
	a.WaitLogs("msg=detached file="+program, times)
	hits := harness.RunSample(t, program, "--count", "20", "--rate", "100")
	a.Stop().CheckExact(t, hits)
}

// A file that is open for writing is attached later: the agent cannot get a lease on the file, and must not attach it
// without one.
func TestFileThatIsBeingWrittenIsAttachedLater(t *testing.T) {
	t.Parallel()
	library := harness.Compile(t, root, filepath.Join(t.TempDir(), "libmix.so"), "-shared", "-fPIC", "testdata/overwritten.c")
	file, err := os.OpenFile(library, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	a := startAgent(t, []string{"CRAU_DISCOVERY_ENABLED=true"}, append(asJSON, "--library", library)...)
	line(t, a.Log(), "level=WARN", "file="+library, "open for writing")
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	a.WaitLog("msg=attached file=" + library)
}
