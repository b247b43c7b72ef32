// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

func TestSIGTERMEndsAsSIGINTDoes(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := trace(t, sample)
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	a.StopBy(syscall.SIGTERM).CheckExact(t, hits)
	harness.CheckPairs(t, "sample", a.ConsoleSpans(), 2)
}

// A signal that arrives twice within milliseconds counts as one. timeout(1), for example, sends it to the program and
// to the program's process group.
func TestSignalSentTwiceAtOnceCountsOnce(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := trace(t, sample)
	hits := harness.RunSample(t, sample, "--count", "2", "--rate", "0")
	a.Signal(syscall.SIGTERM)
	time.Sleep(2 * time.Millisecond) // the kernel merges signals of one kind while they are pending
	a.StopBy(syscall.SIGTERM).CheckExact(t, hits)
}

// startStuck starts an agent that traces a file and prints spans to a pipe that is never read.
func startStuck(t *testing.T, file string, env ...string) *harness.TestAgent {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	a := harness.Start(t, harness.AgentConfig{
		Path: agentPath, Env: env, Args: []string{"--library", file, "--exporter", "console"}, Stdout: w,
	})
	_ = w.Close()
	return a
}

func TestSecondSignalEndsAStuckShutdown(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startStuck(t, sample, "CRAU_SHUTDOWN_TIMEOUT=5m")
	harness.RunSample(t, sample, "--count", "200", "--rate", "0") // output that is longer than a pipe can hold
	a.Signal(syscall.SIGINT)
	a.WaitLog("interrupt again to exit immediately")
	again := time.NewTicker(50 * time.Millisecond) // the line is logged just before a second signal has that effect
	defer again.Stop()
	timeout := time.After(time.Minute)
	for ended := false; !ended; {
		select {
		case <-again.C:
			_ = a.Agent.Signal(syscall.SIGINT) // the agent may have ended
		case <-a.Ended():
			ended = true
		case <-timeout:
			t.Fatal("crau-otel still runs")
		}
	}
	state, _ := a.Wait()
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("crau-otel ended by %v, want by SIGINT", state)
	}
}

// Without a second signal, the shutdown ends after shutdown.timeout, and spans that were not delivered are counted. The
// test is not parallel, because it measures time.
func TestStuckShutdownEndsInTime(t *testing.T) {
	sample := ownSample(t)
	a := startStuck(t, sample, "CRAU_SHUTDOWN_TIMEOUT=500ms")
	hits := harness.RunSample(t, sample, "--count", "200", "--rate", "0")
	began := time.Now()
	n := a.Stop()
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s to shut down", took)
	}
	n.CheckExact(t, hits)
	if n["lost.export_failed"] == 0 {
		t.Errorf("nothing failed although nobody read: %v", n)
	}
	line(t, a.Log(), "level=WARN", "some spans were not exported")
}

// A receiver that sends endless HTTP/2 PING frames and reads nothing cannot delay the agent's end: exports of spans and
// metrics share the time for the shutdown. The test is not parallel, because it measures time.
func TestShutdownEndsInTimeDespiteAFloodOfPings(t *testing.T) {
	sample := ownSample(t)
	f := harness.FloodPings(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + f.Address, "CRAU_SHUTDOWN_TIMEOUT=2s"}, "--library", sample)
	hits := harness.RunSample(t, sample, "--count", "200", "--rate", "0")
	select {
	case <-f.Blocked:
	case <-time.After(20 * time.Second):
		t.Fatal("the connection still takes PING frames after 20 s")
	}
	began := time.Now()
	n := a.Stop()
	if took := time.Since(began); took > 4500*time.Millisecond {
		t.Errorf("it took %s to shut down, want 2 s and what detaching takes", took)
	}
	n.CheckExact(t, hits)
	if n["lost.export_failed"] != hits {
		t.Errorf("%d hits, not all failed although nobody read: %v", hits, n)
	}
}

func TestEverythingFailsWithoutAReceiver(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + harness.UnusedAddress(t), "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=10", "CRAU_SHUTDOWN_TIMEOUT=1s",
		"OTEL_METRICS_EXPORTER=none",
	}, "--library", sample)
	hits := harness.RunSample(t, sample, "--count", "20", "--rate", "0")
	a.WaitLog("connection refused")
	hits += harness.RunSample(t, sample, "--count", "20", "--rate", "0") // the agent continues to trace
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["lost.export_failed"] != hits || n["spans"] != 0 || n["trees"] != 80 {
		t.Errorf("%d hits of 80 trees, all of which should have failed: %v", hits, n)
	}
	log := a.Log()
	line(t, log, "level=WARN", "cannot export spans yet; retrying")
	line(t, log, "level=WARN", "spans are lost")
	line(t, log, "level=WARN", "some spans were not exported")
	if n := strings.Count(log, "level=WARN"); n != 3 {
		t.Errorf("%d warnings, want 3:\n%s", n, log)
	}
}

func TestReceiverThatComesUpLaterGetsEverything(t *testing.T) {
	t.Parallel()
	address := harness.UnusedAddress(t)
	sample := ownSample(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + address}, "--library", sample)
	hits := harness.RunSample(t, sample, "--count", "20", "--rate", "0")
	a.WaitLog("cannot export spans yet; retrying")
	r := harness.Receive(t, harness.ReceiverConfig{Address: address})
	r.WaitSpans(20*18, 30*time.Second)
	hits += harness.RunSample(t, sample, "--count", "1", "--rate", "0")
	a.Stop().CheckExact(t, hits)
	harness.CheckPairs(t, "sample", r.Spans(), 21)
	line(t, a.Log(), "level=INFO", "spans are exported again")
}

func TestLogAsJSONHasTheTotals(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, nil, "--library", sample, "--library", "/nonexistent", "--exporter", "none", "--log-format", "json")
	hits := harness.RunSample(t, sample, "--count", "1", "--rate", "0")
	a.Signal(syscall.SIGINT)
	if _, err := a.Wait(); err != nil {
		t.Fatal(err)
	}
	found := make(map[string]map[string]any)
	for l := range strings.Lines(a.Log()) {
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

func TestTotalsAreOneLine(t *testing.T) {
	t.Parallel()
	sample := ownSample(t)
	a := startAgent(t, nil, "--library", sample, "--exporter", "none")
	a.Stop()
	totals := line(t, a.Log(), "msg=totals")
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

func TestConsoleIsColouredWhereConfigured(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"always", "never", "auto"} {
		sample := ownSample(t)
		a := startAgent(t, nil, "--library", sample, "--exporter", "console", "--console-color", when)
		harness.RunSample(t, sample, "--count", "1", "--rate", "0", "--role", "server")
		a.Stop()
		out := string(a.Output())
		if coloured := sgr.MatchString(out); coloured != (when == "always") {
			t.Errorf("--console-color %s: coloured is %v:\n%q", when, coloured, out)
		}
		if plain := sgr.ReplaceAllString(out, ""); strings.Contains(plain, "\x1b") || !strings.Contains(plain, "├─ tls::key_exchange ") {
			t.Errorf("--console-color %s: without colours it is\n%q", when, plain)
		}
	}
}
