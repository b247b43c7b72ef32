// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// If a program runs a copy of its own code, the copied breakpoints kill the program. Once the agent notices the copy,
// it detaches the program's file permanently.
func TestProgramThatCopiesItsCodeIsLeftAlone(t *testing.T) {
	t.Parallel()
	program := harness.Compile(t, root, filepath.Join(t.TempDir(), unique(t, "copies")), "testdata/copies.c")
	a := discover(t)
	first := exec.Command(program, "wait")
	if _, err := first.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, first)
	a.WaitLog("reason=copied")
	text := line(t, a.Log(), "level=WARN", "reason=copied", "file="+program)
	if !strings.Contains(text, "breakpoint") {
		t.Errorf("the line does not say why: %s", text)
	}
	for range 3 {
		if out, err := exec.Command(program).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
	if got := crau(t, nil, "probes").stdout; !strings.Contains(line(t, got, program), "no: copied") {
		t.Errorf("it is listed as %s", line(t, got, program))
	}
	a.Stop()
	if n := strings.Count(a.Log(), "reason=copied"); n != 1 {
		t.Errorf("%d lines about it", n)
	}
}
