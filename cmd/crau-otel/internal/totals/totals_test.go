// SPDX-License-Identifier: Apache-2.0

package totals

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/wire"
)

// someTotals returns totals in which each counter has a different value, so that a mix-up of counters shows.
func someTotals() Totals {
	return Totals{
		Traced: tracer.Stats{
			Hits: 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 512 + 1024 + 2048 + 4096 + 8192, RingFull: 1, Fault: 2, Busy: 4, Malformed: 8,
			Undecodable: 16, RateLimited: 32, OwnerLimited: 8192, Hidden: 64,
			Truncated: 3, PairFaults: 5,
		},
		Mapped: mapping.Stats{Hidden: 128, Sessions: 256, Trees: 7, Evicted: 9, DroppedAttributes: mapping.ClassCounts{4, 0, 6}, OpenContexts: 11},
		Exported: export.Stats{
			QueueFull: export.Count{Events: 512, Spans: 21}, Failed: export.Count{Events: 1024, Spans: 22},
			SampledOut: export.Count{Events: 2048, Spans: 23}, Exported: export.Count{Events: 4096, Spans: 24},
		},
	}
}

// Every hit is exported, identifies a session, or is lost for exactly one loss reason.
func TestTotalsAddUp(t *testing.T) {
	n := someTotals()
	sum := n.Exported.Exported.Events + n.Mapped.Sessions
	for _, lost := range n.Lost() {
		sum += lost
	}
	if sum != n.Traced.Hits {
		t.Errorf("%d hits, %d accounted for: %v", n.Traced.Hits, sum, n.Lost())
	}
}

// notLost lists the counters of the tracer that do not count lost hits.
var notLost = []string{"Hits", "Sent", "PairFaults", "Truncated", "ProcessLost", "FamilyFull", "Read"}

// Each counter of the tracer that counts lost hits is part of exactly one loss reason.
func TestEveryLossOfTheTracerHasAReason(t *testing.T) {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[tracer.Stats]()) {
		var n Totals
		reflect.ValueOf(&n.Traced).Elem().FieldByIndex(f.Index).SetUint(1)
		var want, got uint64 = 1, 0
		if slices.Contains(notLost, f.Name) {
			want = 0
		}
		for _, lost := range n.Lost() {
			got += lost
		}
		if got != want {
			t.Errorf("tracer.Stats.%s is counted under %d loss reasons, want %d", f.Name, got, want)
		}
	}
}

func TestTotalsInLog(t *testing.T) {
	n := someTotals()
	var line bytes.Buffer
	n.Log(slog.New(slog.NewJSONHandler(&line, nil)))
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
	if !maps.Equal(logged.Lost, n.Lost()) {
		t.Errorf("lost is %v, logged %v", n.Lost(), logged.Lost)
	}
	if logged.Hits != n.Traced.Hits || logged.Spans != 24 || logged.Trees != 7 {
		t.Errorf("logged %s", &line)
	}
	if want := map[string]uint64{"exported": 4096, "session": 256}; !maps.Equal(logged.Events, want) {
		t.Errorf("events are logged as %v, want %v", logged.Events, want)
	}
	want := map[string]uint64{"truncated": 3, "missing_pairs": 5, "evicted_trees": 9, "dropped_attributes": 10}
	if !maps.Equal(logged.Marked, want) {
		t.Errorf("marks are logged as %v, want %v", logged.Marked, want)
	}
}

// The log line "totals" does not change, because users and tests search for it.
func TestTotalsLineDoesNotChange(t *testing.T) {
	n := someTotals()
	var line bytes.Buffer
	n.Log(slog.New(slog.NewTextHandler(&line, nil)))
	const want = "level=INFO msg=totals hits=16383 spans=24 trees=7 events.exported=4096 events.session=256 lost.ring_full=1 " +
		"lost.fault=2 lost.busy=4 lost.malformed=24 lost.rate_limited=32 lost.owner_limited=8192 lost.queue_full=512 lost.export_failed=1024 " +
		"lost.sampled_out=2048 lost.hidden=192 marked.truncated=3 marked.missing_pairs=5 marked.evicted_trees=9 " +
		"marked.dropped_attributes=10\n"
	if _, got, _ := strings.Cut(line.String(), " "); got != want {
		t.Errorf("logged\n%swant\n%s", got, want)
	}
}

// Each connection is counted in exactly one field of group connections besides seen. Outcomes has the same numbers,
// except that connections that may still be recognized as TLS or SSH are not counted.
func TestConnectionsAddUp(t *testing.T) {
	n := Totals{
		Connections: tracer.WireStats{
			Seen: 1 + 2 + 4 + 8 + 16 + 32 + 64 + 128 + 256 + 512 + 1024 + 2048, Other: 1, Old: 4, Excluded: 8, RingFull: 16, RateLimited: 32,
			Sent: 64 + 128 + 256 + 512 + 1024 + 2048, RecordsLost: 3, NoStorage: 5, // and 2 that may still be recognized
		},
		Handshakes: wire.Stats{Reported: 64, Unanswered: 128, Malformed: 256, TooLong: 512, Evicted: 1024, Foreign: 2048},
	}
	sum := uint64(0)
	for _, f := range Fields() {
		if f.Group == groupConnections && f.Name != fieldSeen {
			sum += f.value(&n)
		}
	}
	if sum != n.Connections.Seen {
		t.Errorf("%d connections, %d accounted for", n.Connections.Seen, sum)
	}
	outcomes := uint64(0)
	for _, count := range n.Outcomes() {
		outcomes += count
	}
	if outcomes != n.Connections.Seen-2 {
		t.Errorf("%d connections, outcomes of %d: %v", n.Connections.Seen, outcomes, n.Outcomes())
	}
	var lines bytes.Buffer
	n.Log(slog.New(slog.NewTextHandler(&lines, nil)))
	const want = "msg=connections seen=4095 reported=64 other=3 old=4 denied=2056 ring_full=16 rate_limited=32 unanswered=128 " +
		"malformed=256 too_long=512 evicted=1024 packets.lost=3 packets.no_memory=5\n"
	if !strings.HasSuffix(lines.String(), want) {
		t.Errorf("logged %s", &lines)
	}
}
