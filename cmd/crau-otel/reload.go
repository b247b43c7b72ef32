// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
)

// hangups tells SIGHUP apart: a daemon is to read its configuration again, a program in a terminal that was closed is
// to end.
type hangups struct {
	signals  chan os.Signal
	terminal bool // there is one
}

// catchHangups catches SIGHUP from now on; those that come before they are taken are not lost.
func catchHangups() *hangups {
	h := &hangups{signals: make(chan os.Signal, 1), terminal: hasTerminal()}
	signal.Notify(h.signals, unix.SIGHUP)
	return h
}

// hasTerminal reports whether this process has a controlling terminal.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// take calls reload for each SIGHUP until ctx is done, or closed once when the terminal is.
func (h *hangups) take(ctx context.Context, reload, closed func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.signals:
		}
		if h.terminal && !hasTerminal() {
			closed()
			return
		}
		reload()
	}
}

// reloader reads the configuration again while everything runs.
type reloader struct {
	load     func() (config.Config, error)
	cfg      config.Config // in force
	level    *slog.LevelVar
	found    *discovery
	pipeline *pipeline
	log      *slog.Logger
}

// reload puts the configuration as it is now in force, as far as that goes without a restart. If anything is wrong with
// it, all stays as it was.
func (r *reloader) reload() {
	next, err := r.load()
	if err != nil {
		r.log.Error("configuration not reloaded", "error", err)
		return
	}
	now, restart := r.cfg.Reloaded(next)
	if err := r.apply(now); err != nil {
		r.log.Error("configuration not reloaded", "error", err)
		return
	}
	r.cfg = now
	r.log.Info("configuration reloaded")
	if restart != nil {
		r.log.Warn("some changes take a restart", "keys", strings.Join(restart, ", "))
	}
}

func (r *reloader) apply(cfg config.Config) error {
	if err := r.found.Reload(discoverConfig(cfg)); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if err := r.pipeline.reconfigure(cfg); err != nil {
		return err
	}
	if err := r.pipeline.tracer.SetScopes(cfg.Scopes); err != nil {
		return fmt.Errorf("scopes: %w", err)
	}
	r.level.Set(logLevel(cfg.Log))
	return nil
}
