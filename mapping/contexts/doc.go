// SPDX-License-Identifier: Apache-2.0

// Package contexts decides which open context an event belongs to, and infers when contexts end.
//
// A [Tracker] receives decoded events in order. It keeps the trees of open contexts by process and thread, and hands
// each finished tree to [Config.Finished] as a [Finished]: its [shape.Shape] for package meaning, and the ids and times
// that a shape leaves out. The package does not interpret names and values, except where the schema decides about
// nesting.
//
// An event passes through the files in this order, and never goes back up:
//
//	tracker.go   what kind of event it is
//	processes.go which process and thread it is from
//	data.go      which context it is about, if it opens none
//	open.go      new_context: a new tree, a child, or a context that is already open
//	place.go     the place of a context whose parent is missing, stale, or the context itself
//	finish.go    ends: idle, superseded, process exit, eviction; trees that grow too large shed superseded contexts
//	pairs.go     which context each pair belongs to
//	pieces.go    handshakes that libraries announce in several pieces: which one a piece belongs to
//	wire.go      handshakes that both a library and package wire report: their two trees become one
//	doubt.go     those of which that is not certain: links between the trees
//	handup.go    what is passed on of a finished tree
//
// Below them is the state that these share. opentrees.go has the trees that are open and creates, changes and removes
// them; tree.go, treelist.go, process.go and thread.go have what these consist of. shares.go, owner.go and ranking.go
// decide who loses something over a limit; pool.go and intern.go keep memory for reuse.
//
// # Identity of contexts
//
// A context id is only unique on its thread and while it is open: GnuTLS uses return addresses, so siblings and later
// handshakes have the same id. A new_context with an id that is open therefore opens another context of that id. The
// older one is superseded: it receives no further data, unless something opens below it again.
//
// # Limits
//
// Contexts, bytes of data, contexts of one tree, pairs of one context and processes are bounded. A tree that a limit
// ends has an end reason that shows it, and is counted. A tree that reaches its own limit first sheds its superseded
// contexts: they are handed up as a part, and the tree stays open.
package contexts
