// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/privileges"
	"github.com/crau-otel/crau-otel/tracer"
)

func newRunCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Trace and export until interrupted",
		Example: "  crau-otel run\n" +
			"  crau-otel run --exporter console\n" +
			"  crau-otel run --discovery false --library /opt/gnutls/lib/libgnutls.so.30",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			load := func() (config.Config, error) { return config.Load(cmd.Flags(), os.Environ()) }
			cfg, err := load()
			if err != nil {
				return err
			}
			hangups := catchHangups()
			// The second signal ends the program at once.
			ctx, stop := signal.NotifyContext(cmd.Context(), unix.SIGINT, unix.SIGTERM)
			defer stop()
			context.AfterFunc(ctx, stop)
			log, level := newLogger(os.Stderr, cfg.Log)
			return run(ctx, &reloader{load: load, cfg: cfg, level: level, log: log}, hangups)
		},
	}
	config.Flags(cmd.Flags())
	return cmd
}

// limitMemory lets the garbage collector run less often than by default while memory is plenty, which saves a fifth of
// the agent's CPU time under load (docs/performance.md), and more often near the limit. GOGC and GOMEMLIMIT overrule it.
func limitMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(110 << 20)
	}
}

// run traces until ctx is done, then detaches, drains, exports what is left and logs the totals.
func run(ctx context.Context, r *reloader, hangups *hangups) (err error) {
	cfg, log := r.cfg, r.log
	limitMemory()
	if err := privileges.Check(); err != nil {
		return err
	}
	user, err := privileges.Parse(cfg.User)
	if err != nil {
		return fmt.Errorf("user: %w", err)
	}
	if len(cfg.Libraries) == 0 && !cfg.Discovery.Enabled {
		return errors.New("nothing to trace: discovery is off; name a library or program with --library PATH or the key libraries")
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
	attached := newAttachments(t, log)
	defer func() { err = errors.Join(err, attached.Close(), t.Close()) }()

	found, err := newDiscovery(cfg, attached, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	if err := found.Scan(ctx); err != nil && ctx.Err() == nil {
		return err
	}
	files, sites := attached.count()
	if sites == 0 && !cfg.Discovery.Enabled {
		return errors.New("nothing attached: no file has a usable crypto_auditing probe")
	}
	if cfg.User != "" {
		if err := privileges.Drop(user, privileges.Keep(t.Multi(), cfg.Discovery.Enabled)); err != nil {
			return fmt.Errorf("become user %s: %w", cfg.User, err)
		}
	}
	if cfg.Pprof != "" {
		stop, err := servePprof(cfg.Pprof, log)
		if err != nil {
			return err
		}
		defer stop()
	}
	p, err := newPipeline(ctx, cfg, t, attached, log)
	if err != nil {
		return err
	}
	log.Info("ready", "files", files, "sites", sites, "exporter", cfg.Exporter, "uprobe_multi", t.Multi(),
		"discovery", cfg.Discovery.Enabled)
	if sites == 0 {
		log.Info("no file with probes is known yet; programs and libraries that come later are traced")
	}
	attached.announce()
	debug.FreeOSMemory() // loading took memory that running does not need

	stopFinding := found.start(log)
	r.found, r.pipeline = found, p
	ctx, end := context.WithCancel(ctx)
	defer end()
	go hangups.take(ctx, r.reload, end)
	err = trace(ctx, t, func() error { return errors.Join(stopFinding(), attached.Close()) }, p.handler, log)
	p.handler.flush()
	p.close(cfg)
	total, statsErr := p.totals()
	total.log(log)
	return errors.Join(err, statsErr)
}

// trace feeds the handler until ctx is done; then it detaches the probes and reads what is left in the ring.
func trace(ctx context.Context, t *tracer.Tracer, detach func() error, h tracer.Handler, log *slog.Logger) error {
	reading, drained := context.WithCancel(context.Background())
	detached := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		log.Info("stopping: detaching, then exporting what is left; interrupt again to end at once")
		detached <- detach()
		drained()
	})
	err := t.Run(reading, h)
	if stop() { // Run failed on its own
		drained()
		return err
	}
	return errors.Join(err, <-detached)
}
