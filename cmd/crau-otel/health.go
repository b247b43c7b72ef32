// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/export"
	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/metrics"
	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// handler feeds the mapper, keeps the clock in step and the mapper's counters for others to read.
type handler struct {
	mapper *mapping.Mapper
	clock  *tracer.Clock
	synced uint64                         // boot time of the last synchronisation
	noted  uint64                         // boot time of the last copy of the counters
	next   atomic.Pointer[mapping.Config] // to be put in force

	mu    sync.Mutex
	stats mapping.Stats
}

const (
	// syncEvery is how often the wall clock is compared with the boot clock, in ns.
	syncEvery = uint64(10 * time.Second)
	// noteEvery is how often the mapper's counters are copied, in ns.
	noteEvery = uint64(time.Second)
)

// Handle implements [tracer.Handler].
func (h *handler) Handle(ev *event.Event) { h.mapper.Handle(ev) }

// Tick implements [tracer.Handler].
func (h *handler) Tick(now uint64) {
	if now-h.synced >= syncEvery {
		h.clock.Sync()
		h.synced = now
	}
	if next := h.next.Swap(nil); next != nil {
		h.mapper.Reconfigure(*next)
	}
	h.mapper.Tick(now)
	if now-h.noted >= noteEvery {
		h.note()
		h.noted = now
	}
}

// flush ends every tree.
func (h *handler) flush() {
	h.mapper.Flush()
	h.note()
}

func (h *handler) note() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats = h.mapper.Stats()
}

// mapped returns the mapper's counters as of at most a second ago.
func (h *handler) mapped() mapping.Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats
}

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
