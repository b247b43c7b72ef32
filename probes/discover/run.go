// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"time"

	"github.com/crau-otel/crau-otel/probes/host"
)

// maxCost limits the time that passes take: after a pass, Run waits at least maxCost times as long as the pass took.
const maxCost = 50

// maxWritten is how long Scan waits at most for libraries that are open for writing.
const maxWritten = time.Second

// Scan makes one full pass over the libraries, the host's disk and every process. It reports what it finds before it
// returns. If an owner has used up its share of time, Run examines the rest of the owner's processes. Scan waits up to
// a second while any of Rules.Libraries is open for writing: the writer may be about to close the file, or may have
// forked a process that inherited the descriptor and closes it when it executes a program.
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

// libraryDue is like rewriteDue, but pending is true only if one of Rules.Libraries has to be read again.
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
	d.search.retireUnmapped(time.Now()) // again, because the processes that were just examined may have unmapped files
	d.mu.Unlock()
	d.deliver(0)
	d.scanned = true
	return errors.Join(err, ctx.Err())
}

// Run finds files until ctx is done, then returns nil. If Scan was not called before, Run begins with a scan.
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
	var again <-chan time.Time // fires when followUp is due; nil while there are no processes to follow up
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
		case <-later: // the next iteration sets rewritten
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

// rewriteDue returns how long to wait until a file must be read again, and whether any file must.
func (d *Discoverer) rewriteDue() (wait time.Duration, pending bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.search.rewrites.due(time.Now())
}

// reread reads files again that were overwritten or open for writing, if they are due.
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

// Executed describes a process at the moment when it has executed a program. The process may have ended since.
type Executed struct {
	Process host.Process
	User    uint32 // in the initial user namespace
	Cgroup  uint64 // number of its cgroup in the version 2 hierarchy; 0 if unknown
}

// Notify reports that a process has executed a program. The Discoverer examines the files that the program will load
// according to its ELF file as soon as possible, and shortly afterwards those that the process maps. Notify never
// blocks. It may be called often: the maps of a process are read at most 20 times a second.
func (d *Discoverer) Notify(e Executed) {
	select {
	case d.holder.executed <- e:
	default:
		d.inbox.add(e.Process)
	}
}

// notified schedules the processes that Notify was called for, and applies the rules that were passed to Reload. It
// reports whether some processes must be followed up.
func (d *Discoverer) notified() bool {
	d.mu.Lock()
	d.applyReload()
	d.followUps.visit(d.inbox.empty(), time.Now())
	pending := len(d.followUps.pending) > 0
	d.mu.Unlock()
	d.deliver(goneBudget)
	return pending
}

// followUp schedules the processes whose follow-up is due. It reports whether some are left for a later call.
func (d *Discoverer) followUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.followUps.again(time.Now())
	return len(d.followUps.pending) > 0
}
