// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// asJSON are arguments that make an agent print its spans in the form that TestAgent.ConsoleSpans parses.
var asJSON = []string{"--exporter", "console", "--console-format", "json"}

// startAgent starts `crau-otel run` with args and waits until it is ready.
func startAgent(t *testing.T, env []string, args ...string) *harness.TestAgent {
	t.Helper()
	return harness.Start(t, harness.AgentConfig{Path: agentPath, Env: env, Args: args})
}

// trace starts an agent that traces the probes of one file and prints its spans as JSON.
func trace(t *testing.T, file string, args ...string) *harness.TestAgent {
	t.Helper()
	return startAgent(t, nil, append(append([]string{"--library", file}, asJSON...), args...)...)
}

// ownSample returns a copy of the sample program that no other test runs.
func ownSample(t *testing.T) string {
	t.Helper()
	return harness.Copy(t, samplePath, filepath.Join(t.TempDir(), "sample"))
}

// result is the output and the exit code of a program that has ended.
type result struct {
	stdout, stderr string
	code           int // -1 if a signal ended it
}

// crau runs crau-otel with these arguments and returns the result. The command must exit on its own, because nothing
// signals it to stop.
func crau(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return finish(t, harness.AgentConfig{Path: agentPath, Env: env, Args: args}.Command())
}

// finishTimeout is how long a program that ends without a signal may run. Emulated processors take up to a minute.
const finishTimeout = 3 * time.Minute

// finish runs a program to its end and returns its result.
func finish(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(finishTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// write writes a file into a new temporary folder of the test and returns the file's path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// line returns the only line of text that contains all parts. If there is not exactly one, the test fails.
func line(t *testing.T, text string, parts ...string) string {
	t.Helper()
	var found []string
	for l := range strings.Lines(text) {
		ok := true
		for _, p := range parts {
			ok = ok && strings.Contains(l, p)
		}
		if ok {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		t.Errorf("%d lines with %q in\n%s", len(found), parts, text)
		return ""
	}
	return found[0]
}
