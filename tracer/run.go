// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	// quietPolls is how many empty polls in a row make the reader wait for the next record instead.
	quietPolls = 3
	// longestWait bounds a wait for the next record, so that trees that are idle end.
	longestWait = 250 * time.Millisecond
	// tickEvery is how many events a ring that never runs dry may give between two ticks.
	tickEvery = 4096
	// warnEvery bounds how often undecodable records are logged.
	warnEvery = 10 * time.Second
)

// Handler is given what the ring says, from one goroutine.
type Handler interface {
	// Handle takes one event. The event and all it points to are reused after the call.
	Handle(ev *event.Event)
	// Tick says that every event up to the boot time now (ns) has been handled.
	Tick(now uint64)
}

// Run reads the ring until ctx is done, then once more until it is empty, and returns nil. Detach the probes before
// ending ctx and nothing is left unread. It also returns nil after Close, and an error if the ring cannot be read.
//
// While events come, the ring is emptied every PollInterval and whenever an eighth of it is in use: the fewer
// wake-ups, the cheaper for the traced program and for the reader. After a quiet while the next event wakes the
// reader up.
func (t *Tracer) Run(ctx context.Context, h Handler) error {
	stop := context.AfterFunc(ctx, func() {
		if err := t.wakeups.interrupt(); err != nil {
			t.cfg.Log.Warn("cannot interrupt the reader", "error", err)
		}
	})
	defer stop()

	t.reader.SetDeadline(past)
	r := &run{t: t, h: h}
	for quiet := 0; ; {
		stopping := ctx.Err() != nil
		released := t.released()
		n, err := r.drain()
		if errors.Is(err, ringbuf.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read ring buffer: %w", err)
		}
		if len(released) > 0 {
			t.forget(released)
		}
		h.Tick(Now())
		switch {
		case stopping:
			return nil
		case n > 0:
			quiet = 0
		default:
			quiet++
		}
		if quiet < quietPolls {
			err = t.wait(ctx, bpf.AuditCrauWakeCRAU_WAKE_FILL, t.cfg.PollInterval)
		} else {
			err = t.wait(ctx, bpf.AuditCrauWakeCRAU_WAKE_NEXT, longestWait)
		}
		if err != nil {
			return fmt.Errorf("wait for ring buffer: %w", err)
		}
	}
}

// released returns the files whose strings can be forgotten once the ring has been read to where it ends now.
func (t *Tracer) released() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := t.strings.released
	t.strings.released = nil
	return files
}

// forget drops the strings of these files unless records of theirs may be left in the ring: then the next call may.
func (t *Tracer) forget(files []uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed && t.reader.AvailableBytes() > 0 { // after Close the ring is gone
		t.strings.released = append(t.strings.released, files...) // a record in the making may have ended the drain
		return
	}
	t.strings.forget(files)
}

type run struct {
	t        *Tracer
	h        Handler
	rec      ringbuf.Record
	ev       event.Event
	lastWarn time.Time
}

// past is a deadline that makes ReadInto return what is there and not block.
var past = time.Unix(1, 0)

// drain handles records until the ring is empty and returns how many there were.
func (r *run) drain() (int, error) {
	for n := 0; ; n++ {
		switch err := r.t.reader.ReadInto(&r.rec); {
		case err == nil:
			r.handle()
			if n%tickEvery == tickEvery-1 {
				r.h.Tick(r.ev.Time)
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			return n, nil
		default:
			return n, err
		}
	}
}

// wait blocks until the kernel wakes the reader, that much time has passed, or ctx or the Tracer ends.
func (t *Tracer) wait(ctx context.Context, wake bpf.AuditCrauWake, most time.Duration) error {
	var failed error
	err := t.wakeups.wait(most, func() bool {
		if failed = t.objs.ReaderWaits.Set(uint32(wake)); failed != nil || ctx.Err() != nil {
			return true
		}
		// What came in before the kernel knew wakes nobody.
		used, capacity := t.RingFill()
		if wake == bpf.AuditCrauWakeCRAU_WAKE_FILL {
			return used > capacity/int(bpf.AuditCrauLimitCRAU_FILLS)
		}
		return used > 0
	})
	return errors.Join(failed, err)
}

func (r *run) handle() {
	if r.t.cfg.Tap != nil {
		r.t.cfg.Tap(r.rec.RawSample)
	}
	if err := decode(r.rec.RawSample, &r.ev, r.t.strings); err != nil {
		r.t.undecodable.Add(1)
		if time.Since(r.lastWarn) >= warnEvery {
			r.lastWarn = time.Now()
			r.t.cfg.Log.Warn("skipped a record", "error", err, "skipped", r.t.undecodable.Load())
		}
		return
	}
	if r.ev.Kind != event.ProcessStart && r.ev.Kind != event.ProcessExit {
		r.t.read.Add(1)
		if cut := event.Cut | event.KeyCut; r.ev.Flags&cut != 0 && event.Flags(r.rec.RawSample[flagsAt])&cut == 0 {
			r.t.cut.Add(1)
		}
	}
	r.h.Handle(&r.ev)
}
