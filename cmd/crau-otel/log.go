// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
)

// newLogger returns the command's logger, and its level, which may change while it is in use.
func newLogger(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(cfg.SlogLevel())
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, opts)), level
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}

// logOutput is where the agent's log goes: standard error, and standard output while nobody reads the former, unless
// spans are printed there. SIGPIPE must be ignored.
type logOutput struct{ stderr, stdout io.Writer }

func newLogOutput(exporter string) logOutput {
	out := logOutput{os.Stderr, os.Stdout}
	if exporter == config.ExporterConsole {
		out.stdout = io.Discard
	}
	return out
}

// Write implements [io.Writer].
func (o logOutput) Write(line []byte) (int, error) {
	if n, err := o.stderr.Write(line); err == nil {
		return n, nil
	}
	return o.stdout.Write(line)
}

// reportFailure writes why a command failed, in the format of the log.
func reportFailure(w io.Writer, format string, err error) {
	if format == config.FormatJSON {
		log, _ := newLogger(w, config.Log{Format: format})
		log.Error("crau-otel failed", "error", err)
		return
	}
	fmt.Fprintln(w, "crau-otel:", console.Escape(err.Error()))
}
