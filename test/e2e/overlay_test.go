// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// startStacked starts a copy of the sample program through a stack of overlay file systems, in a separate mount
// namespace. The program waits for a line of input and then makes two pairs of handshakes.
func startStacked(t *testing.T, folder, name string, overlays int) (program *exec.Cmd, stdin io.Writer) {
	t.Helper()
	const script = `set -e; lower="$1"
for i in $(seq "$4"); do
	mkdir -p "$3/$i/upper" "$3/$i/work" "$3/$i/merged"
	mount -t overlay overlay -o "lowerdir=$lower,upperdir=$3/$i/upper,workdir=$3/$i/work" "$3/$i/merged"
	lower="$3/$i/merged"
done
exec "$lower/$2" --wait --count 2 --rate 0`
	cmd := exec.Command("sh", "-c", script, "sh", folder, name, t.TempDir(), fmt.Sprint(overlays))
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	harness.StartProgram(t, cmd)
	if _, err := stdout.Read(make([]byte, 1)); err != nil { // the program prints "ready"
		t.Fatalf("through %d overlays: %v", overlays, err)
	}
	return cmd, stdin
}

// A file beneath overlays is attached once, and its programs are traced once, no matter whether they run the file
// directly, through one overlay or through two. The command probes lists the file. The test is not parallel, because
// agents with discovery of other tests would attach the file too.
func TestOverlayOnOverlay(t *testing.T) {
	harness.RequireBPF(t)
	folder, name := t.TempDir(), unique(t, "stacked")
	harness.Copy(t, samplePath, filepath.Join(folder, name))
	for _, library := range []bool{false, true} {
		var a *harness.TestAgent
		if library { // the agent attaches the file at its start, by its path
			a = startAgent(t, nil, append(asJSON, "--library", filepath.Join(folder, name))...)
		} else {
			a = discover(t)
		}
		var programs []*exec.Cmd
		var inputs []io.Writer
		for overlays := range 3 {
			program, stdin := startStacked(t, folder, name, 2-overlays)
			programs, inputs = append(programs, program), append(inputs, stdin)
		}
		if !library {
			a.WaitLog("/" + name)
		}
		listed := 0
		for path, got := range listings(t, harness.AgentConfig{Path: agentPath, Env: []string{"CRAU_DISCOVERY_ENABLED=true"}}) {
			if !strings.HasSuffix(path, "/"+name) {
				continue
			}
			listed++
			if got.Attached == nil || !*got.Attached || got.Count != len(programs) {
				t.Errorf("listed as %+v, want it attached, with %d processes", got, len(programs))
			}
		}
		if listed != 1 {
			t.Errorf("listed %d times", listed)
		}
		for i, program := range programs {
			if _, err := io.WriteString(inputs[i], "\n"); err != nil {
				t.Error(err)
			}
			if err := program.Wait(); err != nil {
				t.Error(err)
			}
		}
		n := a.Stop()
		n.CheckExact(t, n["hits"])
		harness.CheckPairs(t, name, ofService(a.ConsoleSpans(), name), 2*len(programs))
		attached := 0
		for l := range strings.Lines(a.Log()) {
			if strings.Contains(l, "msg=attached ") && strings.Contains(l, name) {
				attached++
			}
		}
		if !library && attached != 1 {
			t.Errorf("attached %d times:\n%s", attached, a.Log())
		}
	}
}
