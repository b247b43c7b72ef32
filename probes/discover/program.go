// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"hash/fnv"
	"log/slog"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/limits"
	"github.com/crau-otel/crau-otel/probes/discover/loader"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxPrograms    = 128         // executed programs that wait to be noted or resolved, which hold two descriptors each
	maxExecuted    = 1024        // executions that wait to be noted
	resolvedFor    = time.Minute // for which the files of a program are not looked for again
	maxResolved    = 4096
	maxEnvironment = 4096 // bytes of LD_LIBRARY_PATH and LD_PRELOAD that count
)

// program is an executed program. It is held open, since the process may end at once.
type program struct {
	pid       host.Process
	file      int    // O_PATH
	path      string // of the file, in the program's root folder
	root      int    // O_PATH
	base      string // see host.Root
	namespace uint64
	cgroup    string
	inode     host.Inode
	changed   int64
	environ   map[string]string // of libraryPath and preload
	owner     *owner            // whose share it counts against while it waits to be resolved
}

// The variables that name libraries.
const libraryPath, preload = "LD_LIBRARY_PATH", "LD_PRELOAD"

// hold opens what a process executes. It blocks while the process keeps its memory map locked.
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

// held are the programs that wait to be resolved. A process has one at most, the last that it executed.
type held struct {
	most, count int
}

// put has a process hold a program. It returns false, and closes the program, if the owner of the process holds so many
// that the rest is left to others.
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

// take returns the program that a process holds, which is the caller's to close; nil if there is none.
func (h *held) take(p *process) *program {
	exe := p.program
	if exe != nil {
		h.count--
		exe.owner.held--
		p.program = nil
	}
	return exe
}

// drop has a process hold no program.
func (h *held) drop(p *process) {
	if exe := h.take(p); exe != nil {
		exe.close()
	}
}

// misses notes programs that had ended before it was known which files they use.
type misses struct {
	inbox  *inbox
	limits *limits.Monitor
	log    *slog.Logger
}

func (m *misses) note(of limits.Owner) {
	m.inbox.miss()
	if count, due := m.limits.Reached(limits.Unseen, of, 1); due {
		m.log.Warn("programs ended before it was known which files they use; their files are traced once they are found",
			"owner", of.Name, "owner_class", of.Class, "count", count)
	}
}

// holder opens executed programs as soon as they are reported, whatever else goes on.
type holder struct {
	inbox    *inbox
	helpers  *host.Helpers
	locator  *locator
	misses   *misses
	executed chan Executed
	stop     chan struct{}
	done     chan struct{}
}

func newHolder(b *inbox, s *search) *holder {
	h := &holder{
		inbox: b, helpers: s.helpers, locator: s.turns.locator, misses: s.misses, executed: make(chan Executed, maxExecuted),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	go h.run()
	return h
}

// close ends the holder.
func (h *holder) close() {
	close(h.stop)
	<-h.done
}

func (h *holder) run() {
	defer close(h.done)
	for {
		var e Executed
		select {
		case <-h.stop:
			return
		case e = <-h.executed:
		}
		h.hold(e)
	}
}

// hold holds one program and notes it, if its files are looked for.
func (h *holder) hold(e Executed) {
	pid := e.Process
	if !h.inbox.searching.Load() {
		h.inbox.add(pid)
		return
	}
	cgroup, err := pid.CgroupPath()
	if err != nil {
		h.miss(e)
		return
	}
	user, err := pid.User()
	if err != nil {
		h.miss(e)
		return
	}
	owner, _ := h.locator.locate(user, cgroup)
	var p *program
	answered := h.helpers.Ask(&host.Question{
		Subject: host.Subject{Process: pid, Owner: owner},
		Urgent:  true,
		Ask:     func() { p, err = hold(pid, cgroup) },
		Answered: func() {
			switch {
			case err != nil:
				h.miss(e)
			case !h.inbox.addProgram(p):
				p.close()
			}
		},
	})
	if answered == 0 {
		h.inbox.add(pid)
	}
}

// miss notes a program that had ended before it could be looked at.
func (h *holder) miss(e Executed) {
	name, class := h.locator.locateNumber(e.User, e.Cgroup)
	h.misses.note(limits.Owner{Name: name, Class: class})
}

// resolution identifies what the files of a program depend on.
type resolution struct {
	program host.Inode
	changed int64
	root    host.Inode
	environ uint64 // hash of what the environment adds
}

// resolver finds the files of programs before they are mapped.
type resolver struct {
	search   *search
	caches   *loader.Caches
	resolved map[resolution]time.Time
}

func newResolver(s *search) *resolver {
	return &resolver{s, loader.NewCaches(), make(map[resolution]time.Time)}
}

// resolve looks at the files that a program will map. p is its process, which may have ended.
func (r *resolver) resolve(p *process, exe *program, now time.Time) {
	r.search.urgent = true
	defer func() { r.search.urgent = false }()
	rules := r.search.rules
	if rules.ignores(exe.path, exe.cgroup) || !rules.Enabled {
		exe.close()
		return
	}
	var key resolution
	var files []loader.Needed
	fresh := func(key resolution) bool { return now.Sub(r.resolved[key]) < resolvedFor }
	asked := r.search.askProcess(p, func(step func()) {
		key, files = exe.resolve(r.caches, fresh, step)
	}, func() {
		defer exe.close()
		if len(r.resolved) >= maxResolved {
			clear(r.resolved)
		}
		r.resolved[key] = now
		r.look(p, exe, files)
	})
	if !asked {
		exe.close()
		if p.gone {
			r.search.misses.note(p.owner.inLimits())
		}
	}
}

// look looks at those of the files that are not known.
func (r *resolver) look(p *process, exe *program, files []loader.Needed) {
	s, mounts := r.search, host.NewMountKinds()
	root := host.Root{Path: host.DescriptorPath(exe.root), Base: exe.base}
	var questions []*host.Question
	for _, f := range files {
		status, err := host.CachedStatus(host.DescriptorPath(f.FD))
		if err != nil || !s.rules.examines(f.Path) {
			unix.Close(f.FD)
			continue
		}
		if _, known := s.catalogue.recall(status.Inode, status.Changed, &p.finder); known {
			unix.Close(f.FD)
			continue
		}
		at := &sighting{
			task: p.pid, path: exe.base + f.Path, root: root, hostRoot: s.view.root, namespace: exe.namespace,
			cgroup: exe.cgroup, fd: f.FD, id: host.MapID{Device: status.Inode.Device},
		}
		questions = append(questions, s.read(p, at, mounts))
	}
	s.helpers.Ask(questions...)
}

// resolve returns the files that the program will map, itself included, and what they depend on. If that is fresh, it
// returns no files.
func (p *program) resolve(caches *loader.Caches, fresh func(resolution) bool, step func()) (resolution, []loader.Needed) {
	key := resolution{program: p.inode, changed: p.changed}
	if status, err := host.CachedStatus(host.DescriptorPath(p.root)); err == nil {
		key.root = status.Inode
	}
	hash := fnv.New64a()
	for _, name := range []string{libraryPath, preload} {
		_, _ = hash.Write([]byte(p.environ[name] + "\x00"))
	}
	key.environ = hash.Sum64()
	if fresh(key) {
		return key, nil
	}
	readable, _, err := host.OpenRegular(p.file, p.pid, host.NewMountKinds())
	if err != nil {
		return key, nil
	}
	defer unix.Close(readable)
	separator := func(chars string) func(rune) bool {
		return func(r rune) bool { return bytes.ContainsRune([]byte(chars), r) }
	}
	files := loader.Resolve(loader.Program{
		Root: p.root, Path: p.path, File: host.Reader(readable), Viewer: p.pid, Caches: caches,
		LibraryPath: strings.FieldsFunc(p.environ[libraryPath], separator(":;")),
		Preload:     strings.FieldsFunc(p.environ[preload], separator(": ")),
	}, step)
	if fd, err := unix.FcntlInt(uintptr(p.file), unix.F_DUPFD_CLOEXEC, 0); err == nil {
		files = append(files, loader.Needed{Path: p.path, FD: fd})
	}
	return key, files
}
