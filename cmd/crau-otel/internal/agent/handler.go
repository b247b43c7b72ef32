// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/crau-otel/crau-otel/mapping"
	"github.com/crau-otel/crau-otel/tracer"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// handler passes events to the mapper, keeps its clock synchronised, and publishes a copy of its counters.
type handler struct {
	mapper *mapping.Mapper
	clock  *tracer.Clock
	synced uint64                        // boot time of the last synchronisation
	noted  uint64                        // boot time of the last copy of the counters
	next   atomic.Pointer[mapping.Rules] // rules to apply at the next tick

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
