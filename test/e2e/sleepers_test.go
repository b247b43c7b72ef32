// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// onFirstCPU calls f on a thread that may only run on the first CPU. Programs that f starts inherit the restriction.
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

// startHanging starts n programs that hang in a page fault at a probe, as startHang does, with additional process
// attributes. It returns a function that returns the programs' output so far, and a function that kills the programs.
func startHanging(t *testing.T, program string, n int, attr syscall.SysProcAttr) (said func() string, stop func()) {
	t.Helper()
	harness.ExpectNoOops(t)
	output, err := os.Create(filepath.Join(t.TempDir(), "output"))
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	var running []*exec.Cmd
	stop = func() {
		for _, cmd := range running {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
		running = nil
	}
	t.Cleanup(stop)
	attr.Cloneflags, attr.Setpgid = syscall.CLONE_NEWNS, true
	for range n {
		cmd := exec.Command(program, t.TempDir(), "60")
		cmd.SysProcAttr, cmd.Stderr = &attr, output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		running = append(running, cmd)
	}
	said = func() string {
		text, err := os.ReadFile(output.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	return said, stop
}

// Programs whose page faults hang occupy runs of the BPF program on a CPU, but never all of them. The test is not
// parallel, because no other program can detach a probe in the usual way while it runs.
func TestHangingPageFaultsLeaveRunsToOthers(t *testing.T) {
	const runs = 8 // CRAU_RUNS in the BPF program
	dir := t.TempDir()
	sample, hang := ownSample(t), harness.Compile(t, "../..", filepath.Join(dir, "hang"), "-w", "testdata/fusehang.c")
	a := trace(t, sample, "--library", hang)
	onFirstCPU(t, func() {
		said, stop := startHanging(t, hang, runs, syscall.SysProcAttr{})
		time.Sleep(2 * time.Second) // the programs fire after one second
		if out, err := exec.Command(sample, "--count", "5", "--rate", "0").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		stop()
		if !strings.Contains(said(), "READ came") {
			t.Error("nothing hung")
		}
	})
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	if n["lost.busy"] != 0 {
		t.Errorf("%d hits were lost while page faults hung", n["lost.busy"])
	}
	harness.CheckPairs(t, "sample", ofService(a.ConsoleSpans(), "sample"), 5)
}

// Even if many page faults of one owner hang on a CPU, a run is left that can wait for a page fault of another owner.
// The test is not parallel, because no other program can detach a probe in the usual way while it runs.
func TestSleepersLeaveRunsToOtherOwners(t *testing.T) {
	const hanging, names, stride = 8, 20, 128 << 10 // stride is STRIDE of testdata/pages.c
	dir := t.TempDir()
	pages := harness.Compile(t, "../..", filepath.Join(dir, "pages"), "testdata/pages.c")
	hang := harness.Compile(t, "../..", filepath.Join(dir, "hang"), "-w", "testdata/fusehang.c")
	content := make([]byte, names*stride)
	for i := range names {
		copy(content[i*stride:], "pk::sign")
	}
	file := filepath.Join(dir, "names")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cgroup, err := os.Open(harness.Cgroup(t, "/crau-sleepers.service"))
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()

	a := trace(t, pages, "--library", hang)
	onFirstCPU(t, func() {
		said, stop := startHanging(t, hang, hanging, syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(cgroup.Fd())})
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			text := said()
			if strings.Count(text, "probe fires") == hanging && strings.Contains(text, "READ came") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("nothing hangs: %s", text)
			}
		}
		time.Sleep(300 * time.Millisecond) // until the last program waits in a page fault or was refused a run
		if out, err := exec.Command(pages, file, strconv.Itoa(names)).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		stop()
	})
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	named := 0
	for _, s := range a.ConsoleSpans() {
		if s.Resource["service.name"] == "pages" && s.Name == "pk::sign" {
			named++
		}
	}
	if named != names {
		t.Errorf("%d of %d names in pages that were not resident arrived", named, names)
	}
}
