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
	entry *entry // nil if the file has no probes, or was not examined yet
}

// set sets the entry of the file, unless it has one that is not retired.
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
	statm int // descriptor of /proc/PID/statm, or -1; it does not refer to a later process with the same id

	user      uint32
	cgroup    string
	namespace uint64 // mount namespace
	root      host.Root

	memory host.Memory // at the last check
	code   host.Code   // at the last check

	round  uint32    // number of the last listing that contained the process
	gone   bool      // the process has ended
	queued bool      // the process waits in the queue of its owner
	stale  bool      // its maps must be read again
	more   bool      // its maps must be read again after the backlog
	early  bool      // a notification asked for a look during the cooldown
	looked time.Time // when its maps were last read
	due    time.Time // when all of its maps must be read again, including known files

	silence silence
	program *program // program that it has executed and that is not resolved yet; nil if there is none
	unseen  bool     // it has executed a program that could not be held, and its maps have not been read since

	files   []mapped   // sorted by id
	backlog []sighting // files that wait to be opened
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

// release drops the references to all files that the process maps.
func (p *process) release() {
	p.setFiles(nil)
	p.backlog = nil
}
