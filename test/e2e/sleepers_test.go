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

// However many page faults of one owner hang on a CPU, a page fault of another owner's program can be waited for. Not
// parallel, as above.
func TestSleepersLeaveRunsToOtherOwners(t *testing.T) {
	const hanging, names, stride = 8, 20, 128 << 10 // stride as in pages.c
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
	said, err := os.Create(filepath.Join(dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()

	a := trace(t, pages, "--library", hang)
	var running []*exec.Cmd
	stop := func() {
		for _, cmd := range running {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			_ = cmd.Wait()
		}
		running = nil
	}
	t.Cleanup(stop)
	onFirstCPU(t, func() {
		for range hanging {
			cmd := exec.Command(hang, t.TempDir(), "60")
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags: syscall.CLONE_NEWNS, Setpgid: true, UseCgroupFD: true, CgroupFD: int(cgroup.Fd()),
			}
			cmd.Stderr = said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			running = append(running, cmd)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			text, err := os.ReadFile(said.Name())
			if err != nil {
				t.Fatal(err)
			}
			if fired := strings.Count(string(text), "probe fires"); fired == hanging && strings.Contains(string(text), "READ came") {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("nothing hangs: %s", text)
			}
		}
		time.Sleep(300 * time.Millisecond) // until the last of them waits, or cannot
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
