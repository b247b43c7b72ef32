// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
)

const (
	maxRewrites = 256                   // files that may wait to be read again; each uses a descriptor
	maxRewait   = time.Minute           // longest time between two readings of a file that stays open for writing
	minRewait   = 50 * time.Millisecond // shortest time between two readings of a file
)

// rewrite is a file that will be read again, because it was overwritten or is open for writing.
type rewrite struct {
	entry *entry        // result of the previous reading
	owner *owner        // owner whose share of maxRewrites the file uses
	fd    int           // descriptor of the file
	next  time.Time     // when to read the file
	wait  time.Duration // time from the next reading to the one after it
}

// rewrites manages the files that will be read again. It learns in two ways that a file was overwritten: from a call of
// [Discoverer.Reread], or when a pass finds a new change time of a reported file.
type rewrites struct {
	search  *search
	pending map[host.Inode]*rewrite
}

func newRewrites(s *search) *rewrites {
	return &rewrites{s, make(map[host.Inode]*rewrite)}
}

func (r *rewrites) close() {
	for _, w := range r.pending {
		unix.Close(w.fd)
	}
	clear(r.pending)
}

// add schedules another reading of an entry's file, which uses the share of an owner. It does nothing if the share is
// used up.
func (r *rewrites) add(e *entry, of *owner) {
	if r.pending[e.inode()] != nil || e.open == nil {
		return
	}
	pending := 0
	for _, w := range r.pending {
		if w.owner == of {
			pending++
		}
	}
	if pending >= maxRewrites-len(r.pending) { // the rest is for other owners; a later pass finds the file
		return
	}
	fd, err := unix.FcntlInt(e.open.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return
	}
	r.pending[e.inode()] = &rewrite{entry: e, owner: of, fd: fd, wait: minRewait}
}

// overwritten reports the file of an entry as gone, and schedules another reading that treats it as new.
func (r *rewrites) overwritten(e *entry) {
	r.add(e, e.owner)
	r.search.catalogue.retire(e)
}

// check schedules another reading of reported files that have changed.
func (r *rewrites) check() {
	var questions []*host.Question
	for _, e := range r.search.catalogue.files {
		if e.refused != "" {
			continue
		}
		now, fd := new(unix.Stat_t), int(e.open.Fd())
		questions = append(questions, &host.Question{
			Subject: host.Subject{Device: e.Key.Device},
			Ask: func() {
				if unix.Fstat(fd, now) != nil {
					now.Ino = 0
				}
			},
			Answered: func() {
				if !e.retired && now.Ino != 0 && now.Ctim != e.status.Ctim {
					r.add(e, e.owner)
				}
			},
		})
	}
	r.search.helpers.Ask(questions...)
}

// due returns how long to wait until the first file must be read, and whether any file waits.
func (r *rewrites) due(now time.Time) (wait time.Duration, pending bool) {
	wait = maxRewait
	for _, w := range r.pending {
		wait = min(wait, max(0, w.next.Sub(now)))
	}
	return wait, len(r.pending) > 0
}

// hasLibrary reports whether one of Rules.Libraries has to be read again.
func (r *rewrites) hasLibrary() bool {
	for _, w := range r.pending {
		if w.entry.explicit {
			return true
		}
	}
	return false
}

// visit reads the files whose time has come.
func (r *rewrites) visit(now time.Time) {
	mounts := host.NewMountKinds()
	var questions []*host.Question
	for inode, w := range r.pending {
		if now.Before(w.next) {
			continue
		}
		root, subject, ok := r.search.rootOf(w.entry)
		if !ok { // the last process of its mount namespace has ended
			r.drop(inode)
			continue
		}
		w.next = now.Add(w.wait)
		w.wait = min(2*w.wait, maxRewait)
		questions = append(questions, r.read(inode, w, root, subject, mounts))
	}
	r.search.helpers.Ask(questions...)
}

// read returns the question for the helpers that reads a file again.
func (r *rewrites) read(inode host.Inode, w *rewrite, root host.Root, subject host.Subject, mounts *host.MountKinds) *host.Question {
	e := w.entry
	fd, dupErr := unix.FcntlInt(uintptr(w.fd), unix.F_DUPFD_CLOEXEC, 0)
	at := sighting{
		task: subject.Process, path: e.base + e.Path, root: root, hostRoot: r.search.view.root,
		namespace: e.namespace, cgroup: e.Cgroup, awaited: true,
	}
	var f finding
	return &host.Question{
		Subject: subject,
		Ask: func() {
			if f.err = dupErr; f.err != nil {
				return
			}
			f = at.readAndJudge(fd, mounts)
		},
		Skipped: func() { unix.Close(fd) },
		Answered: func() {
			if f.err == nil {
				r.search.learn(f, e.finder, e.explicit)
			}
			if f.err != nil || !f.written {
				r.drop(inode)
			}
		},
	}
}

func (r *rewrites) drop(inode host.Inode) {
	if w := r.pending[inode]; w != nil {
		unix.Close(w.fd)
		delete(r.pending, inode)
	}
}
