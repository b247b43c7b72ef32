// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"errors"
	"log/slog"

	"github.com/crau-otel/crau-otel/probes"
	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

const (
	maxWarned = 16   // refused files of one owner that are warned about
	maxLogged = 4096 // refused files that are remembered to have been logged
)

// refusal identifies a line about a refused file.
type refusal struct {
	inode  host.Inode
	reason untraced.Reason
}

// refusals remember what was logged about files that are not traced.
type refusals struct {
	log    *slog.Logger
	logged map[refusal]struct{}
	warned map[string]int   // lines by owner
	copied map[Key]struct{} // files of which a program executes a copy; they are not attached until they change
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log, make(map[refusal]struct{}), make(map[string]int), make(map[Key]struct{})}
}

// note logs once that a file is not traced. Files over a limit have lines of their own, and so have files that the rules
// name. Of an owner with very many such files, only the first are warned about.
func (r *refusals) note(e *entry) {
	if e.reason == untraced.Limit || e.explicit && e.reason != untraced.Copied {
		return
	}
	line := refusal{e.inode(), e.reason}
	if _, again := r.logged[line]; again {
		return
	}
	if len(r.logged) >= maxLogged {
		clear(r.logged)
		clear(r.warned)
	}
	r.logged[line] = struct{}{}
	level := slog.LevelWarn
	switch {
	case e.reason == untraced.Denied:
		level = slog.LevelInfo
	case r.warned[e.owner.name] >= maxWarned:
		level = slog.LevelDebug
	default:
		r.warned[e.owner.name]++
	}
	r.log.Log(context.Background(), level, "file with probes is not traced", "file", e.Path, "cgroup", e.Cgroup,
		"owner", e.owner.name, "reason", e.reason, "error", e.refused)
}

// noteCopy notes that a program executes a copy of a file's code.
func (r *refusals) noteCopy(k Key) {
	if len(r.copied) >= maxLogged {
		clear(r.copied)
	}
	r.copied[k] = struct{}{}
}

// isCopied reports whether a program has executed a copy of a file's code since the file changed.
func (r *refusals) isCopied(k Key) bool {
	_, copied := r.copied[k]
	return copied
}

// refuseCopied has a file detached of whose code a program executes a copy, and keeps it from being attached again.
func (s *search) refuseCopied(e *entry) {
	if e.retired || e.reason == untraced.Copied {
		return
	}
	s.catalogue.refusals.noteCopy(e.Key)
	s.rewrites.overwritten(e) // it is read again to be listed
}

// refuse notes why a file that is being looked at is not to be reported.
func (e *entry) refuse(reason untraced.Reason, err error) {
	if e.refused == "" {
		e.reason, e.refused = reason, err.Error()
	}
}

// reasonOf returns why the probes of a file cannot be used.
func reasonOf(err error) untraced.Reason {
	if errors.Is(err, probes.ErrUnsupported) {
		return untraced.Unsupported
	}
	return untraced.BadNotes
}

// Refuse says that a file cannot be attached. It stays known and is not reported again until it changes.
func (d *Discoverer) Refuse(k Key, reason untraced.Reason, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e := d.search.catalogue.reported(k); e != nil {
		e.failed, e.failure = reason, err.Error()
	}
}

// untracedFiles counts the known files that are not traced, or only in part, by reason.
func (c *catalogue) untracedFiles() map[untraced.Reason]int {
	counts := make(map[untraced.Reason]int)
	for _, reason := range untraced.Reasons() {
		counts[reason.Reason] = 0
	}
	for _, e := range c.files {
		if reason, _ := e.whyUntraced(); reason != "" {
			counts[reason]++
		}
	}
	return counts
}

// whyUntraced returns why a file is not traced, or only in part; "" if it is.
func (e *entry) whyUntraced() (untraced.Reason, string) {
	switch {
	case e.refused != "":
		return e.reason, e.refused
	case e.failed != "":
		return e.failed, e.failure
	case len(e.problems) > 0:
		return untraced.BadSites, "some of its sites are skipped"
	}
	return "", ""
}
