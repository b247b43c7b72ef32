// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// While a program makes handshakes, its file becomes writable for others, and is later replaced by another file, as in
// an upgrade of a package. No hit is reported twice, no handshake is split, and each tree shows the trust at its end.
func TestTrustThatChangesCutsNoHandshake(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("/opt", "crau-trust")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	program := harness.Copy(t, samplePath, filepath.Join(dir, unique(t, "sample")))
	a := startAgent(t, []string{"CRAU_DISCOVERY_ENABLED=true", "CRAU_DISCOVERY_ALLOW=" + dir + "/**"},
		append(asJSON, "--library", program)...)
	const pairs = 1500
	var out strings.Builder
	cmd := exec.Command(program, "--count", strconv.Itoa(pairs), "--rate", "500")
	cmd.Stdout = &out
	harness.StartProgram(t, cmd)
	look := func() { _ = exec.Command(program, "--help").Run() } // makes discovery examine the file
	const changed = `msg="trust in an attached file has changed"`
	for i, mode := range []os.FileMode{0o775, 0o755} {
		if err := os.Chmod(program, mode); err != nil {
			t.Fatal(err)
		}
		look()
		a.WaitLogs(changed+" file="+program, i+1)
		time.Sleep(300 * time.Millisecond) // some trees end meanwhile
	}
	harness.Copy(t, samplePath, program+".new")
	if err := os.Rename(program+".new", program); err != nil {
		t.Fatal(err)
	}
	look()
	a.WaitLog("msg=attached file=" + program)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	fired, err := harness.ParseFired(out.String())
	if err != nil {
		t.Fatal(err)
	}
	a.Stop().CheckExact(t, fired)
	line(t, a.Log(), changed, "trusted=false", program+" can be written by others")
	spans := ofService(a.ConsoleSpans(), filepath.Base(program))
	harness.CheckPairs(t, filepath.Base(program), spans, pairs)
	trusted := make(map[any]int)
	for _, root := range harness.Trees(t, spans) {
		trusted[root.Attributes["crypto.library.trusted"]]++
	}
	if trusted[true] == 0 || trusted[false] == 0 {
		t.Errorf("trees by trust of their file: %v", trusted)
	}
}
