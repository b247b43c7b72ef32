// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peakLimit is the resident set that the agent must stay below, in MiB: docs/performance.md.
const peakLimit = 150

// peak returns the most that the agent's resident set ever was, in MiB.
func (a *agent) peak() int {
	a.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	if err != nil {
		a.t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "VmHWM:")
	number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
	n, err := strconv.Atoi(number)
	if err != nil {
		a.t.Fatalf("no VmHWM in\n%s", b)
	}
	return n / 1024
}

func (a *agent) checkPeak() {
	a.t.Helper()
	if got := a.peak(); got > peakLimit {
		a.t.Errorf("the resident set was %d MiB, the limit is %d", got, peakLimit)
	} else {
		a.t.Logf("the resident set was at most %d MiB", got)
	}
}

// More processes than are remembered, each with a handshake of its own, most of them gone at once.
func TestMemoryWithTenThousandProcesses(t *testing.T) {
	const processes, each = 10_000, 500
	r := startReceiver(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.endpoint}, "--library", samplePath)
	hits := 0
	for range processes / each {
		hits += runSample(t, "--forks", strconv.Itoa(each), "--count", strconv.Itoa(each), "--rate", "0")
	}
	a.checkPeak()
	n := a.stop()
	n.checkExact(t, hits)
	if got := len(r.received()); got != n["spans"] || got < processes*spansPerPair/2 {
		t.Errorf("%d spans arrived, %d were exported, of %d: %v", got, n["spans"], processes*spansPerPair, n)
	}
	t.Logf("of %d hits %d were exported: %v", hits, n["events.exported"], n)
}

// Contexts without end, below one that never ends and below none, full of long keys and values that never repeat: with a
// receiver, and with none, so that everything waits.
func TestMemoryUnderHostility(t *testing.T) {
	for name, away := range map[string]bool{"receiver": false, "no receiver": true} {
		t.Run(name, func(t *testing.T) {
			endpoint := "http://" + unused(t)
			if !away {
				endpoint = startReceiver(t).endpoint
			}
			a := startAgent(t, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_METRICS_EXPORTER=none", "CRAU_SHUTDOWN_TIMEOUT=1s",
			}, "--library", samplePath)
			hits := runSample(t, "--mode", "hostile", "--count", "60000")
			time.Sleep(3 * time.Second) // what is idle ends after two
			a.checkPeak()
			n := a.stop()
			n.checkExact(t, hits)
			t.Logf("%v", n)
		})
	}
}
