// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"
	"os"
	"sync"

	"go.opentelemetry.io/otel"
	"golang.org/x/term"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
)

// newExporter returns the exporter that the configuration names. The environment variables OTEL_EXPORTER_OTLP_*
// configure the OTLP exporter.
func newExporter(cfg config.Config, stdout *os.File, userAgent string) (export.Exporter, error) {
	switch cfg.Exporter {
	case config.ExporterConsole:
		color := cfg.Console.Color == config.ColorAlways ||
			cfg.Console.Color == config.ColorAuto && term.IsTerminal(int(stdout.Fd())) && wantsColor(os.Getenv)
		return console.New(console.Config{Writer: stdout, Format: cfg.Console.Format, Color: color}), nil
	case config.ExporterNone:
		return export.None{}, nil
	}
	return otlp.Open(userAgent)
}

// wantsColor reports whether the environment allows colours. NO_COLOR (https://no-color.org) forbids them, and so does
// a terminal type without colours.
func wantsColor(lookup func(string) string) bool {
	return lookup("NO_COLOR") == "" && lookup("TERM") != "dumb"
}

// noMetricsHint is logged if the receiver accepts no metrics, like Jaeger.
const noMetricsHint = "the receiver takes no metrics; set OTEL_METRICS_EXPORTER=none"

// logSDKErrors logs the errors that the OpenTelemetry SDK reports through its global handler.
func logSDKErrors(log *slog.Logger) {
	var hint sync.Once
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		if otlp.TakesNoMetrics(err) {
			hint.Do(func() { log.Warn(noMetricsHint, "error", err) })
			return
		}
		log.Warn("OpenTelemetry SDK", "error", err)
	}))
}
