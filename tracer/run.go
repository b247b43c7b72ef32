// SPDX-License-Identifier: Apache-2.0

package tracer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/crau-otel/crau-otel/bpf"
	"github.com/crau-otel/crau-otel/tracer/event"
)

const (
	// quietPolls is the number of consecutive empty polls after which the reader waits for the next record.
	quietPolls = 3
	// longestWait is the longest wait for the next record, so that Tick is called regularly. At the end, it is the
	// longest wait for records that are reserved but not submitted yet.
	longestWait = 250 * time.Millisecond
	// tickEvery is the number of events after which Tick is called although the ring is not empty.
	tickEvery = 4096
	// warnEvery is the minimum interval between log lines about undecodable records.
	warnEvery = 10 * time.Second
)

// Handler handles events. All calls come from the goroutine that calls Run.
type Handler interface {
	// Handle handles one event. The event and everything it points to are reused after the call.
	Handle(ev *event.Event)
	// Tick reports that all events up to the boot time now (ns) have been handled.
	Tick(now uint64)
}

// Run reads the ring until ctx is done, then reads the remaining records, and returns nil. If the probes are detached
// before ctx is cancelled, no record remains unread. Run also returns nil after Close, and an error if the ring cannot
// be read.
//
// While there are events, Run empties the ring every PollInterval and whenever an eighth of it is in use: wake-ups take
// time in the traced program and in the reader, so they should be rare. After some empty polls, the next event wakes
// Run.
func (t *Tracer) Run(ctx context.Context, h Handler) error {
	stop := context.AfterFunc(ctx, func() {
		if err := t.wakeups.interrupt(); err != nil {
			t.cfg.Log.Warn("interrupting the ring buffer reader failed; shutdown may take longer", "error", err)
		}
	})
	defer stop()

	r := &run{t: t, h: h}
	var stopped time.Time
	for quiet := 0; ; {
		stopping := ctx.Err() != nil
		if stopping && stopped.IsZero() {
			stopped = time.Now()
		}
		released := t.released()
		n, err := r.drain()
		if errors.Is(err, errStopped) {
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
		case stopping && t.ring.pending && time.Since(stopped) < longestWait:
			time.Sleep(time.Millisecond) // a program is about to submit a record
			continue
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

// released returns the files whose strings can be freed once the present content of the ring has been read.
func (t *Tracer) released() []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	files := t.strings.released
	t.strings.released = nil
	return files
}

// forget frees the strings of these files. If their records may still be in the ring, the files are listed again for a
// later call.
func (t *Tracer) forget(files []uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	// drain stops at a record that is reserved but not yet submitted, and submitted records may follow it.
	if !t.closed && t.ring.used() > 0 {
		t.strings.released = append(t.strings.released, files...)
		return
	}
	t.strings.forget(files)
}

// run holds the state of one call of Run.
type run struct {
	t        *Tracer
	h        Handler
	ev       event.Event
	lastWarn time.Time
}

// drain handles records until the ring is empty and returns how many there were.
func (r *run) drain() (n int, err error) {
	if err := r.t.ring.begin(); err != nil {
		return 0, err
	}
	defer r.t.ring.end()
	for ; ; n++ {
		sample, err := r.t.ring.next()
		if sample == nil {
			return n, err
		}
		r.handle(sample)
		if n%tickEvery == tickEvery-1 {
			r.h.Tick(r.ev.Time)
		}
	}
}

// wait blocks until the kernel wakes the reader, until timeout, or until ctx or the Tracer ends.
func (t *Tracer) wait(ctx context.Context, wake bpf.AuditCrauWake, timeout time.Duration) error {
	var failed error
	err := t.wakeups.wait(timeout, func() bool {
		if failed = t.objs.ReaderWaits.Set(uint32(wake)); failed != nil || ctx.Err() != nil {
			return true
		}
		// Records that were sent before reader_waits was set do not wake the reader.
		used, capacity := t.RingFill()
		if wake == bpf.AuditCrauWakeCRAU_WAKE_FILL {
			return used > capacity/int(bpf.AuditCrauLimitCRAU_FILLS)
		}
		return used > 0
	})
	return errors.Join(failed, err)
}

func (r *run) handle(sample []byte) {
	if r.t.cfg.Tap != nil {
		r.t.cfg.Tap(sample)
	}
	if isPacket(sample) {
		r.handlePacket(sample)
		return
	}
	if err := decode(sample, &r.ev, r.t.strings); err != nil {
		r.skip(err)
		return
	}
	if r.ev.Kind != event.ProcessStart && r.ev.Kind != event.ProcessExit {
		r.t.read.Add(1)
		if cut := event.Cut | event.KeyCut; r.ev.Flags&cut != 0 && event.Flags(sample[flagsOffset])&cut == 0 {
			r.t.cut.Add(1)
		}
	}
	r.h.Handle(&r.ev)
}

// skip counts a record that cannot be decoded, and logs it unless another one was logged recently.
func (r *run) skip(err error) {
	r.t.undecodable.Add(1)
	if time.Since(r.lastWarn) >= warnEvery {
		r.lastWarn = time.Now()
		r.t.cfg.Log.Warn("undecodable record skipped", "error", err, "skipped", r.t.undecodable.Load())
	}
}
