// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// described returns the attributes that describeProcess returns, as a map by key.
func described(pid uint32, p event.Process) map[attribute.Key]any {
	helpers := host.NewHelpers(host.HelpersConfig{Patience: patience})
	defer helpers.Close()
	got := make(map[attribute.Key]any)
	for _, kv := range describeProcess(helpers, pid, p, "/a") {
		got[kv.Key] = kv.Value.AsInterface()
	}
	return got
}

// TestMain lets the function wait run the test binary as a program that waits.
func TestMain(m *testing.M) {
	if os.Getenv("CRAU_OTEL_TEST_WAIT") != "" {
		fmt.Println("waiting")
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// wait starts the test binary with these arguments, as a program that runs until the test ends.
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
	// Once there is output, the child has executed the program, and is no longer a fork of this process.
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return uint32(cmd.Process.Pid), path
}

// started returns a plausible start time of a process, in ns as in the kernel's record: some time within the clock tick
// that /proc/PID/stat shows.
func started(t *testing.T, pid uint32) uint64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), ") ")
	ticks, err := strconv.ParseUint(strings.Fields(rest)[19], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return ticks*10_000_000 + 1_234_567
}

func TestDescribeProcess(t *testing.T) {
	args := []string{"my-name", "", "two words", "caf\xe9"}
	pid, path := wait(t, args...)
	got := described(pid, event.Process{StartTime: started(t, pid), UID: 0, Executable: filepath.Base(path)})
	want := map[attribute.Key]any{
		"process.pid": int64(pid), "process.owner": "root", "process.executable.path": path,
		"process.command_args": []string{"my-name", "", "two words", "caf\uFFFD"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// If the process has ended, or another process or program has its id, the attributes come from the kernel's record
	// only.
	for _, p := range []struct {
		pid        uint32
		started    uint64
		executable string
	}{{pid, started(t, pid), "other"}, {pid, 1, filepath.Base(path)}, {1 << 30, started(t, pid), filepath.Base(path)}} {
		got := described(p.pid, event.Process{StartTime: p.started, UID: 4_000_000_000, Executable: p.executable})
		want := map[attribute.Key]any{"process.pid": int64(p.pid), "process.owner": "4000000000"}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
}

func TestLongCommandLineIsCut(t *testing.T) {
	pid, path := wait(t, "x", strings.Repeat("a", 4000), strings.Repeat("b", 4000))
	args, _ := described(pid, event.Process{StartTime: started(t, pid), Executable: filepath.Base(path)})["process.command_args"].([]string)
	if want := []string{"x", strings.Repeat("a", 4000), strings.Repeat("b", host.MaxCommandLine-4003)}; !slices.Equal(args, want) {
		t.Errorf("%d arguments of %d bytes", len(args), len(strings.Join(args, " ")))
	}
}
