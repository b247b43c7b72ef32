// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	maxNotified = 8192 // processes that wait to be looked at
	maxGood     = 4096 // devices that are remembered to answer
	maxCost     = 50   // a pass takes at most one part in so many of the time
)

var errClosed = errors.New("discoverer is closed")

// Scan makes one full pass: the libraries, the host's disk, every process.
// What it finds is reported before it returns. Processes of a container that
// has used up its share of time are left to Run.
func (d *Discoverer) Scan(ctx context.Context) error {
	d.scanning.Lock()
	defer d.scanning.Unlock()
	if d.closed {
		return errClosed
	}
	return d.scan(ctx)
}

func (d *Discoverer) scan(ctx context.Context) error {
	d.mu.Lock()
	d.applyReload()
	for _, p := range d.processes {
		d.revisit(p)
	}
	err := d.pass(time.Now())
	d.mu.Unlock()
	d.deliver()
	for err == nil && ctx.Err() == nil && d.step() {
	}
	d.mu.Lock()
	d.checkUnmapped(time.Now()) // once more: processes may have let go of files
	d.mu.Unlock()
	d.deliver()
	d.scanned = true
	return errors.Join(err, ctx.Err())
}

// Run finds files until ctx is done, then returns nil. Without a Scan before
// it, it begins with one.
func (d *Discoverer) Run(ctx context.Context) error {
	d.scanning.Lock()
	defer d.scanning.Unlock()
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
		var work <-chan struct{}
		if d.hasWork() {
			work = busy
		}
		select {
		case <-ctx.Done():
		case <-work:
			d.step()
		case <-d.wake:
			d.mu.Lock()
			d.applyReload()
			d.takeNotified(time.Now())
			if again == nil && len(d.follow) > 0 {
				again = time.After(cooldown)
			}
			d.mu.Unlock()
			d.deliver()
		case <-again:
			again = nil
			d.mu.Lock()
			d.followUp(time.Now())
			if len(d.follow) > 0 {
				again = time.After(cooldown)
			}
			d.mu.Unlock()
		case t := <-d.helper.late:
			d.mu.Lock()
			d.comeBack(t)
			d.mu.Unlock()
			d.deliver()
		case <-tick.C:
			start := time.Now()
			d.mu.Lock()
			err := d.pass(start)
			d.mu.Unlock()
			d.deliver()
			if err != nil {
				return err
			}
			tick.Reset(max(d.interval, maxCost*time.Since(start)))
		}
	}
	return nil
}

// hasWork says whether there are processes to look at.
func (d *Discoverer) hasWork() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ready) > 0
}

// step looks at one process and returns false if there was none.
func (d *Discoverer) step() bool {
	d.mu.Lock()
	more := d.turn()
	for more { // what came back in the meantime
		select {
		case t := <-d.helper.late:
			d.comeBack(t)
			continue
		default:
		}
		break
	}
	d.mu.Unlock()
	d.deliver()
	return more
}

// pass finds what has changed since the last one.
func (d *Discoverer) pass(now time.Time) error {
	d.searchLibraries()
	if d.cfg.Enabled {
		d.searchDisk(now)
	}
	if !d.checkChanged(now) {
		for _, p := range d.processes {
			d.check(p, now)
		}
	}
	if err := d.listProcesses(); err != nil {
		return err
	}
	d.checkUnmapped(now)
	if now.Sub(d.swept) > rotation {
		d.swept = now
		d.forgetOld(now)
	}
	for _, c := range d.containers {
		d.admit(c, now)
		c.affordable(now)
		d.dispose(c)
	}
	return nil
}

// checkChanged has those processes looked at that Config.Changed tells. It
// returns false if that cannot tell any.
func (d *Discoverer) checkChanged(now time.Time) bool {
	if d.changed == nil {
		return false
	}
	for _, p := range d.processes {
		if !now.Before(p.due) {
			d.revisit(p)
		}
	}
	err := d.changed(func(pid uint32) {
		if p := d.processes[pid]; p != nil {
			d.revisit(p)
		} else {
			d.add(pid)
		}
	})
	if err != nil {
		d.log.Warn("processes are asked one by one from now on", "error", err)
		d.changed = nil
	}
	return err == nil
}

// Notify says that a process was seen to execute a program or to map a file:
// it is looked at now, and once more a moment later. It never waits. Asking
// often is no harm: a process is looked at 20 times a second at most.
func (d *Discoverer) Notify(pid uint32) {
	d.notifyMutex.Lock()
	if len(d.notified) < maxNotified {
		d.notified[pid] = struct{}{}
	} else {
		d.overflown = true
	}
	d.notifyMutex.Unlock()
	d.nudge()
}

// takeNotified has the processes looked at that were notified.
func (d *Discoverer) takeNotified(now time.Time) {
	d.notifyMutex.Lock()
	pids, overflown := d.notified, d.overflown
	d.notified, d.overflown = make(map[uint32]struct{}), false
	d.notifyMutex.Unlock()
	if overflown { // what was not noted is found by a pass
		for _, p := range d.processes {
			d.check(p, now)
		}
		if err := d.listAll(); err != nil {
			d.log.Warn("processes not listed", "error", err)
		}
	}
	for pid := range pids {
		p := d.processes[pid]
		switch {
		case p == nil:
			p = d.add(pid)
		case now.Sub(p.looked) < cooldown:
			p.again = true
		default:
			d.revisit(p)
		}
		d.follow[p] = struct{}{}
	}
}

// followUp looks once more at processes that were notified: what was told of
// may have been only the first of many files.
func (d *Discoverer) followUp(now time.Time) {
	for p := range d.follow {
		if p.queued || now.Sub(p.looked) < cooldown {
			continue
		}
		delete(d.follow, p)
		if p.again {
			p.again = false
			d.follow[p] = struct{}{}
			d.revisit(p)
		} else {
			d.check(p, now)
		}
	}
}

// perform runs tasks and what follows them. Those that touch a file system
// that does not answer are left out.
func (d *Discoverer) perform(tasks []*task) {
	for {
		tasks = slices.DeleteFunc(tasks, func(t *task) bool { return !d.answers(t.device) })
		if len(tasks) == 0 {
			return
		}
		done := d.helper.do(tasks, d.patience)
		for _, t := range tasks[:done] {
			if len(d.good) < maxGood {
				d.good[t.device] = true
			}
			t.then()
		}
		if done == len(tasks) {
			return
		}
		stuck := tasks[done]
		d.stuck[stuck.device]++
		d.waiting++
		level := slog.LevelDebug // a busy disk may just be slow
		if d.waiting >= maxStuck/2 {
			level = slog.LevelWarn
		}
		d.log.Log(context.Background(), level, "file system does not answer", "device_major", unix.Major(stuck.device),
			"device_minor", unix.Minor(stuck.device), "waiting", d.waiting)
		tasks = tasks[done+1:]
	}
}

// answers says whether a file system may be asked: not while it owes an answer
// and, when many do, only if it has given one before. One that has a disk of
// its own will give it in the end.
func (d *Discoverer) answers(device uint64) bool {
	switch {
	case d.stuck[device] > 0:
		return false
	case d.waiting >= maxStuck:
		return device>>63 == 0 && unix.Major(device) != 0
	case d.waiting >= maxStuck/2:
		return d.good[device] || device>>63 == 0 && unix.Major(device) != 0
	}
	return true
}

// comeBack takes in what a helper that was left behind has found after all.
func (d *Discoverer) comeBack(t *task) {
	d.waiting--
	if d.stuck[t.device]--; d.stuck[t.device] <= 0 {
		delete(d.stuck, t.device)
	}
	t.then()
}
