// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
)

// healthOf returns the agent's own metrics, except for the fill level of the ring.
func healthOf(t *totals.Totals) metrics.Health {
	return metrics.Health{
		Hits: t.Traced.Hits,
		Lost: t.Lost(),
		Spans: map[string]uint64{
			"exported":    t.Exported.Exported.Spans,
			"failed":      t.Exported.Failed.Spans,
			"queue_full":  t.Exported.QueueFull.Spans,
			"sampled_out": t.Exported.SampledOut.Spans,
		},
		OpenContexts: t.Mapped.OpenContexts,
	}
}
