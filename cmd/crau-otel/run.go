// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
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
	exporter, err := newExporter(ctx, cfg, os.Stdout, log)
	if err != nil {
		return err
	}
	queueConfig := export.Config{Exporter: exporter, Log: log}
	if cfg.Exporter == config.ExporterConsole {
		queueConfig.MaxBatch = cfg.Limits.TreeSpans // a tree is drawn in one piece
	}
	queue, err := export.NewQueue(queueConfig)
	if err != nil {
		return err
	}
	closeQueue := func() error {
		ctx, cancel := context.WithTimeout(context.Background(), cfg.Shutdown.Timeout)
		defer cancel()
		return queue.Close(ctx)
	}

	t, err := tracer.New(tracer.Config{
		RingSize:     int(cfg.Ring.Size),
		PollInterval: cfg.Ring.PollInterval,
		MaxProcesses: cfg.Limits.Processes,
		Log:          log,
	})
	if err != nil {
		return errors.Join(err, closeQueue())
	}
	defer func() { err = errors.Join(err, t.Close()) }()

	clock := tracer.NewClock()
	mapper, err := mapping.New(mapping.Config{
		IdleTimeout:     cfg.Spans.IdleTimeout,
		MaxOpenContexts: cfg.Limits.OpenContexts,
		MaxTreeSpans:    cfg.Limits.TreeSpans,
		MaxProcesses:    cfg.Limits.Processes,
		Resource:        newResource(ctx, log),
		ScopeVersion:    buildVersion(),
		Wall:            clock.Wall,
		Sink:            queue.Put,
		Log:             log,
	})
	if err != nil {
		return errors.Join(err, closeQueue())
	}

	attached := &attachments{tracer: t, log: log}
	for _, path := range cfg.Libraries {
		attached.add(path)
	}
	if attached.sites == 0 {
		return errors.Join(errors.New("nothing attached: no file has a usable crypto_auditing probe"), closeQueue())
	}
	log.Info("ready", "files", attached.files, "sites", attached.sites, "exporter", cfg.Exporter,
		"uprobe_multi", t.Multi())

	err = trace(ctx, t, attached, &handler{mapper: mapper, clock: clock})
	mapper.Flush()
	err = errors.Join(err, closeQueue())
	return errors.Join(err, logTotals(log, t, mapper.Stats(), queue.Stats()))
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

// handler feeds the mapper and keeps the clock in step.
type handler struct {
	mapper *mapping.Mapper
	clock  *tracer.Clock
	synced uint64 // boot time of the last synchronisation
}

// syncEvery is how often the wall clock is compared with the boot clock, in ns.
const syncEvery = uint64(10 * time.Second)

// Handle implements [tracer.Handler].
func (h *handler) Handle(ev *event.Event) { h.mapper.Handle(ev) }

// Tick implements [tracer.Handler].
func (h *handler) Tick(now uint64) {
	if now-h.synced >= syncEvery {
		h.clock.Sync()
		h.synced = now
	}
	h.mapper.Tick(now)
}

// logTotals logs what became of every hit. Losses are named even when there were none, so that nobody has to guess.
func logTotals(log *slog.Logger, t *tracer.Tracer, mapped mapping.Stats, exported export.Stats) error {
	s, err := t.Stats()
	if err != nil {
		return fmt.Errorf("read totals: %w", err)
	}
	log.Info("totals",
		"hits", s.Hits,
		"spans", exported.Exported.Spans,
		"trees", mapped.Trees,
		slog.Group("events", "exported", exported.Exported.Events, "session", mapped.Sessions),
		slog.Group("lost", "ring_full", s.RingFull, "fault", s.Fault, "busy", s.Busy,
			"malformed", s.Malformed+s.Undecodable, "queue_full", exported.QueueFull.Events,
			"export_failed", exported.Failed.Events, "sampled_out", exported.SampledOut.Events),
		slog.Group("marked", "truncated", s.Truncated, "missing_pairs", s.PairFaults, "evicted_trees", mapped.Evicted,
			"dropped_attributes", mapped.DroppedAttributes),
	)
	return nil
}
