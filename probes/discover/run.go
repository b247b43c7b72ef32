// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"time"

	"github.com/crau-otel/crau-otel/probes/host"
)

// maxCost bounds the time that passes take: one part in so many.
const maxCost = 50

// maxWritten bounds how long Scan waits for libraries that are open for writing.
const maxWritten = time.Second

// Scan makes one full pass over the libraries, the host's disk and every process. What it finds is reported before it
// returns. Processes of an owner that has used up its share of time are left to Run. Scan waits a second for one of
// Rules.Libraries that is open for writing: whoever wrote it may be about to close it, or has forked a process that holds
// it open until it executes a program.
func (d *Discoverer) Scan(ctx context.Context) error {
	d.running.Lock()
	defer d.running.Unlock()
	if d.closed {
		return errClosed
	}
	err := d.scan(ctx)
	for deadline := time.Now().Add(maxWritten); err == nil; d.reread() {
		wait, pending := d.libraryDue()
		if !pending || time.Until(deadline) < wait {
			break
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	return err
}

// libraryDue is rewriteDue, if one of Rules.Libraries is to be read again.
func (d *Discoverer) libraryDue() (wait time.Duration, pending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	wait, _ = d.search.rewrites.due(time.Now())
	return wait, d.search.rewrites.hasLibrary()
}

func (d *Discoverer) scan(ctx context.Context) error {
	d.mu.Lock()
	d.applyReload()
	for _, p := range d.search.processes.table {
		d.search.turns.revisit(p)
	}
	err := d.search.pass(time.Now())
	d.mu.Unlock()
	d.deliver(0)
	for err == nil && ctx.Err() == nil && d.step() {
	}
	d.mu.Lock()
	d.search.retireUnmapped(time.Now()) // once more, since processes may have unmapped files
	d.mu.Unlock()
	d.deliver(0)
	d.scanned = true
	return errors.Join(err, ctx.Err())
}

// Run finds files until ctx is done, then returns nil. Without a Scan before it, it begins with one.
func (d *Discoverer) Run(ctx context.Context) error {
	d.running.Lock()
	defer d.running.Unlock()
	if d.closed {
		return errClosed
	}
	if !d.scanned {
		if err := d.scan(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	busy := make(chan struct{})
	close(busy)
	tick := time.NewTimer(d.interval)
	defer tick.Stop()
	var again <-chan time.Time // set while there is something to follow up
	for ctx.Err() == nil {
		var work, rewritten <-chan struct{}
		var later <-chan time.Time
		if d.hasWork() {
			work = busy
		}
		if wait, pending := d.rewriteDue(); pending && wait == 0 {
			rewritten = busy
		} else if pending {
			later = time.After(wait)
		}
		select {
		case <-ctx.Done():
		case <-rewritten:
			d.reread()
		case <-later: // rewritten is set then
		case <-work:
			d.step()
		case <-d.inbox.wake:
			if d.notified() && again == nil {
				again = time.After(cooldown)
			}
		case <-again:
			again = nil
			if d.followUp() {
				again = time.After(cooldown)
			}
		case <-d.search.helpers.Late():
			d.mu.Lock()
			d.search.helpers.FinishLate()
			d.mu.Unlock()
			d.deliver(goneBudget)
		case <-tick.C:
			start := time.Now()
			d.mu.Lock()
			err := d.search.pass(start)
			d.mu.Unlock()
			d.deliver(goneBudget)
			if err != nil {
				return err
			}
			tick.Reset(max(d.interval, maxCost*time.Since(start)))
		}
	}
	return nil
}

// rewriteDue returns how long it is until a file is to be read again, and whether any is.
func (d *Discoverer) rewriteDue() (wait time.Duration, pending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.search.rewrites.due(time.Now())
}

// reread reads files again that were overwritten or open for writing.
func (d *Discoverer) reread() {
	d.mu.Lock()
	d.search.rewrites.visit(time.Now())
	d.mu.Unlock()
	d.deliver(goneBudget)
}

// hasWork reports whether there are processes to look at.
func (d *Discoverer) hasWork() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.search.turns.ready) > 0 || len(d.search.catalogue.events) > 0
}

// step looks at one process and delivers what was found. It returns false if there was no process to look at.
func (d *Discoverer) step() bool {
	d.mu.Lock()
	more := d.search.step()
	d.search.helpers.FinishLate()
	d.mu.Unlock()
	d.deliver(goneBudget)
	return more
}

// Executed is a process that has executed a program, and whose it was then. It may have ended.
type Executed struct {
	Process host.Process
	User    uint32 // in the initial user namespace
	Cgroup  uint64 // number in the version 2 hierarchy; 0 if it is not known
}

// Notify says that a process has executed a program. The files that the program will map are looked at now, as the
// program's file names them, and what it maps a moment later. Notify never waits. It may be called often: the maps of a
// process are read 20 times a second at most.
func (d *Discoverer) Notify(e Executed) {
	select {
	case d.holder.executed <- e:
	default:
		d.inbox.add(e.Process)
	}
}

// notified has the processes looked at that Notify was called for, and applies what Reload asked for. It returns whether
// some are to be followed up.
func (d *Discoverer) notified() bool {
	d.mu.Lock()
	d.applyReload()
	d.followUps.visit(d.inbox.empty(), time.Now())
	pending := len(d.followUps.pending) > 0
	d.mu.Unlock()
	d.deliver(goneBudget)
	return pending
}

// followUp looks at processes once more. It returns whether some are left.
func (d *Discoverer) followUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.followUps.again(time.Now())
	return len(d.followUps.pending) > 0
}
