// SPDX-License-Identifier: Apache-2.0

package otlp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
)

const (
	// maxReconnect bounds the wait between two tries to connect, so that spans are delivered soon after a receiver is
	// back. gRPC's default is two minutes.
	maxReconnect = 5 * time.Second
	// writeBuffer is how much gRPC gives to one system call, in bytes; its default is 32 KiB, a tenth of what many
	// batches have.
	writeBuffer = 256 << 10
)

// Open returns an exporter that is configured by the OTEL_EXPORTER_OTLP_* variables. It connects when it is first used.
func Open(userAgent string) (*Exporter, error) {
	s, err := readSettings(signalTraces)
	if err != nil {
		return nil, err
	}
	connection, err := s.connect(userAgent)
	if err != nil {
		return nil, err
	}
	return New(Config{Connection: connection, Headers: s.headers, Timeout: s.timeout})
}

// OpenMetrics returns a reader that exports metrics over OTLP as often as OTEL_METRIC_EXPORT_INTERVAL says.
func OpenMetrics(ctx context.Context, userAgent string) (sdkmetric.Reader, error) {
	s, err := readSettings(signalMetrics)
	if err != nil {
		return nil, err
	}
	connection, err := s.connect(userAgent)
	if err != nil {
		return nil, err
	}
	// Headers, timeout, temporality and aggregation are left to the SDK, which reads their variables.
	exporter, err := otlpmetricgrpc.New(ctx, otlpmetricgrpc.WithGRPCConn(connection))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make OTLP metric exporter: %w", err), connection.Close())
	}
	return sdkmetric.NewPeriodicReader(metricExporter{exporter, connection}), nil
}

// metricExporter closes its connection, which the SDK's does not when it is given one.
type metricExporter struct {
	*otlpmetricgrpc.Exporter

	connection Connection
}

// Shutdown implements [sdkmetric.Exporter].
func (e metricExporter) Shutdown(ctx context.Context) error {
	return errors.Join(e.Exporter.Shutdown(ctx), closeWithin(ctx, e.connection))
}

// connect returns a connection, which is made when it is first used.
func (s settings) connect(userAgent string) (*grpc.ClientConn, error) {
	opts := []grpc.DialOption{
		grpc.WithUserAgent(userAgent),
		grpc.WithWriteBufferSize(writeBuffer),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: maxReconnect},
			MinConnectTimeout: maxReconnect,
		}),
	}
	if s.compress {
		opts = append(opts, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	transport := insecure.NewCredentials()
	if s.tls {
		var err error
		if transport, err = newFileCredentials(s.files); err != nil {
			return nil, err
		}
	}
	connection, err := grpc.NewClient(s.target, append(opts, grpc.WithTransportCredentials(transport))...)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", s.target, err)
	}
	return connection, nil
}

// TakesNoMetrics reports whether an export of metrics failed because the receiver, like Jaeger, has no such service.
func TakesNoMetrics(err error) bool { return status.Code(err) == codes.Unimplemented }
