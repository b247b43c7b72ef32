// SPDX-License-Identifier: Apache-2.0

// Package contexts decides which event belongs to which open context, and when a context's end is to be inferred.
//
// A [Tracker] is fed decoded events in order. It keeps, by process and thread, the trees of contexts that are open, and
// hands each finished tree to [Config.Finished] as a [Finished]: its [shape.Shape] for package meaning, and the ids and
// times that shapes leave out. What the names and values mean is of no interest here, except where the schema decides
// about nesting.
//
// An event passes through the files in this order:
//
//	tracker.go   what kind of event it is
//	processes.go which process and thread it is from
//	open.go      new_context: a new tree, a child, or a context that is open already
//	place.go     where a context belongs whose parent is missing, stale, or the context itself
//	pieces.go    handshakes that libraries announce in several pieces: which one a piece belongs to
//	data.go      which context each pair belongs to
//	finish.go    ends: idle, superseded, process exit, eviction; trees that grow too large shed what is over
//
// tree.go, process.go and thread.go have the state that these share, intern.go the copies of keys and texts.
//
// # Identity of contexts
//
// A context id is only unique on its thread and while it is open: GnuTLS uses return addresses, so siblings and later
// handshakes have the same id. A new_context with an id that is open therefore opens another context of that id. The
// older one is superseded: it receives no further data, unless something opens below it again.
//
// # Limits
//
// Contexts, bytes of data, contexts of one tree, pairs of one context and processes are bounded. A tree that is ended
// by a limit says so, and is counted. A tree that reaches its own limit first sheds the contexts that are superseded:
// they are handed up as a part, and the tree stays open.
package contexts
