// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxPrograms    = 128  // limit on programs in the inbox, and on those to be resolved; each uses 2 descriptors
	maxEnvironment = 4096 // bytes of LD_LIBRARY_PATH and LD_PRELOAD that are considered
)

// program is an executed program. Its file is held open, because the process may end immediately.
type program struct {
	pid       host.Process
	file      int    // O_PATH descriptor of the executable
	path      string // path of the executable, within the program's root folder
	root      int    // O_PATH descriptor of the program's root folder
	base      string // base of the root folder, see host.Root
	namespace uint64 // mount namespace
	cgroup    string
	inode     host.Inode        // inode of the executable
	changed   int64             // change time (ctime) of the executable, in nanoseconds since 1970
	environ   map[string]string // values of libraryPath and preload, if set
	owner     *owner            // owner whose share of held the program uses
}

// Environment variables that name libraries.
const libraryPath, preload = "LD_LIBRARY_PATH", "LD_PRELOAD"

// hold opens the program that a process executes. It blocks while the process keeps its memory map locked.
func hold(pid host.Process, cgroup string) (*program, error) {
	file, err := host.Open(pid.Path("exe"), unix.O_PATH)
	if err != nil {
		return nil, err
	}
	root, err := host.Open(pid.Path("root"), unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		unix.Close(file)
		return nil, err
	}
	p := &program{pid: pid, file: file, root: root, base: pid.Root().Base, namespace: pid.MountNamespace(), cgroup: cgroup}
	path, _, _ := host.PathOf(file)
	p.path = host.Root{Base: p.base}.Within(path)
	if status, err := host.CachedStatus(host.DescriptorPath(file)); err == nil {
		p.inode, p.changed = status.Inode, status.Changed
	}
	p.environ = pid.Environment(libraryPath, preload)
	for name, value := range p.environ {
		p.environ[name] = value[:min(len(value), maxEnvironment)]
	}
	return p, nil
}

func (p *program) close() {
	unix.Close(p.file)
	unix.Close(p.root)
}

// held manages the programs that wait to be resolved. A process has at most one: the last that it executed.
type held struct {
	most, count int // limit on the programs, and their number
}

// put makes a process hold a program. If the owner of the process already holds its share, put closes the program and
// returns false.
func (h *held) put(p *process, exe *program) bool {
	h.drop(p)
	if p.owner.held >= h.most-h.count {
		exe.close()
		return false
	}
	h.count++
	p.owner.held++
	exe.owner = p.owner
	p.program = exe
	return true
}

// take returns the program that a process holds, or nil. The caller must close it.
func (h *held) take(p *process) *program {
	exe := p.program
	if exe != nil {
		h.count--
		exe.owner.held--
		p.program = nil
	}
	return exe
}

// drop closes the program that a process holds, if any.
func (h *held) drop(p *process) {
	if exe := h.take(p); exe != nil {
		exe.close()
	}
}
