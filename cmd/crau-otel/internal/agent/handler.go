// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/crau-otel/crau-otel/cmd/crau-otel/internal/attach"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
	"github.com/crau-otel/crau-otel/wire"
)

// handler passes events to the mapper, keeps its clock synchronized, and publishes a copy of its counters.
type handler struct {
	mapper *mapping.Mapper
	clock  *tracer.Clock
	synced uint64                        // boot time of the last synchronization
	noted  uint64                        // boot time of the last copy of the counters
	next   atomic.Pointer[mapping.Rules] // rules to apply at the next tick
	sensor *wire.Sensor

	libraries *attach.Libraries // that the mapper asks about files

	mu       sync.Mutex
	stats    mapping.Stats
	wire     wire.Stats
	lastNote time.Time
}

const (
	// syncEvery is how often the wall clock is compared with the boot clock, in ns.
	syncEvery = uint64(10 * time.Second)
	// noteEvery is how often the mapper's counters are copied, in ns.
	noteEvery = uint64(time.Second)
)

// Handle implements [tracer.Handler].
func (h *handler) Handle(ev *event.Event) { h.mapper.Handle(ev) }

// packet passes a packet to the sensor, whose events go to the mapper.
func (h *handler) packet(p *event.Packet) { h.sensor.Packet(p) }

// Tick implements [tracer.Handler].
func (h *handler) Tick(now uint64) {
	if now-h.synced >= syncEvery {
		h.clock.Sync()
		h.synced = now
	}
	if next := h.next.Swap(nil); next != nil {
		h.mapper.Reconfigure(*next)
	}
	if h.libraries.Changed() {
		h.mapper.LibrariesChanged()
	}
	h.sensor.Tick(now)
	h.mapper.Tick(now)
	if now-h.noted >= noteEvery {
		h.note()
		h.noted = now
	}
}

// flush ends every tree.
func (h *handler) flush() {
	h.sensor.Flush()
	h.mapper.Flush()
	h.note()
}

func (h *handler) note() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats, h.wire, h.lastNote = h.mapper.Stats(), h.sensor.Stats(), time.Now()
}

// stalled returns how long ago the counters were last copied, which happens every second while the reader runs.
func (h *handler) stalled() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.lastNote)
}

// mapped returns the counters of the mapper and the sensor. They are at most a second old.
func (h *handler) mapped() (mapping.Stats, wire.Stats) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stats, h.wire
}
