// SPDX-License-Identifier: Apache-2.0

package discover

import "time"

// followUps manages processes that are examined once more shortly after a notification: at the time of the
// notification, a process may have mapped only the first of its files.
type followUps struct {
	search  *search
	pending map[*process]struct{}
}

// visit schedules a look at the processes in n.
func (f *followUps) visit(n notes, now time.Time) {
	s := f.search
	for _, exe := range n.programs {
		p := s.processes.table[exe.pid]
		if p == nil {
			p = s.processes.add(exe.pid, exe.cgroup)
		}
		p.unseen = !s.held.put(p, exe)
		s.turns.revisit(p)
	}
	if n.overflow { // look for the processes whose notifications were dropped
		for _, p := range s.processes.table {
			s.processes.check(p, now)
		}
		if err := s.processes.list(); err != nil {
			s.log.Warn("processes not listed", "error", err)
		}
	}
	for pid := range n.pids {
		p := s.processes.table[pid]
		switch {
		case p == nil:
			cgroup, err := pid.CgroupPath()
			if err != nil {
				continue // the process has ended
			}
			p = s.processes.add(pid, cgroup)
		case now.Sub(p.looked) < cooldown:
			p.early = true
		default:
			s.turns.revisit(p)
		}
		f.pending[p] = struct{}{}
	}
}

// again schedules another look at those processes for which it is due.
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
