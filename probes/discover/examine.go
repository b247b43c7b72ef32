// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

// find opens files that a process maps, then reads them.
func (s *search) find(p *process, part []sighting) {
	mounts := host.NewMountKinds()
	errs := make([]error, len(part))
	s.askProcess(p, func(step func()) {
		for i := range part {
			part[i].fd, errs[i] = part[i].find()
			step()
		}
	}, func() {
		var questions []*host.Question
		for i := range part {
			if errs[i] != nil {
				s.arrive(p, &part[i], finding{err: errs[i]})
				continue
			}
			questions = append(questions, s.read(p, &part[i], mounts))
		}
		s.helpers.Ask(questions...)
	})
}

// read returns the question for the helpers that reads a file found in a process.
func (s *search) read(p *process, seen *sighting, mounts *host.MountKinds) *host.Question {
	var f finding
	return &host.Question{
		Subject: host.Subject{Device: seen.id.Device},
		Urgent:  s.urgent,
		Ask:     func() { f = seen.read(seen.fd, mounts) },
		Answered: func() {
			if f.entry != nil && !f.entry.unread {
				s.judge(p, seen, &f)
			}
			s.arrive(p, seen, f)
		},
		Skipped: func() { unix.Close(seen.fd) },
	}
}

// judge determines whether a file can be trusted. If the answer does not arrive in time, the file is not trusted.
func (s *search) judge(p *process, seen *sighting, f *finding) {
	// The helper gets a duplicate, because f.entry.open may be closed before the answer arrives.
	fd, err := unix.FcntlInt(f.entry.open.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		f.entry.Distrust = err.Error()
		return
	}
	var v verdict
	answered := s.helpers.Ask(&host.Question{
		Subject: p.subject(),
		Urgent:  s.urgent,
		Ask: func() {
			defer unix.Close(fd)
			v = seen.judge(fd)
		},
		Skipped: func() { unix.Close(fd) },
	})
	if answered > 0 {
		f.entry.apply(v)
	}
}

// arrive applies the finding about a file that a process maps.
func (s *search) arrive(p *process, seen *sighting, f finding) {
	i, isMapped := p.find(seen.id)
	if errors.Is(f.err, host.ErrFUSE) && isMapped {
		f = seen.unreadMapped(untraced.FUSE, f.err)
	}
	if f.err != nil {
		switch {
		case errors.Is(f.err, host.ErrNotRegular): // such a file has no probes
		case errors.Is(f.err, unix.ENOENT) && isMapped:
			// The file was unmapped, or the mapping was moved. The next look finds it in the second case.
			p.setFiles(slices.Delete(slices.Clone(p.files), i, i+1))
		default:
			s.log.Debug("mapped file not looked at", "pid", p.pid, "error", f.err)
		}
		return
	}
	if f.entry != nil && seen.copied {
		s.catalogue.refusals.noteCopy(f.entry.Key)
	}
	if e := s.learn(f, &p.finder, false); e != nil && isMapped {
		p.files[i].set(e)
	}
}

// learn adds a finding to the catalogue. It returns the entry of the file, or nil if the file has no probes.
func (s *search) learn(f finding, by *finder, explicit bool) *entry {
	if f.written {
		s.rewrites.add(f.entry, by.owner)
	}
	if f.entry != nil && !explicit && s.rules.denies(f.entry.Path) {
		if f.entry.unread {
			f.entry.refused = "" // so that the reason is Denied: reading the file would not help
		}
		f.entry.refuse(untraced.Denied, errDenied)
	}
	e := s.catalogue.learn(f, by, explicit)
	if e != nil {
		s.processes.adopt(e, f.inode)
	}
	return e
}

// refuseCopied detaches a file because a program executes a copy of its code, and keeps it from being attached again.
func (s *search) refuseCopied(e *entry) {
	if e.retired || e.reason == untraced.Copied {
		return
	}
	s.catalogue.refusals.noteCopy(e.Key)
	s.rewrites.overwritten(e) // reads the file again, so that it stays listed
}

// rootOf returns the root folder of the entry's path, and the subject for resolving that path. It returns false if no
// process has that root folder any more.
func (s *search) rootOf(e *entry) (host.Root, host.Subject, bool) {
	if e.namespace == s.view.namespace || e.namespace == 0 {
		return s.view.root, host.Subject{Device: e.Key.Device}, true
	}
	for _, p := range s.processes.table {
		if p.namespace == e.namespace && p.root.Base == e.base {
			return p.root, p.subject(), true
		}
	}
	return host.Root{}, host.Subject{}, false
}
