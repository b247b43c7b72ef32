// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"sync"
	"time"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxNotified = 8192                  // processes that wait to be examined
	cooldown    = 50 * time.Millisecond // minimum time between two requested examinations of a process
)

// inbox collects notifications from other goroutines.
type inbox struct {
	wake chan struct{} // capacity 1

	mu       sync.Mutex // guards the fields below
	pids     map[host.Process]struct{}
	overflow bool // some were not noted
}

func newInbox() *inbox {
	return &inbox{wake: make(chan struct{}, 1), pids: make(map[host.Process]struct{})}
}

// add notes a process.
func (b *inbox) add(pid host.Process) {
	b.mu.Lock()
	if len(b.pids) < maxNotified {
		b.pids[pid] = struct{}{}
	} else {
		b.overflow = true
	}
	b.mu.Unlock()
	b.nudge()
}

// nudge wakes the goroutine that waits for the inbox.
func (b *inbox) nudge() {
	select {
	case b.wake <- struct{}{}:
	default: // already awake
	}
}

// empty removes and returns what was noted.
func (b *inbox) empty() (pids map[host.Process]struct{}, overflow bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	pids, overflow = b.pids, b.overflow
	b.pids, b.overflow = make(map[host.Process]struct{}), false
	return pids, overflow
}

// followUps are processes that are examined once more shortly after a notification, because that may have been about
// the first of many files.
type followUps struct {
	search  *search
	pending map[*process]struct{}
}

// visit schedules notified processes for examination.
func (f *followUps) visit(pids map[host.Process]struct{}, overflow bool, now time.Time) {
	s := f.search
	if overflow { // a pass finds what was not noted
		for _, p := range s.processes.table {
			s.processes.check(p, now)
		}
		if err := s.processes.list(); err != nil {
			s.log.Warn("processes not listed", "error", err)
		}
	}
	for pid := range pids {
		p := s.processes.table[pid]
		switch {
		case p == nil:
			p = s.processes.add(pid)
		case now.Sub(p.looked) < cooldown:
			p.early = true
		default:
			s.turns.revisit(p)
		}
		f.pending[p] = struct{}{}
	}
}

// again schedules the follow-ups that are due.
func (f *followUps) again(now time.Time) {
	for p := range f.pending {
		switch {
		case p.gone:
			delete(f.pending, p)
		case p.queued || now.Sub(p.looked) < cooldown:
		case p.early:
			p.early = false
			f.search.turns.revisit(p)
		default:
			delete(f.pending, p)
			f.search.processes.check(p, now)
		}
	}
}
