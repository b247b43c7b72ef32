// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"context"
	"log/slog"

	"github.com/crau-otel/crau-otel/probes/host"
	"github.com/crau-otel/crau-otel/probes/untraced"
)

const (
	maxWarned = 16   // refused files of one owner for which a warning is logged
	maxLogged = 4096 // refused files that are remembered as logged
)

// refusal identifies a log line about a refused file.
type refusal struct {
	inode  host.Inode
	reason untraced.Reason
}

// refusals remembers what was logged about files that are not traced.
type refusals struct {
	log    *slog.Logger
	logged map[refusal]struct{}
	warned map[string]int   // number of log lines by owner
	copied map[Key]struct{} // files whose code a program has copied and executes; they are not attached until they change
}

func newRefusals(log *slog.Logger) *refusals {
	return &refusals{log, make(map[refusal]struct{}), make(map[string]int), make(map[Key]struct{})}
}

// note logs, once, that a file is not traced. Files over a limit, and files that the rules name, are logged elsewhere.
// If an owner has very many such files, only the first ones are logged as warnings.
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

// isCopied reports whether a program has executed a copy of a file's code since the file changed.
func (r *refusals) isCopied(k Key) bool {
	_, copied := r.copied[k]
	return copied
}
