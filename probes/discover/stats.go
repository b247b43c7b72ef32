// SPDX-License-Identifier: Apache-2.0

package discover

import "time"

// Stats counts what discovery could not look at.
type Stats struct {
	// MissedPrograms had ended before they could be looked at. Their files are found when they are executed again and live
	// longer, or when another process maps them.
	MissedPrograms uint64

	// SilentProcesses are set aside now because they, or others of their owner, do not answer.
	SilentProcesses int
}

// Stats returns the counters.
func (d *Discoverer) Stats() (s Stats) {
	d.inbox.mu.Lock()
	s.MissedPrograms = d.inbox.missed
	d.inbox.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, p := range d.search.processes.table {
		if now.Before(p.silence.until) {
			s.SilentProcesses++
		}
	}
	return s
}
