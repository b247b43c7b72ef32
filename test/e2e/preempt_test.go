// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// preemptVariable is set to the kernel's preemption mode by test/vm: none, voluntary or full.
const preemptVariable = "E2E_PREEMPT"

var preemptLine = regexp.MustCompile(`Dynamic Preempt: (\w+)`)

// requirePreempt checks that the kernel has the preemption mode in the variable, if the variable is set.
func requirePreempt(t *testing.T) {
	t.Helper()
	want := os.Getenv(preemptVariable)
	if want == "" {
		return
	}
	buffer := make([]byte, 1<<20)
	n, err := unix.Klogctl(unix.SYSLOG_ACTION_READ_ALL, buffer)
	if err != nil {
		t.Fatal(err)
	}
	line := preemptLine.FindSubmatch(buffer[:n])
	if line == nil || string(line[1]) != want {
		t.Fatalf("the kernel says %q, want %s", line, want)
	}
}

// On a kernel that preempts BPF programs while they run, many runs can be in progress on one CPU. Hits that find no
// free run are counted as lost, no program waits forever, and afterwards all runs are free again. The test is not
// parallel, because it keeps a CPU busy.
func TestPreemptedProgramsStarveNobody(t *testing.T) {
	requirePreempt(t)
	const crowd = 150
	crowded, paced := ownSample(t), harness.Copy(t, samplePath, filepath.Join(t.TempDir(), "paced"))
	a := startAgent(t, []string{"CRAU_SCOPES=tls"}, append(asJSON, "--library", crowded, "--library", paced)...)
	hits := 0
	onFirstCPU(t, func() {
		outs := make([]bytes.Buffer, crowd)
		var programs []*exec.Cmd
		for i := range crowd { // an excluded scope makes runs long and keeps the ring buffer empty
			program := exec.Command(crowded, "--mode", "hostile", "--count", "100")
			program.Stdout = &outs[i]
			programs = append(programs, harness.StartProgram(t, program))
		}
		hits += harness.RunSample(t, paced, "--rate", "20", "--count", "40")
		for i, program := range programs {
			if err := program.Wait(); err != nil {
				t.Fatal(err)
			}
			fired, err := harness.ParseFired(outs[i].String())
			if err != nil {
				t.Fatal(err)
			}
			hits += fired
		}
	})
	onFirstCPU(t, func() { hits += harness.RunSample(t, paced, "--rate", "0", "--count", "5") })
	n := a.Stop()
	n.CheckExact(t, hits)
	roots := harness.Trees(t, ofService(a.ConsoleSpans(), "paced"))
	whole := 0
	for _, root := range roots {
		if root.Attributes["crypto.incomplete"] == nil && root.Attributes["crypto.pqc.key_exchange.status"] == "hybrid" {
			whole++
		}
	}
	t.Logf("%d of %d hits found no free run; %d trees of the paced program, %d whole", n["lost.busy"], hits, len(roots), whole)
}
