// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// metricsReceiver keeps the last value of each series, as "name{key=value,...}".
type metricsReceiver struct {
	collector.UnimplementedMetricsServiceServer

	mu     sync.Mutex
	values map[string]float64
}

// Export implements the OTLP metrics service.
func (r *metricsReceiver) Export(_ context.Context, req *collector.ExportMetricsServiceRequest) (
	*collector.ExportMetricsServiceResponse, error,
) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil {
		r.values = make(map[string]float64)
	}
	for _, rm := range req.ResourceMetrics {
		for _, sm := range rm.ScopeMetrics {
			for _, m := range sm.Metrics {
				r.keep(m)
			}
		}
	}
	return &collector.ExportMetricsServiceResponse{}, nil
}

func (r *metricsReceiver) keep(m *metrics.Metric) {
	points := append(m.GetSum().GetDataPoints(), m.GetGauge().GetDataPoints()...)
	for _, p := range points {
		v := p.GetAsDouble()
		if i, ok := p.Value.(*metrics.NumberDataPoint_AsInt); ok {
			v = float64(i.AsInt)
		}
		r.values[series(m.Name, attributes(p.Attributes))] = v
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		r.values[series(m.Name, attributes(p.Attributes))] = float64(p.Count)
	}
}

func series(name string, attrs map[string]any) string {
	var labels []string
	for k, v := range attrs {
		labels = append(labels, fmt.Sprintf("%s=%v", k, v))
	}
	slices.Sort(labels)
	return name + "{" + strings.Join(labels, ",") + "}"
}

func TestMetricsOverOTLP(t *testing.T) {
	r := startReceiver(t)
	a := startAgent(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.endpoint}, "--library", samplePath, "--policy", "pq-only")
	hits := runSample(t, "--count", "5", "--rate", "0")
	a.stop().checkExact(t, hits)

	r.metrics.mu.Lock()
	defer r.metrics.mu.Unlock()
	for key, want := range map[string]float64{
		"crypto.operations{crypto.algorithm=X25519MLKEM768,crypto.operation=tls::key_exchange,crypto.pqc.status=hybrid," +
			"crypto.role=client,process.executable.name=sample}": 5,
		"crypto.operations{crypto.algorithm=ecdsa_secp256r1_sha256,crypto.operation=tls::sign,crypto.pqc.status=classical," +
			"crypto.role=server,process.executable.name=sample}": 5,
		"crypto.handshake.duration{crypto.operation=tls::handshake,crypto.pqc.status=hybrid,crypto.role=server," +
			"process.executable.name=sample}": 5,
		"crypto.policy.violations{crypto.policy.rule=pq-only/key-exchange,process.executable.name=sample}": 10,
		"crau_otel.hits{}":                        float64(hits),
		"crau_otel.events.lost{reason=ring_full}": 0,
		"crau_otel.spans{outcome=exported}":       90,
		"crau_otel.contexts.open{}":               0,
		"crau_otel.ring.fill{}":                   0,
	} {
		if got, ok := r.metrics.values[key]; !ok || got != want {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if t.Failed() {
		for key, value := range r.metrics.values {
			t.Logf("%s = %v", key, value)
		}
	}
}
