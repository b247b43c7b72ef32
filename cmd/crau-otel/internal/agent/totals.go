// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"log/slog"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
)

// totals is what became of every hit.
type totals struct {
	traced   tracer.Stats
	mapped   mapping.Stats
	exported export.Stats
}

// lost returns the hits that no exported span contains, by reason.
func (t *totals) lost() map[string]uint64 {
	return map[string]uint64{
		"ring_full":     t.traced.RingFull,
		"fault":         t.traced.Fault,
		"busy":          t.traced.Busy,
		"malformed":     t.traced.Malformed + t.traced.Undecodable,
		"rate_limited":  t.traced.RateLimited,
		"queue_full":    t.exported.QueueFull.Events,
		"export_failed": t.exported.Failed.Events,
		"sampled_out":   t.exported.SampledOut.Events,
		"hidden":        t.traced.Hidden + t.mapped.Hidden,
	}
}

// log logs the totals. Losses are named even when there were none, so that nobody has to guess.
func (t *totals) log(log *slog.Logger) {
	lost := t.lost()
	log.Info("totals",
		"hits", t.traced.Hits,
		"spans", t.exported.Exported.Spans,
		"trees", t.mapped.Trees,
		slog.Group("events", "exported", t.exported.Exported.Events, "session", t.mapped.Sessions),
		slog.Group("lost", "ring_full", lost["ring_full"], "fault", lost["fault"], "busy", lost["busy"],
			"malformed", lost["malformed"], "rate_limited", lost["rate_limited"], "queue_full", lost["queue_full"], "export_failed", lost["export_failed"],
			"sampled_out", lost["sampled_out"], "hidden", lost["hidden"]),
		slog.Group("marked", "truncated", t.traced.Truncated, "missing_pairs", t.traced.PairFaults,
			"evicted_trees", t.mapped.Evicted, "dropped_attributes", t.mapped.DroppedAttributes),
	)
}

// health returns what the metrics say of crau-otel.
func (t *totals) health() metrics.Health {
	return metrics.Health{
		Hits: t.traced.Hits,
		Lost: t.lost(),
		Spans: map[string]uint64{
			"exported":    t.exported.Exported.Spans,
			"failed":      t.exported.Failed.Spans,
			"queue_full":  t.exported.QueueFull.Spans,
			"sampled_out": t.exported.SampledOut.Spans,
		},
		OpenContexts: t.mapped.OpenContexts,
	}
}
