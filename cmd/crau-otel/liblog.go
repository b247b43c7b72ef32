// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel"
	"google.golang.org/grpc/grpclog"
)

// logLibraries redirects three logs to the agent's log: those of the OpenTelemetry SDK, of gRPC, and of the standard
// package log. By default they go to standard error as plain text. It must be called before any of these packages logs.
func logLibraries(log *slog.Logger) {
	slog.SetDefault(log)
	otel.SetLogger(logr.FromSlogHandler(sdkHandler{log.With("library", "OpenTelemetry SDK").Handler()}))
	grpclog.SetLoggerV2(grpcLogger{log})
}

// sdkHandler translates the levels of the OpenTelemetry SDK, which logs warnings with verbosity 1, information with 4
// and debugging details with 8. Information of the SDK is logged as debug, because it only helps to debug crau-otel.
type sdkHandler struct{ slog.Handler }

func sdkLevel(level slog.Level) slog.Level {
	switch {
	case level >= slog.LevelInfo:
		return level
	case level == slog.LevelInfo-1:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Enabled implements [slog.Handler].
func (h sdkHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Handler.Enabled(ctx, sdkLevel(level))
}

// Handle implements [slog.Handler].
func (h sdkHandler) Handle(ctx context.Context, r slog.Record) error {
	r.Level = sdkLevel(r.Level)
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (h sdkHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return sdkHandler{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h sdkHandler) WithGroup(name string) slog.Handler { return sdkHandler{h.Handler.WithGroup(name)} }

// grpcLogger receives the log of gRPC. It logs errors of gRPC as warnings, and everything else at debug level.
type grpcLogger struct{ log *slog.Logger }

func (l grpcLogger) debug(text func() string) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("gRPC", "detail", strings.TrimSpace(text()))
	}
}

func (l grpcLogger) warn(text string) { l.log.Warn("gRPC", "error", strings.TrimSpace(text)) }

func (l grpcLogger) Info(args ...any)    { l.debug(func() string { return fmt.Sprint(args...) }) }
func (l grpcLogger) Infoln(args ...any)  { l.debug(func() string { return fmt.Sprintln(args...) }) }
func (l grpcLogger) Warning(args ...any) { l.debug(func() string { return fmt.Sprint(args...) }) }
func (l grpcLogger) Warningln(args ...any) {
	l.debug(func() string { return fmt.Sprintln(args...) })
}

func (l grpcLogger) Infof(format string, args ...any) {
	l.debug(func() string { return fmt.Sprintf(format, args...) })
}

func (l grpcLogger) Warningf(format string, args ...any) {
	l.debug(func() string { return fmt.Sprintf(format, args...) })
}

func (l grpcLogger) Error(args ...any)                 { l.warn(fmt.Sprint(args...)) }
func (l grpcLogger) Errorln(args ...any)               { l.warn(fmt.Sprintln(args...)) }
func (l grpcLogger) Errorf(format string, args ...any) { l.warn(fmt.Sprintf(format, args...)) }

func (l grpcLogger) Fatal(args ...any) {
	l.Error(args...)
	os.Exit(1)
}

func (l grpcLogger) Fatalln(args ...any) {
	l.Errorln(args...)
	os.Exit(1)
}

func (l grpcLogger) Fatalf(format string, args ...any) {
	l.Errorf(format, args...)
	os.Exit(1)
}

// V implements [grpclog.LoggerV2]. It returns false, so that gRPC omits its verbose log lines.
func (grpcLogger) V(int) bool { return false }
