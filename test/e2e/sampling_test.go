// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// With sampling, only the trees that a rule keeps are exported. The metrics count all trees, and the hits of trees that
// are not kept are counted under the loss reason sampled_out.
func TestSamplingKeepsByRule(t *testing.T) {
	t.Parallel()
	const fine, downgraded = 10, 4 // numbers of pairs of handshakes
	for _, c := range []struct {
		keep  string
		trees map[string]int // number of exported trees by role
	}{
		{"", map[string]int{}},
		{"violations", map[string]int{"client": downgraded, "server": downgraded}},
		{"downgrades", map[string]int{"client": downgraded}}, // only the client reports which groups it offered
		{"weak", map[string]int{}},
		{"downgrades,violations", map[string]int{"client": downgraded, "server": downgraded}},
	} {
		t.Run("keep="+c.keep, func(t *testing.T) {
			t.Parallel()
			r := harness.Receive(t, harness.ReceiverConfig{})
			sample := ownSample(t)
			a := startAgent(t, []string{
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint(), "OTEL_TRACES_SAMPLER=always_off", "CRAU_SAMPLING_KEEP=" + c.keep,
			}, "--library", sample, "--policy", "hybrid-ok")
			hits := harness.RunSample(t, sample, "--count", "10", "--rate", "0")
			hits += harness.RunSample(t, sample, "--count", "4", "--rate", "0", "--group", "23", "--offer", "4588,23")
			n := a.Stop()
			n.CheckExact(t, hits)
			if n["lost.sampled_out"] != hits-n["events.exported"] {
				t.Errorf("what was not exported is not counted as sampled out: %v", n)
			}

			got := make(map[string]int)
			for _, root := range harness.Trees(t, r.Spans()) {
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
			values := withoutTrust(r.Metrics.Values())
			for key, want := range map[string]float64{
				"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=hybrid,crypto.role=client," +
					"process.executable.name=sample,tls.protocol.name=tls,tls.protocol.version=1.3}": fine,
				"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=classical,crypto.role=server," +
					"process.executable.name=sample,tls.protocol.name=tls,tls.protocol.version=1.3}": downgraded,
				"crypto.policy.violations{crypto.policy.rule=hybrid-ok/key-exchange,process.executable.name=sample}": 2 * downgraded,
				"crau_otel.events.lost{owner.class=unknown,reason=sampled_out}":                                      float64(n["lost.sampled_out"]),
			} {
				if got := values[key]; got != want {
					t.Errorf("%s is %v, want %v", key, got, want)
				}
			}
		})
	}
}
