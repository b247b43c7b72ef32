// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSIGTERM(t *testing.T) {
	a := startAgent(t, nil, "--library", samplePath, "--exporter", "console", "--console-format", "json")
	hits := runSample(t, "--count", "2", "--rate", "0")
	a.stopBy(syscall.SIGTERM).checkExact(t, hits)
	checkPairs(t, consoleSpans(t, a.stdout.Bytes()), 2)
}

// stuck returns a crau-otel whose output nobody reads.
func stuck(t *testing.T, env ...string) *agent {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	cmd := agentCommand(t, env, "--library", samplePath, "--exporter", "console")
	cmd.Stdout = w
	a := startCommand(t, cmd)
	_ = w.Close()
	return a
}

func TestSecondSignalEndsAStuckShutdown(t *testing.T) {
	a := stuck(t, "CRAU_SHUTDOWN_TIMEOUT=5m")
	runSample(t, "--count", "200", "--rate", "0") // more than a pipe holds
	if err := a.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	a.waitLog("interrupt again to end at once")
	again := time.NewTicker(50 * time.Millisecond) // the line is logged a moment before the signal has that meaning
	defer again.Stop()
	timeout := time.After(time.Minute)
	for ended := false; !ended; {
		select {
		case <-again.C:
			_ = a.cmd.Process.Signal(syscall.SIGINT)
		case <-a.eof:
			ended = true
		case <-timeout:
			t.Fatal("crau-otel still runs")
		}
	}
	_ = a.cmd.Wait()
	if status, ok := a.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("crau-otel ended by %v, want by SIGINT", a.cmd.ProcessState)
	}
}

// Without a second signal the time to shut down bounds it, and what was not delivered is counted.
func TestStuckShutdownEndsInTime(t *testing.T) {
	a := stuck(t, "CRAU_SHUTDOWN_TIMEOUT=500ms")
	hits := runSample(t, "--count", "200", "--rate", "0")
	began := time.Now()
	n := a.stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to shut down", took)
	}
	n.checkExact(t, hits)
	if n["lost.export_failed"] == 0 {
		t.Errorf("nothing failed although nobody read: %v", n)
	}
	line(t, a.logText(), "level=WARN", "not everything was exported")
}

// unused returns an address that nobody listens on.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCollectorThatIsDown(t *testing.T) {
	a := startAgent(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + unused(t), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=10", "CRAU_SHUTDOWN_TIMEOUT=1s",
		"OTEL_METRICS_EXPORTER=none",
	}, "--library", samplePath)
	hits := runSample(t, "--count", "20", "--rate", "0")
	a.waitLog("connection refused")
	hits += runSample(t, "--count", "20", "--rate", "0") // it goes on
	n := a.stop()
	n.checkExact(t, hits)
	if n["lost.export_failed"] != hits || n["spans"] != 0 || n["trees"] != 80 {
		t.Errorf("%d hits of 80 trees, all of which should have failed: %v", hits, n)
	}
	log := a.logText()
	line(t, log, "level=WARN", "cannot export spans yet, trying again")
	line(t, log, "level=WARN", "spans are lost")
	line(t, log, "level=WARN", "not everything was exported")
	if n := strings.Count(log, "level=WARN"); n != 3 {
		t.Errorf("%d warnings, want 3:\n%s", n, log)
	}
}

func TestCollectorThatComesUpLater(t *testing.T) {
	address := unused(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address}, "--library", samplePath)
	hits := runSample(t, "--count", "20", "--rate", "0")
	a.waitLog("cannot export spans yet, trying again")
	r := startReceiverAt(t, address)
	r.waitFor(t, 20*18, 30*time.Second)
	hits += runSample(t, "--count", "1", "--rate", "0")
	a.stop().checkExact(t, hits)
	checkPairs(t, r.received(), 21)
	line(t, a.logText(), "level=INFO", "spans are exported again")
}

func TestLogAsJSON(t *testing.T) {
	a := startAgent(t, nil, "--library", samplePath, "--library", "/nonexistent", "--exporter", "none", "--log-format", "json")
	hits := runSample(t, "--count", "1", "--rate", "0")
	if err := a.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-a.eof
	if err := a.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]map[string]any)
	for l := range strings.Lines(a.logText()) {
		var record map[string]any
		if err := json.Unmarshal([]byte(l), &record); err != nil {
			t.Errorf("%v: %s", err, l)
			continue
		}
		msg, _ := record["msg"].(string)
		if found[msg] != nil {
			t.Errorf("%q is logged twice", msg)
		}
		found[msg] = record
	}
	if w := found["no probes attached"]; w["level"] != "WARN" || w["file"] != "/nonexistent" {
		t.Errorf("the missing file is logged as %v", w)
	}
	if r := found["ready"]; r["files"] != 1.0 || r["exporter"] != "none" {
		t.Errorf("ready is logged as %v", r)
	}
	total := found["totals"]
	events, _ := total["events"].(map[string]any)
	lost, _ := total["lost"].(map[string]any)
	if total["hits"] != float64(hits) || total["spans"] != 18.0 || total["trees"] != 2.0 || events["exported"] != float64(hits) ||
		lost["ring_full"] != 0.0 || lost["export_failed"] != 0.0 {
		t.Errorf("totals are logged as %v", total)
	}
}

// Who reads logs line by line gets all totals in one.
func TestTotalsAreOneLine(t *testing.T) {
	a := startAgent(t, nil, "--library", samplePath, "--exporter", "none")
	a.stop()
	totals := line(t, a.logText(), "msg=totals")
	for _, key := range []string{
		"hits", "spans", "trees", "events.exported", "events.session", "lost.ring_full", "lost.fault", "lost.busy",
		"lost.malformed", "lost.rate_limited", "lost.queue_full", "lost.export_failed", "lost.sampled_out", "lost.hidden",
		"marked.truncated", "marked.missing_pairs", "marked.evicted_trees", "marked.dropped_attributes",
	} {
		if !strings.Contains(totals, " "+key+"=0") {
			t.Errorf("%s is missing in %s", key, totals)
		}
	}
}

var sgr = regexp.MustCompile("\x1b\\[[0-9;]*m")

func TestConsoleColour(t *testing.T) {
	for _, when := range []string{"always", "never", "auto"} {
		a := startAgent(t, nil, "--library", samplePath, "--exporter", "console", "--console-color", when)
		runSample(t, "--count", "1", "--rate", "0", "--role", "server")
		a.stop()
		out := a.stdout.String()
		if coloured := sgr.MatchString(out); coloured != (when == "always") {
			t.Errorf("--console-color %s: coloured is %v:\n%q", when, coloured, out)
		}
		if plain := sgr.ReplaceAllString(out, ""); strings.Contains(plain, "\x1b") || !strings.Contains(plain, "├─ tls::key_exchange ") {
			t.Errorf("--console-color %s: without colours it is\n%q", when, plain)
		}
	}
}
