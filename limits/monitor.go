// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"sync"
	"time"
)

const (
	minPause = time.Minute // between two lines about one owner at one limit
	maxPause = time.Hour
	maxLines = 1024 // owners at limits that have lines of their own; further ones share lines by class
)

// Monitor counts by limit and class, and decides when to log. A nil Monitor does nothing. Its methods are safe for
// concurrent use.
type Monitor struct {
	now func() time.Time

	mu     sync.Mutex
	counts map[count]uint64
	lines  map[line]*recurrence
}

type count struct {
	limit Limit
	class Class
}

type line struct {
	limit Limit
	owner Owner
}

// recurrence is when a line is written again.
type recurrence struct {
	next  time.Time
	pause time.Duration // until the line after that
	since uint64        // counted since the last line
}

// Config configures a Monitor. The zero value means defaults.
type Config struct {
	Now func() time.Time // default: time.Now
}

// New returns a Monitor that has counted nothing.
func New(cfg Config) *Monitor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Monitor{now: cfg.Now, counts: make(map[count]uint64), lines: make(map[line]*recurrence)}
}

// Reached notes that a limit cost an owner n of what it bounds. With n 0, the limit keeps costing what was counted before. If
// due, the caller is to log it, with the number that was counted since the last line.
func (m *Monitor) Reached(limit Limit, owner Owner, n uint64) (since uint64, due bool) {
	if m == nil {
		return 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[count{limit, owner.Class}] += n
	return m.recur(limit, owner, n)
}

// Observe notes that a limit cost owners of a class so many of what it bounds since the start, for counters that are kept
// elsewhere. If due, the caller is to log it.
func (m *Monitor) Observe(limit Limit, class Class, total uint64) (since uint64, due bool) {
	if m == nil {
		return 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := count{limit, class}
	before := m.counts[key]
	if total <= before {
		return 0, false
	}
	m.counts[key] = total
	return m.recur(limit, Owner{Class: class}, total-before)
}

// recur counts for the next line and reports whether it is due.
func (m *Monitor) recur(limit Limit, owner Owner, n uint64) (since uint64, due bool) {
	key, now := line{limit, owner}, m.now()
	r := m.lines[key]
	if r == nil && len(m.lines) >= maxLines {
		m.forgetOld(now)
		if len(m.lines) >= maxLines {
			key.owner.Name = ""
			r = m.lines[key]
		}
	}
	if r == nil {
		r = &recurrence{}
		m.lines[key] = r
	}
	r.since += n
	if now.Before(r.next) {
		return 0, false
	}
	if now.Sub(r.next) > r.pause { // it was over
		r.pause = minPause
	}
	r.next = now.Add(r.pause)
	r.pause = min(2*r.pause, maxPause)
	since, r.since = r.since, 0
	return since, true
}

// forgetOld drops the lines of what is over.
func (m *Monitor) forgetOld(now time.Time) {
	for key, r := range m.lines {
		if now.Sub(r.next) > r.pause {
			delete(m.lines, key)
		}
	}
}

// Each calls f with what each limit cost each class of owners, if anything.
func (m *Monitor) Each(f func(limit Limit, class Class, n uint64)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, n := range m.counts {
		if n > 0 {
			f(key.limit, key.class, n)
		}
	}
}
