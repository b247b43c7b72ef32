// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"google.golang.org/grpc"
)

// MetricReader exports metrics over OTLP at the interval of OTEL_METRIC_EXPORT_INTERVAL.
type MetricReader struct {
	sdkmetric.Reader

	exporter metricExporter
	files    []string
}

// OpenMetrics returns a reader that is configured by the OTEL_EXPORTER_OTLP_* variables. If a receiver accepts metrics
// in part or with a warning, that is logged to log.
func OpenMetrics(ctx context.Context, userAgent string, log *slog.Logger) (*MetricReader, error) {
	s, err := readSettings(signalMetrics)
	if err != nil {
		return nil, err
	}
	a := &answers{log: log}
	current, err := newRenewable(func() (metricClient, error) { return s.openMetrics(ctx, userAgent, a) }, metricClient.abandon)
	if err != nil {
		return nil, err
	}
	exporter := metricExporter{current}
	return &MetricReader{sdkmetric.NewPeriodicReader(exporter), exporter, s.files.names()}, nil
}

// Reconnect does for metrics what [Exporter.Reconnect] does for traces.
func (r *MetricReader) Reconnect() (files []string, err error) {
	if len(r.files) == 0 {
		return nil, nil
	}
	return r.files, r.exporter.renew()
}

// metricClient is the SDK's exporter and its connection. The connection must be closed separately: the SDK's exporter
// does not close a connection that was passed to it.
type metricClient struct {
	*otlpmetricgrpc.Exporter

	connection *grpc.ClientConn
}

func (s settings) openMetrics(ctx context.Context, userAgent string, a *answers) (metricClient, error) {
	connection, err := s.connect(userAgent, grpc.WithUnaryInterceptor(a.intercept))
	if err != nil {
		return metricClient{}, err
	}
	// The SDK reads the variables for headers, timeout, temporality and aggregation itself.
	exporter, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithGRPCConn(connection))
	if err != nil {
		return metricClient{}, errors.Join(fmt.Errorf("make OTLP metric exporter: %w", err), connection.Close())
	}
	return metricClient{exporter, connection}, nil
}

// shutdown closes the client. It returns when ctx ends, even if closing takes longer.
func (c metricClient) shutdown(ctx context.Context) error {
	return errors.Join(c.Shutdown(ctx), closeWithin(ctx, c.connection))
}

// abandon closes a client after it was replaced.
func (c metricClient) abandon() { _ = c.shutdown(context.Background()) }

// metricExporter is an [sdkmetric.Exporter] whose client can be replaced.
type metricExporter struct{ *renewable[metricClient] }

// Temporality implements [sdkmetric.Exporter].
func (e metricExporter) Temporality(kind sdkmetric.InstrumentKind) metricdata.Temporality {
	client, done := e.use()
	defer done()
	return client.Temporality(kind)
}

// Aggregation implements [sdkmetric.Exporter].
func (e metricExporter) Aggregation(kind sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	client, done := e.use()
	defer done()
	return client.Aggregation(kind)
}

// Export implements [sdkmetric.Exporter].
func (e metricExporter) Export(ctx context.Context, metrics *metricdata.ResourceMetrics) error {
	client, done := e.use()
	defer done()
	return client.Export(ctx, metrics)
}

// ForceFlush implements [sdkmetric.Exporter].
func (e metricExporter) ForceFlush(ctx context.Context) error {
	client, done := e.use()
	defer done()
	return client.ForceFlush(ctx)
}

// Shutdown implements [sdkmetric.Exporter].
func (e metricExporter) Shutdown(ctx context.Context) error {
	client, done := e.use()
	defer done()
	return client.shutdown(ctx)
}
