// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"slices"

	"github.com/crau-otel/crau-otel/probes/host"
)

// perStep is how many files a helper handles before it reports progress.
const perStep = 64

// mapsRequest is what a helper needs to read the maps of a process.
type mapsRequest struct {
	pid    host.Process
	user   uint32
	cgroup string
	known  []host.MapID // mapped files that need not be examined, sorted
	rules  *rules
	step   func() // reports progress
}

// mapsResult is what a helper has read about a process.
type mapsResult struct {
	user      uint32
	cgroup    string
	namespace uint64
	root      host.Root
	ignored   bool         // the rules ignore the process
	task      host.Process // process or thread whose maps were read
	files     []mapsFile   // mapped files, each once
	err       error
}

// mapsFile is a file that a process maps executable.
type mapsFile struct {
	id     host.MapID
	copied bool   // the process executes a copy of the file's code, and mayDecide is true
	isNew  bool   // the file is not in mapsRequest.known; path, status and err are set only then
	link   string // path in /proc that leads to the file; set if isNew, or if its code was copied
	path   string
	status host.Status
	err    error // why there is no status
}

// read reads what a process maps, and its user, cgroup, mount namespace and root folder. It blocks while the process
// keeps its memory map locked.
func (r *mapsRequest) read() (result mapsResult) {
	result.namespace = r.pid.MountNamespace()
	result.root = r.pid.Root()
	result.user, result.cgroup = r.user, r.cgroup
	if user, err := r.pid.User(); err == nil {
		result.user = user
	}
	if cgroup, err := r.pid.CgroupPath(); err == nil {
		result.cgroup = cgroup
	}
	program, _ := r.pid.Executable()
	if r.rules.ignores(result.root.Within(program), result.cgroup) {
		result.ignored = true
		return result
	}
	result.task = r.pid
	result.files, result.err = r.files(r.pid)
	if result.err == nil && len(result.files) == 0 {
		if thread := r.pid.OtherThread(); thread != 0 {
			result.task = thread
			result.files, result.err = r.files(thread)
		}
	}
	for i := range result.files {
		f := &result.files[i]
		f.copied = f.copied && r.mayDecide(f)
		if !f.isNew {
			continue
		}
		f.status, f.err = host.CachedStatus(f.link)
		if i%perStep == 0 {
			r.step()
		}
	}
	return result
}

// mayDecide reports whether a process that executes a copy of a file's code may keep the file from being attached. A
// program may do that for its own file, and a process of root for any file. If others could do it, they could hide a
// library from tracing on the whole host.
func (r *mapsRequest) mayDecide(f *mapsFile) bool {
	if user, err := r.pid.User(); err == nil && user == 0 {
		return true
	}
	program, err := host.CachedStatus(r.pid.Path("exe"))
	file, err2 := host.CachedStatus(f.link)
	return err == nil && err2 == nil && program.Inode == file.Inode
}

// files reads the maps of a process or thread, and returns the files in them.
func (r *mapsRequest) files(task host.Process) (files []mapsFile, err error) {
	var reader host.MapsReader
	seen := make(map[host.MapID]int, len(r.known)) // index in files
	err = reader.Read(task.Path("maps"), func(m *host.Mapping) {
		if i, twice := seen[m.ID]; twice {
			if m.Copied {
				files[i].copied, files[i].link = true, m.Link(task)
			}
			return
		}
		seen[m.ID] = len(files)
		f := mapsFile{id: m.ID, copied: m.Copied}
		if _, known := slices.BinarySearchFunc(r.known, m.ID, host.MapID.Compare); !known {
			f.isNew, f.link, f.path = true, m.Link(task), m.Path()
		}
		if m.Copied {
			f.link = m.Link(task)
		}
		files = append(files, f)
		if len(seen)%perStep == 0 {
			r.step()
		}
	})
	return files, err
}
