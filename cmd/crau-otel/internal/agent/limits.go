// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/config"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/resources"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping/contexts"
)

// observeEvery is how often it is checked what limits cost that are counted elsewhere.
const observeEvery = 10 * time.Second

// counted are the limits whose cost others count, without owners.
var counted = []struct {
	limit limits.Limit
	cost  func(*totals.Totals) uint64
}{
	{limits.Ring, func(t *totals.Totals) uint64 { return t.Traced.RingFull + t.Connections.RingFull }},
	{limits.Rate, func(t *totals.Totals) uint64 {
		return t.Traced.RateLimited + t.Traced.OwnerLimited + t.Connections.RateLimited
	}},
	{limits.Runs, func(t *totals.Totals) uint64 { return t.Traced.Busy }},
	{limits.Connections, func(t *totals.Totals) uint64 { return t.Handshakes.Evicted }},
	{limits.Texts, func(t *totals.Totals) uint64 { return t.Traced.Truncated }},
	{limits.Attributes, func(t *totals.Totals) uint64 { return t.Mapped.DroppedAttributes }},
}

// observeLimits notes and logs what limits cost that others count.
func observeLimits(m *limits.Monitor, t *totals.Totals, log *slog.Logger) {
	observe := func(limit limits.Limit, class limits.Class, total uint64) {
		if count, due := m.Observe(limit, class, total); due {
			log.Warn("a limit costs events or parts of them", "limit", limit, "owner_class", class, "count", count)
		}
	}
	for _, c := range counted {
		observe(c.limit, limits.ClassUnknown, c.cost(t))
	}
	t.Mapped.Evictions.Each(func(limit contexts.Limit, class contexts.OwnerClass, trees uint64) {
		observe(limits.Limit(limit.String()), limits.Class(class.String()), trees)
	})
}

// fit lowers limits to what the memory of the cgroup allows, now and when the configuration is loaded again.
func (a *Agent) fit(memory uint64) {
	load := a.load
	a.load = func() (config.Config, error) {
		cfg, err := load()
		cfg, _, _ = resources.Fit(cfg, memory)
		return cfg, err
	}
	var lowered []string
	if a.cfg, a.fitted, lowered = resources.Fit(a.cfg, memory); len(lowered) > 0 {
		a.log.Info("limits are lowered to what the memory of the cgroup allows", "memory", config.ByteSize(memory),
			"keys", strings.Join(lowered, ", "))
	}
}

// watchLimits notes and logs what limits cost until ctx is done.
func (a *Agent) watchLimits(ctx context.Context) {
	tick := time.NewTicker(observeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		total, err := a.pipeline.totals()
		if err != nil {
			continue // the metrics say so
		}
		observeLimits(a.limits, &total, a.log)
		if count, due := a.limits.Observe(limits.Unseen, limits.ClassUnknown, a.discovery.Stats().MissedPrograms); due {
			a.log.Warn("programs ended before it was known which files they use; their files are traced once they are found",
				"count", count)
		}
	}
}
