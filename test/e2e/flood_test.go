// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
)

func TestFloodIsAccountedToTheEvent(t *testing.T) {
	a := startAgent(t, nil, "--library", samplePath, "--exporter", "console", "--console-format", "json", "--ring-size", "64KiB")
	hits := runSample(t, "--mode", "flood", "--count", "1000000")
	n := a.stop()
	n.checkExact(t, hits)
	if n["lost.ring_full"]+n["lost.rate_limited"] == 0 {
		t.Errorf("a ring of 64KiB lost nothing of %d hits: the flood is no flood", hits)
	}
	roots := trees(t, consoleSpans(t, a.stdout.Bytes()))
	if len(roots) != 1 || roots[0].Attributes["crypto.incomplete"] != true {
		t.Errorf("%d trees; the one of the flood must say that it is incomplete", len(roots))
	}
}

func TestFloodDoesNotCostOthersTheirEvents(t *testing.T) {
	a := startAgent(t, nil, "--library", samplePath, "--exporter", "console", "--console-format", "json", "--ring-size", "256KiB")
	flood := startSample(t, "--mode", "flood", "--count", "1000000000")
	runSample(t, "--count", "100", "--rate", "50")
	flood.stop(t)
	n := a.stop()
	n.checkExact(t, n["hits"])
	if n["lost.ring_full"]+n["lost.rate_limited"] == 0 {
		t.Error("the flood lost nothing: it is no flood")
	}
	spans := consoleSpans(t, a.stdout.Bytes())
	var handshakes []*span
	for _, s := range spans {
		if s.Name != "test::flood" {
			handshakes = append(handshakes, s)
		}
	}
	checkPairs(t, handshakes, 100)
}

func TestProcessRateLimitsAProcess(t *testing.T) {
	t.Setenv("CRAU_LIMITS_PROCESS_RATE", "1000")
	a := startAgent(t, nil, "--library", samplePath, "--exporter", "none")
	hits := runSample(t, "--mode", "flood", "--count", "20000")
	n := a.stop()
	n.checkExact(t, hits)
	if n["events.exported"] < 1000 || n["events.exported"] > 3000 {
		t.Errorf("%d events of one process in much less than a second, want about 1000", n["events.exported"])
	}
}
