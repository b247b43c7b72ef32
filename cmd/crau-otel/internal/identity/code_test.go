// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/test/harness"
	"github.com/crau-otel/crau-otel/tracer/event"
)

func newCode(t *testing.T) *Code {
	t.Helper()
	harness.RequireBPF(t)
	c, err := NewCode(slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// sleeper starts path, a copy of sleep(1), in the namespaces that flags create. It runs until the test ends.
func sleeper(t *testing.T, path string, flags uintptr) (uint32, event.Process) {
	t.Helper()
	cmd := exec.Command(path, "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	pid := uint32(cmd.Process.Pid)
	for { // until the child has executed the program, and is no longer a fork of this process
		if exe, err := host.Process(pid).Executable(); err == nil && filepath.Base(exe) == filepath.Base(path) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // time for the dynamic loader to map libraries
	return pid, event.Process{StartTime: started(t, pid), Executable: filepath.Base(path), ExeInode: 1}
}

// systemSleep returns the path of sleep(1), which only root can write.
func systemSleep(t *testing.T) string {
	t.Helper()
	path, err := filepath.EvalSymlinks("/bin/sleep")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func copied(t *testing.T, dir string) string {
	t.Helper()
	content, err := os.ReadFile(systemSleep(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sleep")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCodeOfProcesses(t *testing.T) {
	c := newCode(t)
	rooted, err := os.MkdirTemp("/opt", "crau-code")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(rooted) })
	if err := os.Chmod(rooted, 0o755); err != nil {
		t.Fatal(err)
	}
	own, others := copied(t, rooted), copied(t, t.TempDir())
	for _, test := range []struct {
		what, path string
		want       mapping.Code
	}{
		{"root's program", systemSleep(t), mapping.CodeTrusted},
		{"a program in a folder of root's", own, mapping.CodeTrusted},
		{"a program where others can write", others, mapping.CodeForeign},
	} {
		pid, p := sleeper(t, test.path, 0)
		if got := c.Of(pid, p, "/a"); got != test.want {
			t.Errorf("%s: %d, want %d", test.what, got, test.want)
		}
		if got := c.Of(pid, event.Process{StartTime: 1, Executable: "sleep"}, "/a"); got != mapping.CodeUnknown {
			t.Errorf("%s, of a process that has ended: %d", test.what, got)
		}
	}
}

// In a separate mount namespace, files that only root can write are trusted if they are files of the host.
func TestCodeInMountNamespaces(t *testing.T) {
	c := newCode(t)
	pid, p := sleeper(t, systemSleep(t), syscall.CLONE_NEWNS)
	if got := c.Of(pid, p, "/a"); got != mapping.CodeTrusted {
		t.Errorf("of the host's file: %d", got)
	}
	script := fmt.Sprintf("mount -t tmpfs -o mode=755 none /mnt && cp %s /mnt/crau-sleep && exec /mnt/crau-sleep 1000", systemSleep(t))
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	pid = uint32(cmd.Process.Pid)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if exe, _ := host.Process(pid).Executable(); filepath.Base(exe) == "crau-sleep" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the program does not run")
		}
	}
	if got := c.Of(pid, event.Process{StartTime: started(t, pid), Executable: "crau-sleep"}, "/a"); got != mapping.CodeForeign {
		t.Errorf("of a file of the namespace: %d", got)
	}
}

// A process is examined again after its maps have changed. A process that has executed foreign code does not become
// trusted again when it unmaps that code.
func TestCodeIsExaminedAgain(t *testing.T) {
	c := newCode(t)
	pid, p := sleeper(t, systemSleep(t), 0)
	if got := c.Of(pid, p, "/a"); got != mapping.CodeTrusted {
		t.Fatalf("at first: %d", got)
	}
	c.mu.Lock()
	clear(c.trusted)
	c.mu.Unlock()
	c.Changed(pid)
	if got := c.Of(pid, p, "/a"); got != mapping.CodeTrusted || len(c.trusted) == 0 {
		t.Errorf("after a change: %d, %d files", got, len(c.trusted))
	}
	c.mu.Lock()
	c.known[pid].code = mapping.CodeForeign
	c.mu.Unlock()
	c.Changed(pid)
	if got := c.Of(pid, p, "/a"); got != mapping.CodeForeign {
		t.Errorf("later: %d", got)
	}
	p.ExeInode++
	if got := c.Of(pid, p, "/a"); got != mapping.CodeTrusted {
		t.Errorf("of the next program: %d", got)
	}
}

// The number of examinations is limited for each owner, so that an owner that starts many processes does not delay the
// events of other owners.
func TestExaminationsAreBounded(t *testing.T) {
	c := newCode(t)
	pid, p := sleeper(t, systemSleep(t), 0)
	examined := 0
	for i := range uint64(3 * codeBurst) {
		p.ExeInode = i
		if c.Of(pid, p, "/a") != mapping.CodeUnknown {
			examined++
		}
	}
	if examined < codeBurst || examined > codeBurst+codeBurst/2 {
		t.Errorf("%d of %d processes of one owner were examined", examined, 3*codeBurst)
	}
	if got := c.Of(pid, p, "/b"); got != mapping.CodeTrusted {
		t.Errorf("of another owner: %d", got)
	}
	for i := range 2 * maxBudgets {
		c.Of(pid, event.Process{StartTime: 1}, fmt.Sprint(i))
	}
	if len(c.budgets) > maxBudgets {
		t.Errorf("the budgets of %d owners are remembered", len(c.budgets))
	}
}

// A process that does not answer is examined again soon. Until then, it does not prevent examinations of other owners'
// processes.
func TestCodeIsExaminedOnceItAnswers(t *testing.T) {
	c := newCode(t)
	pid, p := sleeper(t, systemSleep(t), 0)
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	for _, silent := range []uint32{pid, 1, 2, 3} { // the maximum of unanswered questions about processes of one owner
		c.helpers.Ask(&host.Question{
			Subject: host.Subject{Process: host.Process(silent), Owner: "/a"},
			Ask:     func() { _, _ = unix.Read(pipe[0], make([]byte, 1)) },
		})
	}
	if got := c.Of(pid, p, "/a"); got != mapping.CodeUnknown {
		t.Errorf("without an answer: %d", got)
	}
	if other, record := sleeper(t, systemSleep(t), 0); c.Of(other, record, "/b") != mapping.CodeTrusted {
		t.Error("another owner's process was not examined")
	}
	if err := unix.Close(pipe[1]); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(codeExpires / 2); c.Of(pid, p, "/a") != mapping.CodeTrusted; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the process was not examined again")
		}
	}
}

// The last result for a process remains valid after the process has ended.
func TestCodeOfAProcessThatHasEnded(t *testing.T) {
	c := newCode(t)
	cmd := exec.Command(systemSleep(t), "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	pid := uint32(cmd.Process.Pid)
	p := event.Process{StartTime: started(t, pid), Executable: "sleep"}
	first := c.Of(pid, p, "/a")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	c.Changed(pid)
	if got := c.Of(pid, p, "/a"); got != first || got != mapping.CodeTrusted {
		t.Errorf("%d, before it ended %d", got, first)
	}
}

func BenchmarkCodeOf(b *testing.B) {
	c, err := NewCode(slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	pid := uint32(os.Getpid())
	p := event.Process{StartTime: 1}
	c.Of(pid, p, "/a")
	c.known[pid] = &examined{process: p, code: mapping.CodeTrusted, expires: time.Now().Add(time.Hour)}
	for b.Loop() {
		c.Of(pid, p, "/a")
	}
}

func BenchmarkExamine(b *testing.B) {
	c, err := NewCode(slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ticks, err := host.Process(1).StartTime()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		c.examine(1, event.Process{StartTime: ticks * tick}, "/a")
	}
}
