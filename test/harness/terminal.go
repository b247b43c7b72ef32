// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminalTimeout is how long a program may take to print the text that Await waits for.
const terminalTimeout = 30 * time.Second

// Terminal is a pseudo-terminal for a program.
type Terminal struct {
	master, slave *os.File

	mu     sync.Mutex
	output bytes.Buffer
	seen   int // number of bytes of output up to the end of the last match of Await
}

// OpenTerminal opens a pseudo-terminal, which is closed at the end of the test.
func OpenTerminal(t testing.TB) *Terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return &Terminal{master: master, slave: slave}
}

// Start starts a program as the leader of a session on the terminal.
func (tm *Terminal) Start(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tm.slave, tm.slave, tm.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	_ = tm.slave.Close()
	go func() {
		for buffer := make([]byte, 4096); ; {
			n, err := tm.master.Read(buffer)
			tm.mu.Lock()
			tm.output.Write(buffer[:n])
			tm.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
}

// Send writes text to the terminal, as if it were typed.
func (tm *Terminal) Send(t testing.TB, text string) {
	t.Helper()
	if _, err := tm.master.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// Await waits until the program has printed something that matches pattern, behind the match of the previous Await.
func (tm *Terminal) Await(t testing.TB, pattern *regexp.Regexp) {
	t.Helper()
	for deadline := time.Now().Add(terminalTimeout); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		tm.mu.Lock()
		at := pattern.FindIndex(tm.output.Bytes()[tm.seen:])
		if at != nil {
			tm.seen += at[1]
		}
		tm.mu.Unlock()
		if at != nil {
			return
		}
	}
	t.Fatalf("no %s in\n%s", pattern, tm.Output())
}

// Output returns the program's output so far.
func (tm *Terminal) Output() string {
	tm.mu.Lock()
	defer tm.mu.Unlock()
	return tm.output.String()
}
