// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// described returns what describeProcess says, by key.
func described(pid uint32, p event.Process) map[attribute.Key]any {
	got := make(map[attribute.Key]any)
	for _, kv := range describeProcess(pid, p) {
		got[kv.Key] = kv.Value.AsInterface()
	}
	return got
}

// TestMain lets the test program also be a program that waits.
func TestMain(m *testing.M) {
	if os.Getenv("CRAU_OTEL_TEST_WAIT") != "" {
		fmt.Println("waiting")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// wait starts a program with these arguments that runs until the test ends.
func wait(t *testing.T, args ...string) (pid uint32, path string) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path)
	cmd.Args = args
	cmd.Env = append(os.Environ(), "CRAU_OTEL_TEST_WAIT=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil { // by now it is no longer this program's fork
		t.Fatal(err)
	}
	return uint32(cmd.Process.Pid), path
}

func TestDescribeProcess(t *testing.T) {
	args := []string{"my-name", "", "two words", "caf\xe9"}
	pid, path := wait(t, args...)
	got := described(pid, event.Process{UID: 0, Executable: filepath.Base(path)})
	want := map[attribute.Key]any{
		"process.pid": int64(pid), "process.owner": "root", "process.executable.path": path,
		"process.command_args": []string{"my-name", "", "two words", "caf\uFFFD"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// Another program by now has that number, or the process is gone: only the kernel's record counts.
	for _, p := range []struct {
		pid        uint32
		executable string
	}{{pid, "other"}, {1 << 30, filepath.Base(path)}} {
		got := described(p.pid, event.Process{UID: 4_000_000_000, Executable: p.executable})
		want := map[attribute.Key]any{"process.pid": int64(p.pid), "process.owner": "4000000000"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestLongCommandLineIsCut(t *testing.T) {
	pid, path := wait(t, "x", strings.Repeat("a", 4000), strings.Repeat("b", 4000))
	args, _ := described(pid, event.Process{Executable: filepath.Base(path)})["process.command_args"].([]string)
	if want := []string{"x", strings.Repeat("a", 4000), strings.Repeat("b", maxCommandLine-4003)}; !slices.Equal(args, want) {
		t.Errorf("%d arguments of %d bytes", len(args), len(strings.Join(args, " ")))
	}
}
