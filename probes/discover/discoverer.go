// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"sync"
	"time"

	"github.com/crau-otel/crau-otel/probes/untraced"
)

var errClosed = errors.New("discoverer is closed")

// Discoverer finds files with probes. It is created by New, used by Scan or Run, and ended by Close. In between, any
// goroutine may call the other methods.
type Discoverer struct {
	found    func(*File)
	judged   func(*File)
	gone     func(Key)
	interval time.Duration
	inbox    *inbox
	holder   *holder

	running sync.Mutex // held by Scan and Run; guards the next two fields
	closed  bool
	scanned bool

	mu        sync.Mutex // guards the fields below
	search    *search
	followUps *followUps
	reload    *rules // rules that were passed to Reload and are not applied yet; nil if there are none
}

// New returns a Discoverer that has not searched yet. It must be closed.
func New(cfg Config) (*Discoverer, error) {
	cfg.setDefaults()
	compiled, err := compileRules(cfg.Rules)
	if err != nil {
		return nil, err
	}
	in := newInbox()
	s, err := newSearch(&cfg, compiled, in)
	if err != nil {
		return nil, err
	}
	in.searching.Store(compiled.Enabled)
	return &Discoverer{
		found: cfg.Found, judged: cfg.Judged, gone: cfg.Gone, interval: cfg.Interval, inbox: in, holder: newHolder(in, s),
		search: s, followUps: &followUps{s, make(map[*process]struct{})},
	}, nil
}

// Close waits for Scan and Run to return and closes all files. A helper thread that still waits for an answer ends when
// the answer arrives. Calling Close again does nothing.
func (d *Discoverer) Close() error {
	d.running.Lock()
	defer d.running.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	d.holder.close()
	d.inbox.close()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.search.close()
}

// Reload changes the rules. Run, or the next Scan, reports files that the new rules exclude as gone, and files that
// only the new rules include as found. All other files stay attached.
func (d *Discoverer) Reload(r Rules) error {
	compiled, err := compileRules(r)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.reload = compiled
	d.mu.Unlock()
	d.inbox.nudge()
	return nil
}

// applyReload applies the rules that were passed to Reload.
func (d *Discoverer) applyReload() {
	if d.reload != nil {
		d.search.setRules(d.reload)
		d.inbox.searching.Store(d.reload.Enabled)
		d.reload = nil
	}
}

// goneBudget is how long Run calls Gone before it looks for new files again. Gone may take long, because the kernel
// takes long to detach.
const goneBudget = 100 * time.Millisecond

// deliver calls Found for new files, then Judged and Gone for earlier ones. Once the budget is used up, the remaining
// calls of Gone are left to the next call of deliver. A budget of 0 means no limit.
func (d *Discoverer) deliver(budget time.Duration) {
	begin := time.Now()
	for {
		d.mu.Lock()
		due := newFirst(d.search.catalogue.events)
		d.search.catalogue.events = nil
		d.mu.Unlock()
		if len(due) == 0 {
			return
		}
		for i, e := range due {
			start := time.Now()
			if budget > 0 && e.kind == gone && start.Sub(begin) > budget {
				d.mu.Lock()
				d.search.catalogue.events = append(due[i:], d.search.catalogue.events...)
				d.mu.Unlock()
				return
			}
			d.call(e)
			// The time for attaching and detaching a file counts against the share of the file's owner.
			d.mu.Lock()
			e.entry.owner.spend(time.Since(start))
			d.mu.Unlock()
		}
	}
}

// call makes the call for an event. It passes a copy of the file, because a pass may judge the original again while the
// callee uses the copy.
func (d *Discoverer) call(e event) {
	d.mu.Lock()
	file := e.entry.File
	d.mu.Unlock()
	switch {
	case e.kind == found && d.found != nil:
		d.found(&file)
	case e.kind == judged && d.judged != nil:
		d.judged(&file)
	case e.kind == gone && d.gone != nil:
		d.gone(file.Key)
	}
	if e.kind == gone {
		e.entry.open.Close()
	}
}

// newFirst returns the events with those of new files first. If a file was gone and is found again, the order of these
// two events stays the same.
func newFirst(events []event) []event {
	var first, rest []event
	goneBefore := make(map[Key]bool)
	for _, e := range events {
		if e.kind == gone {
			goneBefore[e.entry.Key] = true
		}
		if e.kind == found && !goneBefore[e.entry.Key] {
			first = append(first, e)
		} else {
			rest = append(rest, e)
		}
	}
	return append(first, rest...)
}

// Refuse records that a file cannot be attached. The file stays known, and is not reported again until it changes.
func (d *Discoverer) Refuse(k Key, reason untraced.Reason, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.search.catalogue.reported(k); e != nil {
		e.failed, e.failure = reason, err.Error()
	}
}

// Reread has to be called when a file is being overwritten. The file is reported as gone and, once nobody has it open
// for writing, as a new file.
func (d *Discoverer) Reread(k Key) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.search.catalogue.reported(k); e != nil {
		d.search.rewrites.overwritten(e)
		d.inbox.nudge()
	}
}
