// SPDX-License-Identifier: Apache-2.0

package otlp_test

import (
	"context"
	"log/slog"
	"net"
	"testing"
	"time"

	sdkresource "go.opentelemetry.io/otel/sdk/resource"
	collector "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/mapping"
)

// call is what a receiver of metrics sees of one call.
type call struct {
	request *collector.ExportMetricsServiceRequest
	headers metadata.MD
	left    time.Duration // time until the deadline of the call
}

// metricsService is a receiver of metrics that sends each call to the channel calls.
type metricsService struct {
	collector.UnimplementedMetricsServiceServer

	calls chan call
}

func (s metricsService) Export(ctx context.Context, request *collector.ExportMetricsServiceRequest) (
	*collector.ExportMetricsServiceResponse, error,
) {
	headers, _ := metadata.FromIncomingContext(ctx)
	deadline, _ := ctx.Deadline()
	s.calls <- call{request, headers, time.Until(deadline)}
	return &collector.ExportMetricsServiceResponse{}, nil
}

// exportOnce exports the metrics of one handshake with the variables in environ set, and returns the call that the
// receiver got.
func exportOnce(t *testing.T, environ map[string]string) call {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	service := metricsService{calls: make(chan call, 1)}
	server := grpc.NewServer()
	defer server.Stop()
	collector.RegisterMetricsServiceServer(server, service)
	go server.Serve(listener) //nolint:errcheck // ends by Stop
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"+listener.Addr().String())
	for name, value := range environ {
		t.Setenv(name, value)
	}
	reader, err := otlp.OpenMetrics(t.Context(), "test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	m, err := metrics.New(metrics.Config{
		Reader: reader, Resource: sdkresource.Empty(), MaxSeries: 16, Health: func() metrics.Health { return metrics.Health{} },
	})
	if err != nil {
		t.Fatal(err)
	}
	m.Record(mapping.Tree{Operations: []mapping.Operation{
		{Executable: "nginx", Name: "tls::handshake", Handshake: true, Duration: time.Millisecond},
		{Executable: "nginx", Name: "tls::sign"},
	}})
	if err := m.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return <-service.calls
}

// metric returns the metric called name.
func (c call) metric(t *testing.T, name string) *metricspb.Metric {
	t.Helper()
	for _, resource := range c.request.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, m := range scope.Metrics {
				if m.Name == name {
					return m
				}
			}
		}
	}
	t.Fatalf("no %s in %v", name, c.request)
	return nil
}

const (
	envTemporality = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
	envAggregation = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
)

func TestTemporalityAndAggregationOfTheEnvironment(t *testing.T) {
	const delta, cumulative = metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_DELTA,
		metricspb.AggregationTemporality_AGGREGATION_TEMPORALITY_CUMULATIVE
	for _, c := range []struct {
		temporality, aggregation string
		histogram, counter       metricspb.AggregationTemporality
		exponential              bool
	}{
		{"", "", cumulative, cumulative, false},
		{"Cumulative", "explicit_bucket_histogram", cumulative, cumulative, false},
		{"delta", "", delta, delta, false},
		{" LowMemory ", "", delta, cumulative, false}, // lowmemory makes histograms delta, but not asynchronous counters
		{"DELTA", "Base2_Exponential_Bucket_Histogram", delta, delta, true},
	} {
		got := exportOnce(t, map[string]string{envTemporality: c.temporality, envAggregation: c.aggregation})
		handshakes := got.metric(t, "crypto.handshake.duration")
		temporality := handshakes.GetHistogram().GetAggregationTemporality()
		if c.exponential {
			temporality = handshakes.GetExponentialHistogram().GetAggregationTemporality()
		}
		counter := got.metric(t, "crypto.operations").GetSum().GetAggregationTemporality()
		if temporality != c.histogram || counter != c.counter || (handshakes.GetExponentialHistogram() != nil) != c.exponential {
			t.Errorf("%q, %q: counters are %v, handshakes %v", c.temporality, c.aggregation, counter, handshakes)
		}
	}
}

// A variable for metrics takes precedence over the variable for all signals, unless it is empty.
func TestHeadersAndTimeoutsOfMetrics(t *testing.T) {
	for _, c := range []struct {
		environ map[string]string
		header  string
		atMost  time.Duration
	}{
		{map[string]string{"OTEL_EXPORTER_OTLP_HEADERS": "tenant=a%20b"}, "a b", 10 * time.Second},
		{
			map[string]string{
				"OTEL_EXPORTER_OTLP_HEADERS": "tenant=a", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "tenant=b",
				"OTEL_EXPORTER_OTLP_TIMEOUT": "3600000", "OTEL_METRIC_EXPORT_TIMEOUT": "1800000",
			},
			"b", 30 * time.Minute,
		},
		{
			map[string]string{
				"OTEL_EXPORTER_OTLP_HEADERS": "tenant=a", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": "",
				"OTEL_EXPORTER_OTLP_TIMEOUT": "600000", "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "", "OTEL_METRIC_EXPORT_TIMEOUT": "3600000",
			},
			"a", 10 * time.Minute,
		},
		{ // 0 means no timeout, so that OTEL_METRIC_EXPORT_TIMEOUT applies
			map[string]string{
				"OTEL_EXPORTER_OTLP_HEADERS": "tenant=a", "OTEL_EXPORTER_OTLP_METRICS_HEADERS": " ",
				"OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "0", "OTEL_METRIC_EXPORT_TIMEOUT": "1800000",
			},
			"a", 30 * time.Minute,
		},
	} {
		for _, name := range []string{"_HEADERS", "_METRICS_HEADERS", "_TIMEOUT", "_METRICS_TIMEOUT"} {
			t.Setenv("OTEL_EXPORTER_OTLP"+name, "")
		}
		t.Setenv("OTEL_METRIC_EXPORT_TIMEOUT", "")
		got := exportOnce(t, c.environ)
		if header := got.headers.Get("tenant"); len(header) != 1 || header[0] != c.header {
			t.Errorf("%v: the header is %q", c.environ, header)
		}
		if got.left > c.atMost || got.left < c.atMost/2 {
			t.Errorf("%v: a call may take %s, want %s", c.environ, got.left, c.atMost)
		}
	}
}
