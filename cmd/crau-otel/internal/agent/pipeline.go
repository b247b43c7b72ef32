// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	sdkresource "go.opentelemetry.io/otel/sdk/resource"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export/otlp"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/identity"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
	"github.com/crau-otel/crau-otel/mapping/policy"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/wire"
)

// pipeline carries events from the ring to the exporters.
type pipeline struct {
	version   string // version of crau-otel
	tracer    *tracer.Tracer
	handler   *handler
	queue     *export.Queue
	metrics   *metrics.Metrics // nil if metrics are off
	discovery *discovery
	// resolver is nil until newPipeline creates it.
	resolver *identity.Resolver
	code     *identity.Code
	keep     atomic.Pointer[func(mapping.Tree) bool] // reports whether a tree is exported even if the sampler drops it
	detail   atomic.Pointer[detail]
	senders  []reconnecter // exporters of spans and metrics that can reconnect
	limits   *limits.Monitor
	losses   *losses
	log      *slog.Logger
}

// reconnecter is an exporter that can reconnect, in order to use the current content of its certificate files.
// Reconnect returns the names of these files.
type reconnecter interface {
	Reconnect() (files []string, err error)
}

// reconnect makes the exporters of spans and metrics use certificates that were replaced. It returns the names of the
// certificate files.
func (p *pipeline) reconnect() (files []string, err error) {
	var errs []error
	for _, sender := range p.senders {
		with, err := sender.Reconnect()
		if err == nil {
			files = append(files, with...)
		} else if !slices.ContainsFunc(errs, func(e error) bool { return e.Error() == err.Error() }) { // often the same
			errs = append(errs, err)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), errors.Join(errs...)
}

func (a *Agent) newPipeline(ctx context.Context) (_ *pipeline, err error) {
	cfg, log := a.cfg, a.log
	logSDKErrors(log)
	if err := export.CheckVariables(os.Getenv); err != nil {
		return nil, err
	}
	if a.outcome.Disabled = isDisabled(); a.outcome.Disabled {
		log.Warn("nothing is exported: OTEL_SDK_DISABLED is true")
		cfg.Exporter = config.ExporterNone
	}
	exporter, err := newExporter(cfg, a.stdout, userAgent(a.version))
	if err != nil {
		return nil, err
	}
	p := &pipeline{
		log: log, version: a.version, tracer: a.tracer, code: a.code, discovery: a.discovery,
		handler: &handler{clock: tracer.NewClock(), libraries: a.attachments.Libraries()},
		limits:  a.limits, losses: newLosses(),
	}
	if sender, ok := exporter.(reconnecter); ok {
		p.senders = append(p.senders, sender)
	}
	p.setKeep(cfg)
	p.queue, err = export.NewQueue(export.Config{
		Exporter: exporter,
		MaxBytes: int(cfg.Limits.QueueBytes),
		Keep:     func(t mapping.Tree) bool { return (*p.keep.Load())(t) },
		Limits:   a.limits,
		Closed: func() {
			log.Info("standard output has no reader any more; stopping")
			a.stop()
		},
		Log: log,
	})
	if err != nil {
		return nil, errors.Join(err, exporter.Shutdown(ctx))
	}
	defer func() {
		if err != nil {
			p.close(ctx)
		}
	}()
	host := identity.Host(ctx, "/", log)
	if p.metrics, err = p.newMetrics(ctx, cfg, host, a.limits, log); err != nil {
		return nil, err
	}
	p.resolver = identity.New(identity.Config{Host: host, Log: log})
	rules, err := p.rules(cfg)
	if err != nil {
		return nil, err
	}
	p.handler.mapper, err = mapping.New(mapping.Config{
		Rules:           rules,
		MaxOpenContexts: cfg.Limits.OpenContexts,
		MaxOpenBytes:    int(cfg.Limits.OpenBytes),
		MaxTreeSpans:    cfg.Limits.TreeSpans,
		MaxProcesses:    cfg.Limits.Processes,
		Resource:        host,
		ScopeVersion:    a.version,
		Instance:        uuid.NewString(),
		Wall:            p.handler.clock.Wall,
		Library:         p.handler.libraries.Of,
		Owner:           p.owner,
		Code:            p.code.Of,
		Whole:           func(t mapping.Tree) bool { return p.detail.Load().isWhole(t) },
		Sink:            p.take,
		Log:             log,
	})
	if err != nil {
		return nil, err
	}
	p.handler.sensor, err = wire.New(wire.Config{Emit: p.handler.mapper.Handle, Evicted: p.connectionEvicted})
	return p, err
}

// connectionEvicted records that the sensor dropped a connection, because it had no room for it.
func (p *pipeline) connectionEvicted(cgroup uint64, uid uint32) {
	owner := p.resolver.Owner(0, event.Process{CgroupID: cgroup, UID: uid})
	noteLimit(p.limits, limits.Connections, ownerInLimits(owner), 1, p.log)
}

// owner returns the owner that a process counts against. The mapper calls it with the first event of a process. This is
// the best time to examine the process's code, because the process may end soon; code keeps the result until the mapper
// asks for it.
func (p *pipeline) owner(pid uint32, record event.Process) mapping.Owner {
	owner := p.resolver.Owner(pid, record)
	if owner.Class == contexts.ClassRoot || owner.Class == contexts.ClassSystem {
		p.code.Of(pid, record, owner.ID)
	}
	return owner
}

// isDisabled reports whether the environment disables all exports.
func isDisabled() bool {
	return strings.EqualFold(strings.TrimSpace(os.Getenv("OTEL_SDK_DISABLED")), "true")
}

// userAgent returns the name by which the agent identifies itself to receivers.
func userAgent(version string) string { return "crau-otel/" + version }

// rules returns the part of the mapper's configuration that can change while the agent runs.
func (p *pipeline) rules(cfg config.Config) (mapping.Rules, error) {
	rules, err := policy.New(cfg.Policy)
	if err != nil {
		return mapping.Rules{}, fmt.Errorf("policy: %w", err)
	}
	return mapping.Rules{
		IdleTimeout: cfg.Spans.IdleTimeout,
		Scopes:      cfg.Scopes,
		AllowKeys:   cfg.Privacy.Keys.Allow,
		DenyKeys:    cfg.Privacy.Keys.Deny,
		Policy:      rules,
		Describe:    p.resolver.With(cfg.Services, cfg.Privacy.Process == config.ProcessFull).Describe,
	}, nil
}

// reconfigure applies those parts of a new configuration that can change while the agent runs. The mapper's rules
// change at the handler's next tick.
func (p *pipeline) reconfigure(cfg config.Config) error {
	rules, err := p.rules(cfg)
	if err != nil {
		return err
	}
	p.handler.next.Store(&rules)
	p.setKeep(cfg)
	return nil
}

// setKeep sets which trees are exported even if the sampler drops them, and which are exported whole.
func (p *pipeline) setKeep(cfg config.Config) {
	isKept := keep(cfg.Sampling.Keep)
	p.keep.Store(&isKept)
	p.detail.Store(newDetail(cfg.Spans))
}

// take records a finished tree in the metrics, even if the sampler will drop it, and queues it for export.
func (p *pipeline) take(t mapping.Tree) {
	if p.metrics != nil {
		p.metrics.Record(t)
	}
	p.queue.Put(t)
}

// newMetrics returns nil if metrics are off. If the exporter is not OTLP, metrics are off unless OTEL_METRICS_EXPORTER
// turns them on.
func (p *pipeline) newMetrics(
	ctx context.Context, cfg config.Config, host *sdkresource.Resource, monitor *limits.Monitor, log *slog.Logger,
) (*metrics.Metrics, error) {
	switch wanted := strings.ToLower(strings.TrimSpace(os.Getenv("OTEL_METRICS_EXPORTER"))); {
	case isDisabled(), wanted == "none", wanted == "" && cfg.Exporter != config.ExporterOTLP:
		return nil, nil
	case wanted != "" && wanted != "otlp":
		return nil, fmt.Errorf("OTEL_METRICS_EXPORTER: must be otlp or none, got %q", wanted)
	}
	reader, err := otlp.OpenMetrics(ctx, userAgent(p.version), log)
	if err != nil {
		return nil, err
	}
	p.senders = append(p.senders, reader)
	own, err := identity.Agent(host, "/", p.version)
	if err != nil {
		return nil, fmt.Errorf("make resource: %w", err)
	}
	m, err := metrics.New(metrics.Config{
		Reader:    reader,
		Resource:  own,
		MaxSeries: cfg.Metrics.MaxSeries,
		Version:   p.version,
		Limits:    monitor,
		Log:       log,
		Health: func() metrics.Health {
			total, lost := p.observe()
			health := healthOf(&total, lost, p.discovery.Stats())
			used, capacity := p.tracer.RingFill()
			health.RingFill = float64(used) / float64(capacity)
			return health
		},
	})
	return m, err
}

// lastMetrics bounds the last export of metrics.
const lastMetrics = 2 * time.Second

// close exports the queued trees and the last metrics, until ctx is done. Spans that cannot be delivered are counted
// and logged, and do not make Run fail.
func (p *pipeline) close(ctx context.Context) {
	if err := p.queue.Close(ctx); err != nil {
		p.log.Warn("some spans were not exported", "error", err)
	}
	if p.resolver != nil {
		if err := p.resolver.Close(); err != nil {
			p.log.Warn("closing the identity resolver failed", "error", err)
		}
	}
	if p.metrics == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastMetrics)
	defer cancel()
	if err := p.metrics.Shutdown(ctx); otlp.TakesNoMetrics(err) {
		p.log.Warn(noMetricsHint)
	} else if err != nil {
		p.log.Warn("the last metrics were not exported", "error", err)
	}
}
