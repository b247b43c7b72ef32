// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bytes"
	"hash/fnv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/discover/loader"
	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	resolvedFor = time.Minute // time for which the files of a program are not resolved again
	maxResolved = 4096
)

// resolution identifies what the files of a program depend on.
type resolution struct {
	program host.Inode
	changed int64
	root    host.Inode
	environ uint64 // hash of the paths that the environment adds
}

// resolver finds the files of programs before they are mapped.
type resolver struct {
	search   *search
	caches   *loader.Caches
	resolved map[resolution]time.Time // when each resolution was last made
}

func newResolver(s *search) *resolver {
	return &resolver{s, loader.NewCaches(), make(map[resolution]time.Time)}
}

// resolve examines the files that a program will map, and closes the program. p is the process that has executed the
// program; the process may have ended.
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

// look examines those of the files that the catalogue does not know yet.
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

// resolve returns the files that the program will map, including itself, and the resolution that these depend on. If
// fresh reports that this resolution was made recently, it returns no files.
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
