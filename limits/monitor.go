// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"sync"
	"time"
)

const (
	minPause = time.Minute // initial time between two log lines about one owner and one limit; it doubles each time
	maxPause = time.Hour   // maximum time between two such log lines
	maxLines = 1024        // maximum pairs of owner and limit with separate log lines; further owners share lines by class
)

// Monitor counts losses by limit and class of owner, and decides when to log them. A nil Monitor does nothing. Its
// methods are safe for concurrent use.
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
	next  time.Time     // earliest time of the next line
	pause time.Duration // time between the next line and the one after it
	since uint64        // number of items lost since the last line
}

// Config configures a Monitor. The zero value selects the defaults.
type Config struct {
	Now func() time.Time // default: time.Now
}

// New returns a Monitor whose counts are 0.
func New(cfg Config) *Monitor {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Monitor{now: cfg.Now, counts: make(map[count]uint64), lines: make(map[line]*recurrence)}
}

// Reached records that an owner lost n items because of a limit. n is 0 if the owner has lost no further items but is
// still without those that it lost before. If due is true, the caller must log a line; since is the number of items
// lost since the previous line.
func (m *Monitor) Reached(limit Limit, owner Owner, n uint64) (since uint64, due bool) {
	if m == nil {
		return 0, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts[count{limit, owner.Class}] += n
	return m.recur(limit, owner, n)
}

// Observe records losses that the caller counts itself: owners of a class have lost total items because of a limit
// since crau-otel started. The results are those of [Monitor.Reached].
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

// recur adds n to the number for the next log line about an owner and a limit. If the line is due, it returns the
// number. The caller must hold the lock.
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

// forgetOld deletes the lines of owners that have stopped reaching a limit.
func (m *Monitor) forgetOld(now time.Time) {
	for key, r := range m.lines {
		if now.Sub(r.next) > r.pause {
			delete(m.lines, key)
		}
	}
}

// Each calls f for each limit and class of owners with the number of items lost, unless it is 0. f must not call
// methods of the Monitor.
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
