// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/tracer"
)

func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Trace and export until interrupted",
		Example: "  crau-otel run --library /usr/lib/x86_64-linux-gnu/libgnutls.so.30\n" +
			"  crau-otel run --library bin/sample --exporter console",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(cmd.Flags(), os.Environ())
			if err != nil {
				return err
			}
			// The second signal ends the program at once.
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop)
			return run(ctx, cfg, newLogger(os.Stderr, cfg.Log))
		},
	}
	config.Flags(cmd.Flags())
	return cmd
}

// run traces until ctx is done, then detaches, drains, exports what is left and logs the totals.
func run(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	if err := checkCapabilities(); err != nil {
		return err
	}
	if len(cfg.Libraries) == 0 {
		return errors.New("nothing to trace: name a library or program with --library PATH or the key libraries")
	}
	t, err := tracer.New(tracer.Config{
		RingSize:     int(cfg.Ring.Size),
		PollInterval: cfg.Ring.PollInterval,
		MaxProcesses: cfg.Limits.Processes,
		ProcessRate:  cfg.Limits.ProcessRate,
		Scopes:       cfg.Scopes,
		Log:          log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.Close()) }()

	if cfg.Pprof != "" {
		stop, err := servePprof(cfg.Pprof, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	p, err := newPipeline(ctx, cfg, t, log)
	if err != nil {
		return err
	}
	attached := &attachments{tracer: t, log: log}
	for _, path := range cfg.Libraries {
		attached.add(path)
	}
	if attached.sites == 0 {
		p.close(cfg)
		return errors.New("nothing attached: no file has a usable crypto_auditing probe")
	}
	log.Info("ready", "files", attached.files, "sites", attached.sites, "exporter", cfg.Exporter,
		"uprobe_multi", t.Multi())

	err = trace(ctx, t, attached, p.handler)
	p.handler.flush()
	p.close(cfg)
	total, statsErr := p.totals()
	total.log(log)
	return errors.Join(err, statsErr)
}

// trace feeds the handler until ctx is done; then it detaches the probes and reads what is left in the ring.
func trace(ctx context.Context, t *tracer.Tracer, attached *attachments, h tracer.Handler) error {
	reading, drained := context.WithCancel(context.Background())
	detached := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		detached <- attached.Close()
		drained()
	})
	err := t.Run(reading, h)
	if stop() { // Run failed on its own
		drained()
		return errors.Join(err, attached.Close())
	}
	return errors.Join(err, <-detached)
}
