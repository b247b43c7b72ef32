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

// handler passes events to the mapper and packets to the sensor, synchronizes their clock, and publishes copies of
// their counters.
type handler struct {
	mapper *mapping.Mapper
	clock  *tracer.Clock
	synced uint64                        // boot-clock time of the last synchronization of clock, in ns
	noted  uint64                        // boot-clock time of the last copy of the counters, in ns
	next   atomic.Pointer[mapping.Rules] // rules to apply at the next tick; nil if they have not changed
	sensor *wire.Sensor

	libraries *attach.Libraries // descriptions of files, for the mapper

	mu       sync.Mutex // guards the fields below
	stats    mapping.Stats
	wire     wire.Stats
	lastNote time.Time
}

const (
	// syncEvery is the interval at which the wall clock is compared with the boot clock, in ns.
	syncEvery = uint64(10 * time.Second)
	// noteEvery is the interval at which the counters of the mapper and the sensor are copied, in ns.
	noteEvery = uint64(time.Second)
)

// Handle implements [tracer.Handler].
func (h *handler) Handle(ev *event.Event) { h.mapper.Handle(ev) }

// packet passes a packet to the sensor, which passes events to the mapper.
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

// stalled returns how long ago the counters were last copied. That is about a second at most, unless the reader of the
// ring is blocked.
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
