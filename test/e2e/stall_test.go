// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"os/exec"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// While the data of one program's hit is not delivered, hits of other programs on the same CPU are still reported. They
// do not overwrite the stack of the first program's run, which completes with its data. The test is not parallel,
// because no other program can detach a probe in the usual way while it runs.
func TestStalledPageFaultHoldsUpNoOtherProgram(t *testing.T) {
	harness.ExpectNoOops(t)
	paths, libraries := named(t, []string{"stalls", "others"})
	a := startAgent(t, nil, append(libraries, asJSON...)...)
	var hits, fired int
	onFirstCPU(t, func() {
		stalls := exec.Command(paths[0], "--mode", "stalled", "--count", "15")
		out, err := stalls.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		harness.StartProgram(t, stalls)
		lines := bufio.NewScanner(out)
		if !lines.Scan() || lines.Text() != "stalled" {
			t.Fatalf("the program says %q", lines.Text())
		}
		released := make(chan struct{})
		go func() {
			lines.Scan()
			close(released)
		}()
		hits = harness.RunSample(t, paths[1], "--count", "5", "--rate", "0")
		select {
		case <-released:
			t.Error("the other program has waited for the page")
		default:
		}
		<-released
		lines.Scan()
		if fired, err = harness.ParseFired(lines.Text()); err != nil {
			t.Error(err)
		}
		if err := stalls.Wait(); err != nil {
			t.Errorf("the stalled program: %v", err)
		}
	})
	n := a.Stop()
	n.CheckExact(t, hits+fired)
	if n["lost.fault"] != 0 {
		t.Errorf("%d faults: the page came", n["lost.fault"])
	}
	harness.CheckPairs(t, "others", ofService(a.ConsoleSpans(), "others"), 5)
}
