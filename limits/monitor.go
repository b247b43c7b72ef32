// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"sync"
	"time"
)

const (
	minPause = time.Minute // between two log lines about one owner at one limit
	maxPause = time.Hour
	maxLines = 1024 // owners that have log lines of their own; any others share lines by class
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

// recurrence decides when a log line is repeated.
type recurrence struct {
	next  time.Time
	pause time.Duration // until the following line
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

// Reached records that a limit cost an owner n of what it bounds. With n = 0, the limit still costs what was counted
// before. If due is true, the caller has to log it; since is the number that was counted since the last line.
func (m *Monitor) Reached(limit Limit, owner Owner, n uint64) (since uint64, due bool) {
	if m == nil {
		return 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[count{limit, owner.Class}] += n
	return m.recur(limit, owner, n)
}

// Observe is for counters that are kept elsewhere. It records that a limit has cost owners of a class total of what it
// bounds, counted from the start. If due is true, the caller has to log it.
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

// recur adds to the count of the next log line and reports whether that line is due.
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
	if now.Sub(r.next) > r.pause { // the owner had stopped reaching the limit
		r.pause = minPause
	}
	r.next = now.Add(r.pause)
	r.pause = min(2*r.pause, maxPause)
	since, r.since = r.since, 0
	return since, true
}

// forgetOld drops the log lines of owners that no longer reach a limit.
func (m *Monitor) forgetOld(now time.Time) {
	for key, r := range m.lines {
		if now.Sub(r.next) > r.pause {
			delete(m.lines, key)
		}
	}
}

// Each calls f with the nonzero cost of each limit to each class of owners.
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
