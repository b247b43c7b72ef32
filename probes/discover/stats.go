// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"time"

	"github.com/crau-otel/crau-otel/probes/untraced"
)

// Stats counts what discovery could not examine.
type Stats struct {
	// MissedPrograms counts programs that ended before they could be examined. The files of such a program are found when
	// it runs again for longer, or when another process maps them.
	MissedPrograms uint64

	// SilentProcesses is the number of processes that are set aside because they, or other processes of their owner, do
	// not answer.
	SilentProcesses int

	// Untraced counts the known files that are not traced, or only in part, by reason.
	Untraced map[untraced.Reason]int
}

// Stats returns the counters.
func (d *Discoverer) Stats() (s Stats) {
	d.inbox.mu.Lock()
	s.MissedPrograms = d.inbox.missed
	d.inbox.mu.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	s.Untraced = d.search.catalogue.untracedFiles()
	now := time.Now()
	for _, p := range d.search.processes.table {
		if now.Before(p.silence.until) {
			s.SilentProcesses++
		}
	}
	return s
}
