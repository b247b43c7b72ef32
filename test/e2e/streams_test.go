// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/test/harness"
)

// If the reader of standard error disappears, as journald does when it is restarted, the agent continues. The totals
// are then still available on standard output and as metrics.
func TestAgentOutlivesTheReaderOfItsLog(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	for name, start := range map[string]string{
		"as usual":        `exec "$@"`,
		"SIGPIPE ignored": `trap '' PIPE; exec "$@"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sample := ownSample(t)
			r := harness.Receive(t, harness.ReceiverConfig{})
			cmd := harness.AgentConfig{
				Path: "/bin/sh", Args: []string{"-c", start, "sh", agentPath, "run", "--library", sample},
				Env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()},
			}.Command()
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			stderr, err := cmd.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			harness.StartProgram(t, cmd)
			for log := bufio.NewScanner(stderr); log.Scan() && !strings.Contains(log.Text(), "msg=ready"); {
			}
			hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
			_ = stderr.Close()
			if err := cmd.Process.Signal(syscall.SIGHUP); err != nil { // the reload makes the agent write to the log
				t.Fatal(err)
			}
			hits += harness.RunSample(t, sample, "--count", "2", "--rate", "0")
			r.WaitSpans(4*spansPerPair, 30*time.Second)
			harness.Finish(t, cmd)
			harness.CheckPairs(t, "sample", r.Spans(), 4)
			n, err := harness.ParseTotals(stdout.String())
			if err != nil {
				t.Fatalf("%v\n%s", err, stdout.String())
			}
			harness.TestTotals(n).CheckExact(t, hits)
			if !strings.Contains(stdout.String(), "configuration reloaded") {
				t.Errorf("the reload is not in\n%s", stdout.String())
			}
			found := false
			for series, value := range r.Metrics.Values() {
				found = found || strings.HasPrefix(series, "crau_otel.hits") && value == float64(hits)
			}
			if !found {
				t.Errorf("no metric says %d hits: %v", hits, r.Metrics.Values())
			}
		})
	}
}

// When the reader of its standard output ends, as in `crau-otel run --exporter console | head -1`, the agent ends
// without error messages.
func TestConsoleEndsQuietlyWithItsReader(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--exporter", "console"}, asJSON} {
		sample := ownSample(t)
		out, in, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		a := harness.Start(t, harness.AgentConfig{
			Path: agentPath, Args: append([]string{"--library", sample, "--idle-timeout", "50ms"}, args...), Stdout: in,
		})
		_ = in.Close()
		head := exec.Command("head", "-1")
		head.Stdin = out
		var first bytes.Buffer
		head.Stdout = &first
		harness.StartProgram(t, head)
		_ = out.Close()
		// The program makes only one tree in each run. With more trees, the agent could end before the second run.
		hits := harness.RunSample(t, sample, "--count", "1", "--rate", "0", "--role", "client")
		if err := head.Wait(); err != nil || !strings.Contains(first.String(), "sample") {
			t.Errorf("head -1 printed %q, error %v", first.String(), err)
		}
		hits += harness.RunSample(t, sample, "--count", "1", "--rate", "0", "--role", "client")
		state, err := a.Wait() // the agent ends without a signal
		if err != nil {
			t.Fatalf("%v: %v\n%s", state, err, a.Log())
		}
		n, err := harness.ParseTotals(a.Log())
		if err != nil {
			t.Fatal(err)
		}
		harness.TestTotals(n).CheckExact(t, hits)
		if n["events.exported"] == 0 || n["lost.export_failed"] == 0 {
			t.Errorf("want a part exported and the rest failed: %v", n)
		}
		for line := range strings.Lines(a.Log()) {
			if !strings.Contains(line, "level=INFO") {
				t.Errorf("it does not end quietly: %s", line)
			}
		}
	}
}

// With log.format: json, every line on standard error is JSON, whichever part of the program writes it, and also when
// something fails.
func TestEveryLineOfTheLogIsJSON(t *testing.T) {
	t.Parallel()
	harness.RequireBPF(t)
	bad := write(t, "config.yaml", "log:\n  format: json\nexporter: 7\nring:\n  size: 3MiB\n")
	sample := ownSample(t)
	for _, c := range []struct {
		env, args []string
		end       time.Duration // when to stop an agent that does not end before
	}{
		{nil, []string{"run", "--log-format", "json", "--exporter", "file"}, 0},
		{nil, []string{"run", "--config", bad}, 0},
		{[]string{"CRAU_LOG_FORMAT=json"}, []string{"run", "--nonsense"}, 0},
		{nil, []string{"run", "--nonsense", "--log-format", "json"}, 0},
		{[]string{"CRAU_LOG_FORMAT=json", "OTEL_SPAN_EVENT_COUNT_LIMIT=x"}, []string{"run", "--nonsense"}, 0},
		{[]string{"CRAU_LOG_FORMAT=json"}, []string{"probes", "/nonexistent"}, 0},
		{[]string{"CRAU_LOG_FORMAT=json", "OTEL_EXPORTER_OTLP_ENDPOINT=host"}, []string{"run", "--library", sample}, 0},
		{[]string{"CRAU_LOG_FORMAT=json"}, []string{"run"}, 0}, // there is nothing to trace
		{
			[]string{
				"CRAU_LOG_FORMAT=json", "CRAU_LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT=http://" + harness.UnusedAddress(t),
				"OTEL_METRIC_EXPORT_INTERVAL=100", "CRAU_SHUTDOWN_TIMEOUT=500ms", "GRPC_GO_LOG_SEVERITY_LEVEL=info",
				"GRPC_GO_LOG_VERBOSITY_LEVEL=99", "CRAU_PPROF=127.0.0.1:0",
			},
			[]string{"run", "--library", sample},
			2 * time.Second,
		},
	} {
		cmd := harness.AgentConfig{Path: agentPath, Env: c.env, Args: c.args}.Command()
		if c.end > 0 {
			time.AfterFunc(c.end, func() { _ = cmd.Process.Signal(syscall.SIGTERM) })
		}
		got := finish(t, cmd)
		n := 0
		for line := range strings.Lines(got.stderr) {
			var record struct{ Level, Msg string }
			if err := json.Unmarshal([]byte(line), &record); err != nil || record.Level == "" || record.Msg == "" {
				t.Errorf("%v %v: %v: %s", c.env, c.args, err, line)
			}
			n++
		}
		if n == 0 || c.end == 0 && (n != 1 || got.code != 1) || c.end > 0 && got.code != 0 {
			t.Errorf("%v %v: %d lines, exit code %d", c.env, c.args, n, got.code)
		}
		if c.end > 0 && (!strings.Contains(got.stderr, `"msg":"gRPC"`) || !strings.Contains(got.stderr, `"msg":"totals"`)) {
			t.Errorf("neither gRPC nor the totals are in\n%s", got.stderr)
		}
	}
}

// On a terminal, the output has colours unless NO_COLOR is set or the terminal has no colours.
func TestColoursOnATerminal(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]bool{"TERM=xterm": true, "NO_COLOR=1": false, "TERM=dumb": false} {
		sample := ownSample(t)
		master, terminal := openTerminal(t)
		a := harness.Start(t, harness.AgentConfig{
			Path: agentPath, Args: []string{"--library", sample, "--exporter", "console"}, Stdout: terminal,
			Env: []string{"TERM=xterm", "NO_COLOR=", env},
		})
		harness.RunSample(t, sample, "--count", "1", "--rate", "0", "--role", "server")
		a.Stop()
		_ = terminal.Close()
		out, _ := io.ReadAll(master) // returns an error when no process has the terminal open any more
		if got := sgr.Match(out); got != want || !strings.Contains(string(out), "tls::key_exchange") {
			t.Errorf("%s: coloured is %v:\n%q", env, got, out)
		}
	}
}

// openTerminal opens a pseudo-terminal and returns both of its sides.
func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, terminal
}

// `crau-otel probes FILE` escapes file names like all other output.
func TestProbesOfAFileWithAHostileName(t *testing.T) {
	t.Parallel()
	name := harness.Copy(t, samplePath, filepath.Join(t.TempDir(), "sa\x1b[31mmple\n"))
	for _, args := range [][]string{{"probes", name}, {"probes", "--output", "json", name}, {"probes", name + "\x1b"}} {
		got := crau(t, nil, args...)
		if strings.Contains(got.stdout+got.stderr, "\x1b") || !strings.Contains(got.stdout+got.stderr, "[31mmple") {
			t.Errorf("%q: stdout %q, stderr %q", args, got.stdout, got.stderr)
		}
	}
}
