// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// startHang starts a program that hits a probe whose data is in a file of a FUSE file system. The FUSE server does not
// deliver the data. startHang returns when the program waits in the page fault.
func startHang(t *testing.T, program string) {
	t.Helper()
	harness.ExpectNoOops(t)
	const longest = "30" // seconds, during which no program on this host can detach a probe in the usual way
	cmd := exec.Command(program, t.TempDir(), longest)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setpgid: true}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	if err := stderr.(*os.File).SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for buf := make([]byte, 256); !strings.Contains(out.String(), "READ came"); {
		n, err := stderr.Read(buf)
		out.Write(buf[:n])
		if err != nil {
			t.Fatalf("%v: %s", err, &out)
		}
	}
	time.Sleep(50 * time.Millisecond) // until the read is in progress
}

// A page fault that does not end makes the kernel block every program on the host that detaches a uprobe. The agent
// still attaches and detaches other files, logs which program is the cause, and ends in time. The test is not parallel,
// because other tests wait for the kernel to detach.
func TestHangingPageFaultHoldsUpNothingElse(t *testing.T) {
	dir := t.TempDir()
	hang := harness.Compile(t, "../..", filepath.Join(dir, "hang"), "-w", "testdata/fusehang.c")
	first, second := ownSample(t), ownSample(t)
	libraries := func(sample string) string { return fmt.Sprintf("libraries: [%q, %q]\n", hang, sample) }
	configuration := write(t, "crau-otel.yaml", libraries(first))
	a := startAgent(t, []string{"CRAU_SHUTDOWN_TIMEOUT=4s"}, append(asJSON, "--config", configuration)...)
	hits := harness.RunSample(t, first, "--count", "1", "--rate", "0")
	startHang(t, hang)

	reload(t, a, configuration, libraries(second), "msg=detached file="+first)
	line(t, a.Log(), "msg=attached file="+second)
	hits += harness.RunSample(t, second, "--count", "1", "--rate", "0")
	a.WaitLog("detaching is held up by a traced program")
	if got := line(t, a.Log(), "detaching is held up", first); !strings.Contains(got, "hang (") {
		t.Errorf("the program is not named: %s", got)
	}

	began := time.Now()
	n := a.StopBy(syscall.SIGTERM)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s to shut down", took)
	}
	n.CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
}

// An agent that switches to another user also detaches without waiting. The test is not parallel, because other tests
// wait for the kernel to detach.
func TestHangingPageFaultHoldsUpNothingElseAsAnotherUser(t *testing.T) {
	dir := t.TempDir()
	paths := copies(t, harness.Compile(t, "../..", filepath.Join(dir, "hang"), "-w", "testdata/fusehang.c"), samplePath)
	hang, sample := paths[0], paths[1]
	a := startAgent(t, []string{"CRAU_SHUTDOWN_TIMEOUT=4s"},
		append(asJSON, "--user", "nobody", "--library", hang, "--library", sample)...)
	startHang(t, hang)
	hits := harness.RunSample(t, sample, "--count", "1", "--rate", "0")
	began := time.Now()
	n := a.StopBy(syscall.SIGTERM)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("it took %s to shut down", took)
	}
	n.CheckExact(t, hits)
	if strings.Contains(a.Log(), "shutdown stopped waiting") {
		t.Errorf("a step of the shutdown waited for the hanging program:\n%s", a.Log())
	}
}

// An agent that is killed also ends without waiting. The test is not parallel, because other tests wait for the kernel
// to detach.
func TestKilledAgentEndsDuringAHangingPageFault(t *testing.T) {
	hang := harness.Compile(t, "../..", filepath.Join(t.TempDir(), "hang"), "-w", "testdata/fusehang.c")
	a := trace(t, hang)
	startHang(t, hang)
	began := time.Now()
	a.Signal(syscall.SIGKILL)
	_, _ = a.Wait()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the agent ended %s after SIGKILL", took)
	}
}
