// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"maps"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/totals"
	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/probes/discover"
	"github.com/crau-otel/crau-otel/tracer"
)

func TestHealthHasTheTotals(t *testing.T) {
	n := totals.Totals{
		Traced: tracer.Stats{Hits: 1, RingFull: 2},
		Mapped: mapping.Stats{OpenContexts: 11},
		Exported: export.Stats{
			QueueFull: export.Count{Events: 512, Spans: 21}, Failed: export.Count{Events: 1024, Spans: 22},
			SampledOut: export.Count{Events: 2048, Spans: 23}, Exported: export.Count{Events: 4096, Spans: 24},
		},
	}
	lost := map[string]map[limits.Class]uint64{"ring_full": {limits.ClassUser: 2}}
	health := healthOf(&n, lost, discover.Stats{})
	if health.Lost["ring_full"][limits.ClassUser] != 2 || health.Hits != 1 {
		t.Errorf("health is %+v", health)
	}
	want := map[string]uint64{"queue_full": 21, "failed": 22, "sampled_out": 23, "exported": 24}
	if health.Connections != nil || health.PacketsLost != nil {
		t.Errorf("connections are counted although none were examined: %+v", health)
	}
	if !maps.Equal(health.Spans, want) || health.OpenContexts != 11 {
		t.Errorf("health is %+v, want spans %v", health, want)
	}
	n.Connections = tracer.WireStats{Seen: 9, Sent: 2, Other: 7, NoStorage: 4}
	health = healthOf(&n, lost, discover.Stats{})
	if health.ConnectionsSeen != 9 || health.Connections["other"] != 7 || health.PacketsLost["no_memory"] != 4 {
		t.Errorf("health is %+v", health)
	}
}
