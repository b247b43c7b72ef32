// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"
)

// Nothing is sampled but the trees that are kept by rule: the metrics count all the same, and what is left out is
// told to the event.
func TestSamplingKeepsByRule(t *testing.T) {
	const fine, downgraded = 10, 4 // pairs of handshakes
	for _, c := range []struct {
		keep  string
		trees map[string]int // that are exported, by role
	}{
		{"", map[string]int{}},
		{"violations", map[string]int{"client": downgraded, "server": downgraded}},
		{"downgrades", map[string]int{"client": downgraded}}, // a server is not told what was offered
		{"weak", map[string]int{}},
		{"downgrades,violations", map[string]int{"client": downgraded, "server": downgraded}},
	} {
		t.Run("keep="+c.keep, func(t *testing.T) {
			r := startReceiver(t)
			a := startAgent(t, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.endpoint, "OTEL_TRACES_SAMPLER=always_off", "CRAU_SAMPLING_KEEP=" + c.keep,
			}, "--library", samplePath, "--policy", "hybrid-ok")
			hits := runSample(t, "--count", "10", "--rate", "0")
			hits += runSample(t, "--count", "4", "--rate", "0", "--group", "23", "--offer", "4588,23")
			n := a.stop()
			n.checkExact(t, hits)
			if n["lost.sampled_out"] != hits-n["events.exported"] {
				t.Errorf("what was not exported is not counted as sampled out: %v", n)
			}

			got := make(map[string]int)
			for _, root := range trees(t, r.received()) {
				role, _ := root.Attributes["tls.role"].(string)
				got[role]++
				if status := root.Attributes["crypto.pqc.key_exchange.status"]; status != "classical" {
					t.Errorf("a tree was exported whose key exchange is %v", status)
				}
			}
			for _, role := range []string{"client", "server"} {
				if got[role] != c.trees[role] {
					t.Errorf("%d trees of a %s were exported, want %d", got[role], role, c.trees[role])
				}
			}
			r.metrics.mu.Lock()
			defer r.metrics.mu.Unlock()
			for key, want := range map[string]float64{
				"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=hybrid,crypto.role=client," +
					"process.executable.name=sample}": fine,
				"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=classical,crypto.role=server," +
					"process.executable.name=sample}": downgraded,
				"crypto.policy.violations{crypto.policy.rule=hybrid-ok/key-exchange,process.executable.name=sample}": 2 * downgraded,
				"crau_otel.events.lost{reason=sampled_out}":                                                          float64(n["lost.sampled_out"]),
			} {
				if got := r.metrics.values[key]; got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
		})
	}
}
