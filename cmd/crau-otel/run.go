// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/agent"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/resources"
)

// oneSignal is how long further signals are taken for copies of the first: timeout(1) sends its signal to the program
// and again to the program's process group.
const oneSignal = 300 * time.Millisecond

func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Trace and export until interrupted",
		Example: "  crau-otel run\n" +
			"  crau-otel run --exporter console\n" +
			"  crau-otel run --discovery false --library /opt/gnutls/lib/libgnutls.so.30",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (config.Config, error) { return config.Load(config.Default(), cmd.Flags(), os.Environ()) }
			cfg, err := load()
			if err != nil {
				return err
			}
			hangups := catchHangups()
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			// After that, Go no longer catches these signals, so another one ends the program immediately.
			context.AfterFunc(ctx, func() { time.AfterFunc(oneSignal, stop) })
			// With SIGPIPE ignored, a write to a pipe without a reader fails instead of ending the agent.
			signal.Ignore(unix.SIGPIPE)
			log, level := newLogger(newLogOutput(cfg.Exporter), cfg.Log)
			logLibraries(log)
			resources.LimitHeap()
			a, err := agent.New(agent.Config{
				Config: cfg, Load: load, Version: buildVersion(), Stdout: os.Stdout, Log: log, Level: level,
			})
			if err != nil {
				return err
			}
			go hangups.take(ctx, a.Reload, stop)
			return a.Run(ctx)
		},
	}
	config.Flags(cmd.Flags(), config.Default())
	return cmd
}
