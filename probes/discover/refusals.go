// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"log/slog"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

const (
	maxWarned = 16   // warnings about refused files of one owner
	maxLogged = 4096 // log lines about refused files that are remembered
)

// refusal identifies a log line about a refused file.
type refusal struct {
	inode  host.Inode
	reason untraced.Reason
}

// refusals remembers what was logged about files that are not traced, and which files have code that a program copied.
type refusals struct {
	log    *slog.Logger
	logged map[refusal]struct{}
	warned map[string]int   // number of warnings by owner
	copied map[Key]struct{} // files of which a program executes a copy; they are not attached until they change
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log, make(map[refusal]struct{}), make(map[string]int), make(map[Key]struct{})}
}

// note logs, once, that a file is not traced. Files over a limit, and files that the rules name, are logged elsewhere.
// After maxWarned warnings about files of one owner, further lines have level debug.
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

// noteCopy records that a program executes a copy of a file's code.
func (r *refusals) noteCopy(k Key) {
	if len(r.copied) >= maxLogged {
		clear(r.copied)
	}
	r.copied[k] = struct{}{}
}

// isCopied reports whether a program has executed a copy of a file's code since the file last changed.
func (r *refusals) isCopied(k Key) bool {
	_, copied := r.copied[k]
	return copied
}
