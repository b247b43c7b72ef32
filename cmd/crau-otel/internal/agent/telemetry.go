// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"golang.org/x/term"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
)

// maxReconnect is the longest time between two tries to connect, so that what waits is delivered soon after a receiver is
// back. gRPC's default is two minutes.
const maxReconnect = 5 * time.Second

// writeBuffer is how much gRPC gives to one system call, in bytes; its default is 32 KiB, a tenth of what many batches
// have.
const writeBuffer = 256 << 10

// newExporter returns the exporter that the configuration names. What OTEL_EXPORTER_OTLP_* says of the OTLP one is left
// to the SDK.
func newExporter(ctx context.Context, cfg config.Config, stdout *os.File, log *slog.Logger) (sdktrace.SpanExporter, error) {
	var hint sync.Once
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if takesNoMetrics(err) {
			hint.Do(func() { log.Warn(noMetricsHint, "error", err) })
			return
		}
		log.Warn("OpenTelemetry SDK", "error", err)
	}))
	switch cfg.Exporter {
	case config.ExporterConsole:
		color := cfg.Console.Color == config.ColorAlways ||
			cfg.Console.Color == config.ColorAuto && term.IsTerminal(int(stdout.Fd()))
		return console.New(console.Config{Writer: stdout, Format: cfg.Console.Format, Color: color}), nil
	case config.ExporterNone:
		return tracetest.NewNoopExporter(), nil
	}
	insecure, err := otlpDefaults("TRACES")
	if err != nil {
		return nil, err
	}
	opts := []otlptracegrpc.Option{
		// The queue tries again, for as long as it has room.
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}),
		otlptracegrpc.WithDialOption(grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: 500 * time.Millisecond, Multiplier: 1.5, Jitter: 0.2, MaxDelay: maxReconnect},
		}), grpc.WithWriteBufferSize(writeBuffer)),
	}
	if insecure {
		opts = append(opts, otlptracegrpc.WithInsecure())
	}
	exporter, err := otlp.New(ctx, otlptracegrpc.NewClient(opts...))
	if err != nil {
		return nil, fmt.Errorf("make OTLP exporter: %w", err)
	}
	return exporter, nil
}

// noMetricsHint is what to say to a user whose receiver, like Jaeger, takes no metrics.
const noMetricsHint = "the receiver takes no metrics; set OTEL_METRICS_EXPORTER=none"

// takesNoMetrics reports whether the export of metrics failed for that reason.
func takesNoMetrics(err error) bool { return status.Code(err) == codes.Unimplemented }

// newMetricReader returns a reader that exports over OTLP as often as OTEL_METRIC_EXPORT_INTERVAL says.
func newMetricReader(ctx context.Context) (sdkmetric.Reader, error) {
	insecure, err := otlpDefaults("METRICS")
	if err != nil {
		return nil, err
	}
	var opts []otlpmetricgrpc.Option
	if insecure {
		opts = append(opts, otlpmetricgrpc.WithInsecure())
	}
	exporter, err := otlpmetricgrpc.New(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("make OTLP metric exporter: %w", err)
	}
	return sdkmetric.NewPeriodicReader(exporter), nil
}

// otlpDefaults refuses protocols other than gRPC and reports whether to dial without TLS: the specification's default
// endpoint is http://localhost:4317, which the Go exporters would dial with TLS.
func otlpDefaults(signal string) (insecure bool, err error) {
	own := "OTEL_EXPORTER_OTLP_" + signal + "_"
	if p := firstEnv(own+"PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); p != "" && p != "grpc" {
		return false, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is supported, got %q", p)
	}
	for _, name := range []string{own + "ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if e := os.Getenv(name); e != "" && !strings.HasPrefix(e, "http://") && !strings.HasPrefix(e, "https://") {
			return false, fmt.Errorf("%s: must start with http:// or https://, got %q", name, e)
		}
	}
	return firstEnv(own+"ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT", own+"INSECURE",
		"OTEL_EXPORTER_OTLP_INSECURE") == "", nil
}

func firstEnv(names ...string) string {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}
