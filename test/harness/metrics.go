// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// Metrics stores the newest value of every series that a Receiver got. For a histogram, the value is its count.
type Metrics struct {
	collector.UnimplementedMetricsServiceServer

	answer Answer // nil accepts all metrics

	mu     sync.Mutex
	calls  int
	values map[string]float64
}

// Values returns the newest value of each series by its name and labels, for example
// "crau_otel.events.lost{owner.class=user,reason=fault}". Labels are sorted by key and separated by commas.
func (m *Metrics) Values() map[string]float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.values)
}

// Export implements the OTLP metrics service.
func (m *Metrics) Export(ctx context.Context, req *collector.ExportMetricsServiceRequest) (
	*collector.ExportMetricsServiceResponse, error,
) {
	m.mu.Lock()
	m.calls++
	call := Call{Number: m.calls}
	m.mu.Unlock()
	var reply Reply
	if m.answer != nil {
		reply = m.answer(ctx, call)
	}
	if reply.Err != nil {
		return nil, reply.Err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = make(map[string]float64)
	}
	for _, resource := range req.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, metric := range scope.Metrics {
				m.keep(metric)
			}
		}
	}
	response := &collector.ExportMetricsServiceResponse{}
	if reply.Rejected > 0 || reply.Message != "" {
		response.PartialSuccess = &collector.ExportMetricsPartialSuccess{
			RejectedDataPoints: int64(reply.Rejected), ErrorMessage: reply.Message,
		}
	}
	return response, nil
}

func (m *Metrics) keep(metric *metrics.Metric) {
	points := append(metric.GetSum().GetDataPoints(), metric.GetGauge().GetDataPoints()...)
	for _, p := range points {
		v := p.GetAsDouble()
		if i, ok := p.Value.(*metrics.NumberDataPoint_AsInt); ok {
			v = float64(i.AsInt)
		}
		labels, _ := parseAttributes(p.Attributes)
		m.values[series(metric.Name, labels)] = v
	}
	for _, p := range metric.GetHistogram().GetDataPoints() {
		labels, _ := parseAttributes(p.Attributes)
		m.values[series(metric.Name, labels)] = float64(p.Count)
	}
}

func series(name string, labels map[string]any) string {
	parts := make([]string, 0, len(labels))
	for k, v := range labels {
		parts = append(parts, fmt.Sprintf("%s=%v", k, v))
	}
	slices.Sort(parts)
	return name + "{" + strings.Join(parts, ",") + "}"
}
