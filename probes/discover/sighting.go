// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

// sighting is a way to reach a file: through a mapping of a process, or by a path on the host's disk. Its methods may
// block, so helpers run them. find and judge depend on the process that the path belongs to, read depends on the file
// system that holds the file.
type sighting struct {
	task host.Process // process or thread that maps the file; 0 for a path on the host's disk
	link string       // path in /proc that leads to the file; "" if there is only path
	path string       // as the kernel shows it
	id   host.MapID   // identifies the mapped file; zero for a path on the host's disk

	root      host.Root // root folder within which path is resolved
	hostRoot  host.Root
	namespace uint64 // mount namespace of the process; 0 for the host's disk
	cgroup    string
	copied    bool // the process executes a copy of the file's code
	awaited   bool // the file is expected to have probes once nobody has it open for writing

	fd int // O_PATH descriptor that find has returned
}

const (
	// maxTick is longer than the time between two ticks of any kernel (10 ms). Change times are multiples of a tick.
	maxTick = 20 * time.Millisecond
	// undated replaces the change time in a finding that may become wrong while the file's change time stays the same. No
	// file has this change time, so the file is examined again each time it is seen.
	undated = -1
)

// find returns an O_PATH descriptor of the file, without opening the file itself.
func (s *sighting) find() (int, error) {
	return host.Mapped{ID: s.id, Path: s.path, Link: s.link}.Find(s.root)
}

// read opens and reads the file behind an O_PATH descriptor, which it closes.
func (s *sighting) read(fd int, mounts *host.MountKinds) (f finding) {
	readable, st, err := host.OpenRegular(fd, s.task, mounts)
	unix.Close(fd)
	if errors.Is(err, os.ErrPermission) {
		return s.unread(&st, untraced.Unreadable, err)
	} else if err != nil {
		return finding{err: err}
	}
	f.inode, f.changed = host.Inode{Device: st.Dev, Number: st.Ino}, st.Ctim.Nano()
	fresh := time.Since(time.Unix(st.Ctim.Unix())) < maxTick
	file, err := probes.Read(host.Reader(readable), st.Size, s.root.Within(s.path))
	if err != nil && fresh {
		f.changed = undated
	}
	f.written = (err == nil || s.awaited) && isBeingWritten(readable, &st)
	if file == nil && !f.written && !errors.Is(err, probes.ErrUnsupported) {
		unix.Close(readable)
		f.reason = err
		return f
	}
	e := &entry{
		File: File{
			Path: s.root.Within(s.path), Cgroup: s.cgroup, Probes: file, Distrust: notJudged, Fresh: fresh,
		},
		status: st, namespace: s.namespace, base: s.root.Base,
	}
	if file != nil {
		e.sites, e.buildID, e.soname, e.problems = len(file.Sites), file.BuildID, file.Soname, file.Problems
	}
	if err == nil {
		err = file.CheckNative()
	}
	if f.written {
		e.refuse(untraced.Written, errWritten)
	} else if err != nil {
		e.refuse(reasonOf(err), err)
	}
	at := host.Underlying(readable, &st, s.id)
	e.Key = Key{Device: at.Device, Inode: at.Number, Changed: st.Ctim.Nano()}
	e.open = os.NewFile(uintptr(readable), e.Path)
	f.entry = e
	return f
}

// isBeingWritten reports whether a file's content may have changed since it had the status before, or may be about to
// change.
func isBeingWritten(fd int, before *unix.Stat_t) bool {
	var now unix.Stat_t
	return host.OpenForWriting(fd) || unix.Fstat(fd, &now) == nil && now.Ctim != before.Ctim
}

// unread returns the finding for a file with status st that cannot be read. The file is examined again each time it is
// seen, because it may become readable without a new change time.
func (s *sighting) unread(st *unix.Stat_t, reason untraced.Reason, err error) finding {
	inode := host.Inode{Device: st.Dev, Number: st.Ino}
	e := &entry{
		File: File{
			Key: Key{Device: inode.Device, Inode: inode.Number}, Path: s.root.Within(s.path), Cgroup: s.cgroup, Distrust: notJudged,
		},
		status: *st, namespace: s.namespace, base: s.root.Base, unread: true,
	}
	e.refuse(reason, err)
	return finding{inode: inode, changed: undated, entry: e}
}

// unreadMapped is like unread, for a mapped file whose status is unknown too.
func (s *sighting) unreadMapped(reason untraced.Reason, err error) finding {
	f := s.unread(&unix.Stat_t{Dev: s.id.Device, Ino: s.id.Inode}, reason, err)
	f.entry.status = unix.Stat_t{} // no path is known to lead to the file
	return f
}

// errDenied is the reason for skipping a file that the rules exclude.
var errDenied = errors.New("denied by discovery.deny")

// errWritten is the reason for skipping a file that is open for writing: its probes may move at any moment.
var errWritten = errors.New("open for writing; it is read again once it is not")

// errCopied is the reason for skipping a file if a process executes a copy of the file's code in anonymous memory.
var errCopied = errors.New("a program runs a copy of its code, where a breakpoint kills it")

// notJudged is the reason for distrusting a file whose path cannot be resolved in time.
const notJudged = "its path cannot be resolved"

// verdict is the result of judge: the path of a file, and whether only root can change the file there.
type verdict struct {
	path, distrust string
	namespaced     bool
}

// judge finds the current path of a file that read has opened, and who can change the file at that path.
func (s *sighting) judge(fd int) (v verdict) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return verdict{distrust: err.Error()}
	}
	where, deleted, err := s.root.PathOf(fd, &st)
	if err != nil {
		return verdict{distrust: err.Error()}
	}
	v.path = s.root.Within(where)
	v.distrust, v.namespaced = host.Distrust(s.hostRoot, s.task, s.root, &st, where, deleted)
	return v
}

// apply adds a verdict to the entry.
func (e *entry) apply(v verdict) {
	if v.path != "" {
		e.Path = v.path
	}
	e.Distrust, e.Namespaced = v.distrust, v.namespaced
	e.Trusted = e.Distrust == ""
}

// look finds, reads and judges a file on the host's disk.
func (s *sighting) look(mounts *host.MountKinds) finding {
	fd, err := s.find()
	if err != nil {
		return finding{err: err}
	}
	return s.readAndJudge(fd, mounts)
}

// readAndJudge calls read and then judge. It is for callers that ask one question for both.
func (s *sighting) readAndJudge(fd int, mounts *host.MountKinds) finding {
	f := s.read(fd, mounts)
	if f.entry != nil && !f.entry.unread {
		f.entry.apply(s.judge(int(f.entry.open.Fd())))
	}
	return f
}

// reasonOf returns the category of an error because of which the probes of a file cannot be used.
func reasonOf(err error) untraced.Reason {
	if errors.Is(err, probes.ErrUnsupported) {
		return untraced.Unsupported
	}
	return untraced.BadNotes
}
