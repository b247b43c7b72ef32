// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"slices"
	"time"

	"github.com/crau-otel/crau-otel/probes/host"
)

// mapped is a file that a process maps.
type mapped struct {
	id    host.MapID
	entry *entry // nil if the file has no probes, or is not examined yet
}

// set sets the entry of the file, if it has none yet.
func (m *mapped) set(e *entry) {
	if m.entry == nil || m.entry.retired && m.entry != e {
		m.entry = e
		e.mappers++
	}
}

// process is a process whose mappings are watched.
type process struct {
	finder
	pid   host.Process
	statm int // kept open if not negative; reading it also detects that the number was reused for another process

	user      uint32
	cgroup    string
	namespace uint64 // mount namespace
	root      host.Root

	memory host.Memory // at the last check
	code   host.Code   // at the last check

	round  uint32 // last listing of processes that contained it
	gone   bool
	queued bool
	stale  bool      // its maps must be read again
	more   bool      // its maps must be read again after the backlog
	early  bool      // a look was requested during the cooldown
	looked time.Time // when its maps were last read
	due    time.Time // when all of its maps must be read again

	silence silence
	program *program // executed, not yet resolved
	unseen  bool     // it has executed a program that could not be held, and its maps have not been read since

	files   []mapped // by id
	backlog []sighting
}

// subject returns the subject for questions about the process.
func (p *process) subject() host.Subject {
	return host.Subject{Process: p.pid, Owner: p.owner.name}
}

// find returns the index of a file among those that the process maps.
func (p *process) find(id host.MapID) (int, bool) { return findMapped(p.files, id) }

func findMapped(files []mapped, id host.MapID) (int, bool) {
	return slices.BinarySearchFunc(files, id, func(m mapped, id host.MapID) int { return m.id.Compare(id) })
}

// setFiles replaces the files that the process maps.
func (p *process) setFiles(files []mapped) {
	for _, f := range files {
		if f.entry != nil {
			f.entry.mappers++
		}
	}
	for _, f := range p.files {
		if f.entry != nil {
			f.entry.mappers--
		}
	}
	p.owner.mapped += len(files) - len(p.files)
	p.files = files
}

// release drops all references to the files that the process maps.
func (p *process) release() {
	p.setFiles(nil)
	p.backlog = nil
}
