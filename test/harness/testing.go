// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/needs"
)

// RequireBPF skips a test, or fails it with CI=true, if BPF programs cannot be loaded.
func RequireBPF(t testing.TB) {
	t.Helper()
	needs.Root(t)
}

// TestAgent is an Agent that is stopped at the end of its test. Where a method of Agent returns an error, the same
// method of TestAgent fails the test.
type TestAgent struct {
	*Agent
	t testing.TB
}

// Start starts an agent for a test and waits until it is ready. If the test fails, the agent's log is shown.
func Start(t testing.TB, cfg AgentConfig) *TestAgent {
	t.Helper()
	RequireBPF(t)
	a, err := NewAgent(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Kill()
		if t.Failed() {
			t.Logf("log of crau-otel:\n%s", a.Log())
		}
	})
	return &TestAgent{Agent: a, t: t}
}

// WaitLog waits until the log contains text.
func (a *TestAgent) WaitLog(text string) {
	a.t.Helper()
	a.WaitLogs(text, 1)
}

// WaitLogs waits until the log contains text n times.
func (a *TestAgent) WaitLogs(text string, n int) {
	a.t.Helper()
	if err := a.Agent.WaitLogs(text, n); err != nil {
		a.t.Fatal(err)
	}
}

// Signal sends a signal to the agent.
func (a *TestAgent) Signal(signal syscall.Signal) {
	a.t.Helper()
	if err := a.Agent.Signal(signal); err != nil {
		a.t.Fatal(err)
	}
}

// Stop interrupts the agent, expects exit code 0 and returns the totals it logged.
func (a *TestAgent) Stop() TestTotals {
	a.t.Helper()
	return a.StopBy(syscall.SIGINT)
}

// StopBy stops the agent with a signal, expects exit code 0 and returns the totals it logged.
func (a *TestAgent) StopBy(signal syscall.Signal) TestTotals {
	a.t.Helper()
	totals, err := a.Agent.StopBy(signal)
	if err != nil {
		a.t.Fatal(err)
	}
	return TestTotals(totals)
}

// ConsoleSpans returns the spans that the agent printed as JSON. It must only be called after the agent has ended.
func (a *TestAgent) ConsoleSpans() []*Span {
	a.t.Helper()
	spans, err := ParseConsole(a.Output())
	if err != nil {
		a.t.Fatal(err)
	}
	return spans
}

// TestTotals are the Totals of a TestAgent, with a method that can fail the test.
type TestTotals Totals

// CheckExact checks that the number of hits is hits, and that every hit was exported or counted as lost.
func (n TestTotals) CheckExact(t testing.TB, hits int) {
	t.Helper()
	if err := Totals(n).Exact(hits); err != nil {
		t.Error(err)
	}
}

// TestReceiver is a Receiver that is closed at the end of its test. Where a method of Receiver returns an error, the
// same method of TestReceiver fails the test.
type TestReceiver struct {
	*Receiver
	t testing.TB
}

// Receive starts a receiver for a test.
func Receive(t testing.TB, cfg ReceiverConfig) *TestReceiver {
	t.Helper()
	r, err := NewReceiver(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return &TestReceiver{Receiver: r, t: t}
}

// WaitSpans waits until n spans have been stored and returns the arrival time of the nth.
func (r *TestReceiver) WaitSpans(n int, timeout time.Duration) time.Time {
	r.t.Helper()
	arrival, err := r.Receiver.WaitSpans(n, timeout)
	if err != nil {
		r.t.Fatal(err)
	}
	return arrival
}

// Sample builds the sample program of examples/sample into a temporary folder of the test and returns its path. root is
// the path of the repository's root.
func Sample(t testing.TB, root string) string {
	t.Helper()
	dir := t.TempDir()
	if err := BuildSample(root, dir); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "sample")
}

// Compile compiles C files with CompileC and returns to, the path of the result. It fails the test on errors.
func Compile(t testing.TB, root, to string, args ...string) string {
	t.Helper()
	if err := CompileC(root, to, args...); err != nil {
		t.Fatal(err)
	}
	return to
}

// Copy copies a program or library with CopyFile and returns to, the path of the copy. It fails the test on errors.
func Copy(t testing.TB, from, to string) string {
	t.Helper()
	if err := CopyFile(from, to); err != nil {
		t.Fatal(err)
	}
	return to
}

// RunSample runs the sample program to its end and returns how many probe hits it reports.
func RunSample(t testing.TB, path string, args ...string) (hits int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("sample %v: %v\n%s", args, err, out)
	}
	if hits, err = ParseFired(string(out)); err != nil {
		t.Fatal(err)
	}
	return hits
}

// StartProgram starts a program that is killed at the end of the test, unless Finish was called before.
func StartProgram(t testing.TB, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// Finish sends SIGTERM to a program, waits until it has ended and expects exit code 0.
func Finish(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s after SIGTERM: %v", cmd.Path, err)
	}
}

// WaitCalls waits until n calls have been received; they need not have been answered.
func (r *TestReceiver) WaitCalls(n uint64, timeout time.Duration) {
	r.t.Helper()
	if err := r.Receiver.WaitCalls(n, timeout); err != nil {
		r.t.Fatal(err)
	}
}
