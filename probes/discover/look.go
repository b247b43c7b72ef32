// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxPerTurn = 256  // files that are opened for one process before the next process's turn
	maxBacklog = 4096 // files of one process that may wait to be opened
	mappedFact = 2    // multiple of MaxFacts; mapped files of an owner beyond it are kept only if they have probes
)

// step examines the process whose turn it is. It returns false if no process waits.
func (s *search) step() bool {
	p, q := s.turns.next()
	if p == nil {
		return false
	}
	start := time.Now()
	again := false
	if !p.gone || p.program != nil {
		again = s.look(p, start)
	}
	end := time.Now()
	q.owner.spend(end.Sub(start))
	if len(p.backlog) > 0 || p.more || again {
		s.turns.enqueue(p)
	}
	s.turns.admit(q, end)
	return true
}

// look examines the files that a process will map or maps. It first resolves a program that the process has executed.
// Then it reads the maps, puts unknown files in the backlog, and in each call opens some of the files in the backlog.
// It reports whether the process must be looked at again.
func (s *search) look(p *process, now time.Time) (again bool) {
	silent := now.Before(p.silence.until)
	if p.program != nil && (p.gone || !silent) {
		s.resolver.resolve(p, s.held.take(p), now)
		return true // the files of the program are reported before the maps are read
	}
	if p.gone || silent { // a silent process becomes due when its pause ends
		return false
	}
	if len(p.backlog) == 0 || p.stale {
		p.stale, p.more = false, false
		s.readMaps(p, now)
	}
	part := p.backlog[:min(s.perTurn, len(p.backlog))]
	p.backlog = p.backlog[len(part):]
	if len(part) > 0 {
		s.find(p, part)
	}
	return false
}

// readMaps asks a helper to read the maps of a process, and applies the result.
func (s *search) readMaps(p *process, now time.Time) {
	request := &mapsRequest{pid: p.pid, user: p.user, cgroup: p.cgroup, rules: s.rules}
	if now.Before(p.due) { // files that are already known are not examined again
		for _, f := range p.files {
			request.known = append(request.known, f.id)
		}
	} else {
		p.due = now.Add(rotation)
	}
	p.looked = now
	var result mapsResult
	s.askProcess(p, func(step func()) {
		request.step = step
		result = request.read()
	}, func() { s.applyMaps(p, &result) })
}

// applyMaps records what a process maps.
func (s *search) applyMaps(p *process, result *mapsResult) {
	if p.gone {
		return
	}
	p.unseen = false
	p.namespace, p.root = result.namespace, result.root
	s.processes.move(p, result.user, result.cgroup)
	if result.ignored {
		p.release()
		return
	}
	if err := result.err; err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENOENT) {
		s.log.Debug("memory map not read", "pid", p.pid, "error", err)
	}
	waiting := make(map[host.MapID]sighting, len(p.backlog))
	for _, at := range p.backlog {
		waiting[at.id] = at
	}
	p.backlog = nil
	others := p.owner.mapped - len(p.files) // files that the owner's other processes map
	var files []mapped
	for i := range result.files {
		found := &result.files[i]
		file := mapped{id: found.id}
		if !found.isNew {
			if i, ok := p.find(found.id); ok {
				file = p.files[i]
			}
			if at, ok := waiting[found.id]; ok {
				p.backlog = append(p.backlog, at)
			}
		} else if !s.recall(p, found, &file) && s.rules.examines(p.root.Within(found.path)) {
			if len(p.backlog) == maxBacklog {
				p.more = true
				continue
			}
			p.backlog = append(p.backlog, sighting{
				copied: found.copied, task: result.task, link: found.link, path: found.path, id: found.id,
				root: p.root, hostRoot: s.view.root, namespace: p.namespace, cgroup: p.cgroup,
			})
		}
		if found.copied && file.entry != nil {
			s.refuseCopied(file.entry)
		}
		if file.entry != nil || others+len(files) < mappedFact*s.catalogue.most {
			files = append(files, file)
		}
	}
	slices.SortFunc(files, func(a, b mapped) int { return a.id.Compare(b.id) })
	p.setFiles(files)
}

// recall sets the entry of a mapped file from the catalogue. It returns false if the file must be examined.
func (s *search) recall(p *process, found *mapsFile, file *mapped) (known bool) {
	if found.err != nil {
		return false
	}
	if !found.status.Regular {
		return true
	}
	file.entry, known = s.catalogue.recall(found.status.Inode, found.status.Changed, &p.finder)
	return known
}
