// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/resources"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/mapping/contexts"
)

// observeEvery is the interval at which the losses that the kernel and the mapper count are logged.
const observeEvery = 10 * time.Second

// totals returns what has happened to every hit so far.
func (p *pipeline) totals() (totals.Totals, error) {
	traced, err := p.tracer.Stats()
	connections, wireErr := p.tracer.WireStats()
	mapped, handshakes := p.handler.mapped()
	return totals.Totals{
		Traced: traced, Connections: connections, Handshakes: handshakes, Mapped: mapped, Exported: p.queue.Stats(),
	}, errors.Join(err, wireErr)
}

// observe records and logs the losses that the kernel and the mapper count. It returns the totals, and the lost hits by
// loss reason and class of owner.
func (p *pipeline) observe() (totals.Totals, map[string]map[limits.Class]uint64) {
	total, err := p.totals()
	owners, ownersErr := p.tracer.OwnerLosses() // read after the totals, so that it contains at least the losses in them
	if err = errors.Join(err, ownersErr); err != nil {
		p.log.Warn("health metrics are incomplete", "error", err)
	}
	observeMapper(p.limits, &total.Mapped, p.log)
	p.losses.add(owners, p.kernelOwner, func(limit limits.Limit, owner limits.Owner, n uint64) {
		noteLimit(p.limits, limit, owner, n, p.log)
	})
	return total, p.losses.byClass(&total)
}

// noteLimit records that an owner lost n events, or parts of events, because of a limit. It logs this, but not every
// time.
func noteLimit(m *limits.Monitor, limit limits.Limit, owner limits.Owner, n uint64, log *slog.Logger) {
	if count, due := m.Reached(limit, owner, n); due {
		log.Warn("limit reached; events or parts of them are lost", "limit", limit, "owner", owner.Name, "owner_class", owner.Class,
			"count", count)
	}
}

// observeMapper records and logs the losses that the mapper counts by class of owner.
func observeMapper(m *limits.Monitor, t *mapping.Stats, log *slog.Logger) {
	observe := func(limit limits.Limit, class mapping.OwnerClass, total uint64) {
		if count, due := m.Observe(limit, limits.Class(class.String()), total); due {
			log.Warn("limit reached; events or parts of them are lost", "limit", limit, "owner_class", class, "count", count)
		}
	}
	for class, n := range t.Truncated {
		observe(limits.Texts, mapping.OwnerClass(class), n)
	}
	for class, n := range t.DroppedAttributes {
		observe(limits.Attributes, mapping.OwnerClass(class), n)
	}
	t.Evictions.Each(func(limit contexts.Limit, class contexts.OwnerClass, trees uint64) {
		observe(limits.Limit(limit.String()), class, trees)
	})
}

// fit lowers the limits in the configuration so that the agent stays within the memory of its cgroup, in bytes; 0 means
// no limit. It also does so after each reload.
func (a *Agent) fit(memory uint64) {
	load := a.load
	a.load = func() (config.Config, error) {
		cfg, err := load()
		cfg, _, _ = resources.Fit(cfg, memory)
		return cfg, err
	}
	var lowered []string
	if a.cfg, a.fitted, lowered = resources.Fit(a.cfg, memory); len(lowered) > 0 {
		a.log.Info("limits lowered to fit the memory of the cgroup", "memory", config.ByteSize(memory),
			"keys", strings.Join(lowered, ", "))
	}
}

// watchLimits calls observe regularly until ctx is done.
func (a *Agent) watchLimits(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		a.pipeline.observe()
	}
}
