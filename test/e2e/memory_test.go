// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/crau-otel/crau-otel/test/harness"
)

// peakLimit is the limit of the agent's resident set in MiB that docs/performance.md states.
const peakLimit = 150

// checkPeak checks that the maximum of the agent's resident set so far is below peakLimit.
func checkPeak(t *testing.T, a *harness.TestAgent) {
	t.Helper()
	_, peak, err := harness.Memory(a.PID())
	if err != nil {
		t.Fatal(err)
	}
	if got := int(peak >> 20); got > peakLimit {
		t.Errorf("the resident set was %d MiB, the limit is %d", got, peakLimit)
	} else {
		t.Logf("the resident set was at most %d MiB", got)
	}
}

// The tests in this file are not parallel, because they measure memory under loads that use all the CPU time of the
// machine.

// The agent's memory stays bounded if there are more processes than it keeps state for. Most of the processes are
// short-lived, and each makes one handshake.
func TestMemoryStaysBoundedWithTenThousandProcesses(t *testing.T) {
	const processes, each = 10_000, 500
	r := harness.Receive(t, harness.ReceiverConfig{})
	sample := ownSample(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample)
	hits := 0
	for range processes / each {
		hits += harness.RunSample(t, sample, "--forks", strconv.Itoa(each), "--count", strconv.Itoa(each), "--rate", "0")
	}
	checkPeak(t, a)
	n := a.Stop()
	n.CheckExact(t, hits)
	if got := len(r.Spans()); got != n["spans"] || got < processes*spansPerPair/2 {
		t.Errorf("%d spans arrived, %d were exported, of %d: %v", got, n["spans"], processes*spansPerPair, n)
	}
	t.Logf("of %d hits %d were exported: %v", hits, n["events.exported"], n)
}

// The agent's memory stays bounded if a program opens contexts endlessly, some of them below a context that never ends,
// and fills them with long keys and values that never repeat. It also stays bounded without a receiver, when all spans
// wait.
func TestMemoryStaysBoundedUnderHostility(t *testing.T) {
	for name, away := range map[string]bool{"receiver": false, "no receiver": true} {
		t.Run(name, func(t *testing.T) {
			endpoint := "http://" + harness.UnusedAddress(t)
			if !away {
				endpoint = harness.Receive(t, harness.ReceiverConfig{}).Endpoint()
			}
			sample := ownSample(t)
			a := startAgent(t, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_METRICS_EXPORTER=none", "CRAU_SHUTDOWN_TIMEOUT=1s",
			}, "--library", sample)
			hits := harness.RunSample(t, sample, "--mode", "hostile", "--count", "60000")
			time.Sleep(3 * time.Second) // trees end after two seconds without events
			checkPeak(t, a)
			n := a.Stop()
			n.CheckExact(t, hits)
			t.Logf("%v", n)
		})
	}
}
