// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
)

// someTotals is an account in which every number is another one.
func someTotals() totals {
	return totals{
		traced: tracer.Stats{
			Hits: 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 512 + 1024 + 2048 + 4096, RingFull: 1, Fault: 2, Busy: 4, Malformed: 8,
			Undecodable: 16, RateLimited: 32, Hidden: 64,
			Truncated: 3, PairFaults: 5,
		},
		mapped: mapping.Stats{Hidden: 128, Sessions: 256, Trees: 7, Evicted: 9, DroppedAttributes: 10, OpenContexts: 11},
		exported: export.Stats{
			QueueFull: export.Count{Events: 512, Spans: 21}, Failed: export.Count{Events: 1024, Spans: 22},
			SampledOut: export.Count{Events: 2048, Spans: 23}, Exported: export.Count{Events: 4096, Spans: 24},
		},
	}
}

// Hits are exported, of sessions, or lost for one reason.
func TestTotalsAddUp(t *testing.T) {
	n := someTotals()
	sum := n.exported.Exported.Events + n.mapped.Sessions
	for _, lost := range n.lost() {
		sum += lost
	}
	if sum != n.traced.Hits {
		t.Errorf("%d hits, %d accounted for: %v", n.traced.Hits, sum, n.lost())
	}
}

// The log and the metrics tell the same.
func TestTotalsInLogAndMetrics(t *testing.T) {
	n := someTotals()
	var line bytes.Buffer
	n.log(slog.New(slog.NewJSONHandler(&line, nil)))
	if bytes.Count(line.Bytes(), []byte("\n")) != 1 {
		t.Errorf("not one line:\n%s", &line)
	}
	var logged struct {
		Hits, Spans, Trees uint64
		Events, Marked     map[string]uint64
		Lost               map[string]uint64
	}
	if err := json.Unmarshal(line.Bytes(), &logged); err != nil {
		t.Fatal(err)
	}
	health := n.health()
	if !maps.Equal(logged.Lost, n.lost()) || !maps.Equal(health.Lost, n.lost()) {
		t.Errorf("lost is %v, logged %v, measured %v", n.lost(), logged.Lost, health.Lost)
	}
	if logged.Hits != n.traced.Hits || health.Hits != n.traced.Hits || logged.Spans != 24 || logged.Trees != 7 {
		t.Errorf("logged %s", &line)
	}
	if want := map[string]uint64{"exported": 4096, "session": 256}; !maps.Equal(logged.Events, want) {
		t.Errorf("events are logged as %v, want %v", logged.Events, want)
	}
	want := map[string]uint64{"truncated": 3, "missing_pairs": 5, "evicted_trees": 9, "dropped_attributes": 10}
	if !maps.Equal(logged.Marked, want) {
		t.Errorf("marks are logged as %v, want %v", logged.Marked, want)
	}
	want = map[string]uint64{"queue_full": 21, "failed": 22, "sampled_out": 23, "exported": 24}
	if !maps.Equal(health.Spans, want) || health.OpenContexts != 11 {
		t.Errorf("health is %+v, want spans %v", health, want)
	}
}
