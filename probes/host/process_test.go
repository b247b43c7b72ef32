// SPDX-License-Identifier: Apache-2.0

package host

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/crau-otel/crau-otel/test/needs"
)

// TestRootUser reads which user of the host is root in the user namespaces of processes.
func TestRootUser(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	if user, err := Process(os.Getpid()).RootUser(); user != 0 || err != nil {
		t.Errorf("got %d, %v", user, err)
	}
	if _, err := Process(1 << 31).RootUser(); err == nil {
		t.Error("found the user namespace of no process")
	}
	for root, want := range map[int]string{0: "100000 <nil>", 5: "0 in a user namespace without a root"} {
		cmd := exec.Command("sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: root, HostID: 100000, Size: 10}},
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		user, err := Process(cmd.Process.Pid).RootUser()
		if got := fmt.Sprint(user, " ", err); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
