// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/console"
)

// newLogger returns a logger that writes to w, and its level, which may be changed later.
func newLogger(w io.Writer, cfg config.Log) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(cfg.SlogLevel())
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == config.FormatJSON {
		return slog.New(slog.NewJSONHandler(escaped{w}, opts)), level
	}
	return slog.New(slog.NewTextHandler(w, opts)), level
}

// escaped is a writer for lines of JSON. It escapes every character that a terminal might interpret; JSON itself only
// escapes the first 32 characters. For text, package slog does the same.
type escaped struct{ io.Writer }

// Write implements [io.Writer].
func (e escaped) Write(line []byte) (int, error) {
	if _, err := io.WriteString(e.Writer, console.Escape(string(line))); err != nil {
		return 0, err
	}
	return len(line), nil
}

// logOutput is the destination of the agent's log: standard error or, if nobody reads that any more, standard output,
// unless the console exporter prints spans there. The process must ignore SIGPIPE, which the kernel sends for a write
// to a pipe without a reader.
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

// failureFormat returns the format in which to report that cmd failed. It does not rely on parsed flags, because the
// failure may be a wrong flag before --log-format.
func failureFormat(root, cmd *cobra.Command, args, environ []string) string {
	_, args, _ = root.Find(args)
	interspersed := cmd.Name() != execName // arguments after the first belong to the command that exec runs
	return config.LogFormat(config.FormatFlags(args, interspersed), environ)
}

// reportFailure writes the error of a failed command to w. format is the format of the log.
func reportFailure(w io.Writer, format string, err error) {
	if format == config.FormatJSON {
		log, _ := newLogger(w, config.Log{Format: format})
		log.Error("crau-otel failed", "error", err)
		return
	}
	fmt.Fprintln(w, "crau-otel:", console.Escape(err.Error()))
}
