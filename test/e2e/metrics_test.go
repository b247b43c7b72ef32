// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/test/harness"
)

// trustLabel matches labels whose value depends on the user who ran a program, or on how long the program ran.
var trustLabel = regexp.MustCompile(`crypto\.(library\.trusted|owner\.class|process\.trust)=[a-z_]+,`)

// withoutTrust adds the values of series that differ only in labels that trustLabel matches.
func withoutTrust(values map[string]float64) map[string]float64 {
	sums := make(map[string]float64)
	for key, value := range values {
		sums[trustLabel.ReplaceAllString(key, "")] += value
	}
	return sums
}

func TestMetricsArriveOverOTLP(t *testing.T) {
	t.Parallel()
	r := harness.Receive(t, harness.ReceiverConfig{})
	sample := ownSample(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.Endpoint()}, "--library", sample, "--policy", "pq-only")
	hits := harness.RunSample(t, sample, "--count", "5", "--rate", "0")
	a.Stop().CheckExact(t, hits)

	for key := range r.Metrics.Values() {
		if strings.HasPrefix(key, "crypto.") && (!strings.Contains(key, "crypto.library.trusted=false,") ||
			!strings.Contains(key, "crypto.owner.class=root,") || !trustLabel.MatchString(key)) {
			t.Errorf("whether it can be believed is not part of %s", key)
		}
	}
	values := withoutTrust(r.Metrics.Values())
	for key, want := range map[string]float64{
		"crypto.operations{crypto.algorithm=X25519MLKEM768,crypto.operation=tls::key_exchange,crypto.pqc.status=hybrid," +
			"crypto.role=client,process.executable.name=sample}": 5,
		"crypto.operations{crypto.algorithm=ecdsa_secp256r1_sha256,crypto.operation=tls::sign,crypto.pqc.status=classical," +
			"crypto.role=server,process.executable.name=sample}": 5,
		"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=hybrid,crypto.role=server," +
			"process.executable.name=sample,tls.protocol.name=tls,tls.protocol.version=1.3}": 5,
		"crypto.policy.violations{crypto.policy.rule=pq-only/key-exchange,process.executable.name=sample}": 10,
		"crau_otel.hits{}": float64(hits),
		"crau_otel.events.lost{owner.class=unknown,reason=ring_full}": 0,
		"crau_otel.spans{outcome=exported}":                           90,
		"crau_otel.contexts.open{}":                                   0,
		"crau_otel.ring.fill{}":                                       0,
	} {
		if got, ok := values[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if t.Failed() {
		for key, value := range values {
			t.Logf("%s = %v", key, value)
		}
	}
}
