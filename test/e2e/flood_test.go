// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os/exec"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// The tests in this file take all the CPU time there is, which would fail the deadlines of others: not parallel.

func TestFloodIsAccountedToTheEvent(t *testing.T) {
	sample := ownSample(t)
	a := trace(t, sample, "--ring-size", "64KiB")
	hits := harness.RunSample(t, sample, "--mode", "flood", "--count", "1000000")
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["lost.ring_full"]+n["lost.rate_limited"] == 0 {
		t.Errorf("a ring of 64KiB lost nothing of %d hits: the flood is no flood", hits)
	}
	roots := harness.Trees(t, a.ConsoleSpans())
	if len(roots) != 1 || roots[0].Attributes["crypto.incomplete"] != true {
		t.Errorf("%d trees; the one of the flood must say that it is incomplete", len(roots))
	}
}

func TestFloodDoesNotCostOthersTheirEvents(t *testing.T) {
	sample := ownSample(t)
	a := trace(t, sample, "--ring-size", "256KiB")
	flood := harness.StartProgram(t, exec.Command(sample, "--mode", "flood", "--count", "1000000000"))
	harness.RunSample(t, sample, "--count", "100", "--rate", "50")
	harness.Finish(t, flood)
	n := a.Stop()
	n.CheckExact(t, n["hits"])
	if n["lost.ring_full"]+n["lost.rate_limited"] == 0 {
		t.Error("the flood lost nothing: it is no flood")
	}
	spans := a.ConsoleSpans()
	var handshakes []*harness.Span
	for _, s := range spans {
		if s.Name != "test::flood" {
			handshakes = append(handshakes, s)
		}
	}
	harness.CheckPairs(t, "sample", handshakes, 100)
}

func TestProcessRateLimitsAProcess(t *testing.T) {
	sample := ownSample(t)
	a := startAgent(t, []string{"CRAU_LIMITS_PROCESS_RATE=1000"}, "--library", sample, "--exporter", "none")
	hits := harness.RunSample(t, sample, "--mode", "flood", "--count", "20000")
	n := a.Stop()
	n.CheckExact(t, hits)
	if n["events.exported"] < 1000 || n["events.exported"] > 3000 {
		t.Errorf("%d events of one process in much less than a second, want about 1000", n["events.exported"])
	}
}
