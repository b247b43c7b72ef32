// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// childVariable is the environment variable that makes TestChild run; its value is the path of a folder.
const childVariable = "SANDBOX_CHILD"

// outcomes contains the name of the error of each attempt, outside and inside the sandbox; "" means success.
type outcomes struct{ Outside, Inside map[string]string }

// TestChild is run by TestWhatTheSandboxAllowsAndRefuses in a separate process. One thread makes all attempts, and
// another enters the sandbox, in order to check that the sandbox applies to all threads.
func TestChild(t *testing.T) {
	dir := os.Getenv(childVariable)
	if dir == "" {
		t.Skip("for TestWhatTheSandboxAllowsAndRefuses")
	}
	pins, err := os.Open(filepath.Join(dir, "pins"))
	if err != nil {
		t.Fatal(err)
	}
	defer pins.Close()
	list := attempts(t, dir, pins)
	run := func() map[string]string {
		got := make(map[string]string)
		for what, attempt := range list {
			got[what] = outcome(attempt())
		}
		return got
	}
	var result outcomes
	entered, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		result.Outside = run()
		entered <- struct{}{}
		<-entered
		result.Inside = run()
	}()
	<-entered
	runtime.LockOSThread()
	if err := Enter(Config{Pins: pins}); err != nil {
		t.Fatal(err)
	}
	entered <- struct{}{}
	<-done
	if err := json.NewEncoder(os.NewFile(3, "result")).Encode(result); err != nil {
		t.Fatal(err)
	}
}

// outcome returns the name of the error number in err, or "" for success.
func outcome(err error) string {
	if errno := unix.Errno(0); errors.As(err, &errno) {
		return unix.ErrnoName(errno)
	} else if err != nil {
		return err.Error()
	}
	return ""
}

// refused lists the attempts that succeed outside the sandbox, and are refused inside.
var refused = []string{
	"run a program", "executable memory", "make memory executable", "file in memory", "write file", "update file", "make file",
	"make temporary", "openat2", "write by handle", "truncate on open", "truncate", "rename", "link", "symlink", "make folder",
	"make fifo", "remove file", "remove file at", "remove folder", "change mode", "give away", "change times", "set attribute",
	"mount", "unmount", "open a mount", "make a file system", "change the root folder", "new namespace", "name the host",
	"trace", "read memory", "write memory", "signal", "signal a thread", "queue a signal", "signal by pidfd",
	"steal a descriptor", "write to memory", "become another user", "adjust the clock", "listen", "packet socket",
}

// wrong lists the attempts that are refused inside the sandbox, and fail outside with another error than EPERM.
var wrong = []string{
	"execve", "execveat", "clone3", "set capabilities", "set the clock", "kexec", "kexec a file", "load a module", "reboot",
	"type into terminal", "userfaultfd", "io_uring", "load a BPF program", "open a perf event", "foreign call",
}

// allowed lists the attempts that succeed outside and inside the sandbox.
var allowed = []string{
	"read file", "find file", "read by handle", "list folder", "remove pin", "watch file", "map file or memory",
	"signal itself", "see executable", "see memory map", "see mapped files", "see root folder", "start a thread",
	"make a BPF map", "connect", "read own memory",
}

func TestWhatTheSandboxAllowsAndRefuses(t *testing.T) {
	harness.RequireBPF(t)
	dir := t.TempDir()
	for _, folder := range []string{"pins", "mount", "mounted"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	result, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestChild$")
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS}
	out, err := cmd.CombinedOutput()
	theirs.Close()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var got outcomes
	if err := json.NewDecoder(result).Decode(&got); err != nil {
		t.Fatal(err)
	}
	tried := make(map[string]bool)
	check := func(list []string, outside func(string) bool, inside ...string) {
		for _, what := range list {
			tried[what] = true
			before, ok := got.Outside[what]
			if !ok || !outside(before) {
				t.Errorf("%s: got %q outside", what, before)
			}
			after := got.Inside[what]
			if after != inside[0] && after != inside[len(inside)-1] {
				t.Errorf("%s: got %q inside, want one of %q", what, after, inside)
			}
		}
	}
	check(refused, func(before string) bool { return before == "" }, "EPERM", "ENOSYS")
	check(wrong, func(before string) bool { return before != "" && before != "EPERM" }, "EPERM", "ENOSYS")
	check(allowed, func(before string) bool { return before == "" }, "")
	for what := range got.Outside {
		if !tried[what] {
			t.Errorf("nothing is expected of %q", what)
		}
	}
}
