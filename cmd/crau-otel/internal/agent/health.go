// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/tracer"
)

// healthOf returns the agent's metrics about itself, without the fill level of the ring.
func healthOf(t *totals.Totals, lost map[string]map[limits.Class]uint64, found discover.Stats) metrics.Health {
	health := metrics.Health{
		Hits: t.Traced.Hits,
		Lost: lost,
		Spans: map[string]uint64{
			"exported":    t.Exported.Exported.Spans,
			"failed":      t.Exported.Failed.Spans,
			"queue_full":  t.Exported.QueueFull.Spans,
			"sampled_out": t.Exported.SampledOut.Spans,
		},
		OpenContexts:    t.Mapped.OpenContexts,
		SilentProcesses: found.SilentProcesses,
		UntracedFiles:   make(map[string]int),
	}
	for reason, files := range found.Untraced {
		health.UntracedFiles[string(reason)] = files
	}
	if t.Connections != (tracer.WireStats{}) {
		health.ConnectionsSeen, health.Connections, health.PacketsLost = t.Connections.Seen, t.Outcomes(), t.LostPackets()
	}
	return health
}
