// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// onFirstCPU calls f on a thread that may only run on the first CPU, which programs that f starts inherit.
func onFirstCPU(t *testing.T, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, first unix.CPUSet
	first.Set(0)
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.SchedSetaffinity(0, &before) }()
	f()
}

// Programs whose page faults hang hold runs of the BPF program on a CPU, but never all of them. Not parallel: nobody can
// detach a probe in the usual way meanwhile.
func TestHangingPageFaultsLeaveRunsToOthers(t *testing.T) {
	const runs = 8 // CRAU_RUNS
	dir := t.TempDir()
	sample, hang := ownSample(t), harness.Compile(t, "../..", filepath.Join(dir, "hang"), "-w", "testdata/fusehang.c")
	a := trace(t, sample, "--library", hang)
	var hanging []*exec.Cmd
	stop := func() {
		for _, cmd := range hanging {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
		hanging = nil
	}
	t.Cleanup(stop)
	onFirstCPU(t, func() {
		var outs []*strings.Builder
		for range runs {
			cmd := exec.Command(hang, t.TempDir(), "30")
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Setpgid: true}
			out := &strings.Builder{}
			cmd.Stderr = out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			hanging, outs = append(hanging, cmd), append(outs, out)
		}
		time.Sleep(2 * time.Second) // they fire after one
		if out, err := exec.Command(sample, "--count", "5", "--rate", "0").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		stop()
		came := 0
		for _, out := range outs {
			came += strings.Count(out.String(), "READ came")
		}
		if came == 0 {
			t.Error("nothing hung")
		}
	})
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	if n["lost.busy"] != 0 {
		t.Errorf("%d hits were lost while page faults hung", n["lost.busy"])
	}
	var handshakes []*harness.Span
	for _, s := range a.ConsoleSpans() {
		if s.Resource["service.name"] == "sample" {
			handshakes = append(handshakes, s)
		}
	}
	harness.CheckPairs(t, "sample", handshakes, 5)
}
