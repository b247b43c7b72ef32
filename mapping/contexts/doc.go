// SPDX-License-Identifier: Apache-2.0

// Package contexts decides which open context an event belongs to, and infers when contexts end.
//
// A [Tracker] receives decoded events in order. It keeps the trees of open contexts by process and thread, and hands
// each finished tree to [Config.Finished] as a [Finished]: its [shape.Shape] for package meaning, and the ids and times
// that a shape leaves out. The package interprets names and values only where nesting, or the joining of pieces and
// trees, depends on them.
//
// An event passes through the code of these files in this order, and never returns to an earlier one:
//
//	tracker.go   what kind of event it is
//	processes.go which process and thread it is from
//	data.go      data events: which context the pairs are for
//	open.go      new_context events: a new tree, a child, or a context that is already open
//	place.go     the place of a context whose parent is missing, stale, or the context itself
//	finish.go    ends: idle, superseded, process exit, eviction; full trees shed superseded contexts
//	pairs.go     which context each pair belongs to
//	pieces.go    handshakes that libraries report in several pieces: which handshake a piece belongs to
//	wire.go      handshakes that both a library and package wire report: joining their two trees
//	doubt.go     trees of a library and of package wire that may be the same handshake: links between them
//	handup.go    passing a finished tree to Config.Finished
//
// The state that these files share is in the others. opentrees.go has the open trees; tree.go, treelist.go, process.go
// and thread.go define what they consist of. shares.go, owner.go and ranking.go decide whose trees or processes are
// evicted at a limit. pool.go and intern.go keep memory for reuse.
//
// # Identity of contexts
//
// A context id is only unique on its thread and while it is open: GnuTLS uses return addresses, so siblings and later
// handshakes have the same id. A new_context with an id that is open therefore opens another context with that id. The
// older one is superseded: it receives no further data, unless another context opens below it.
//
// # Limits
//
// Contexts, bytes of data, contexts of one tree, pairs of one context and processes are bounded. A tree that ends
// because of a limit has end reason evicted, and is counted. A tree with too many contexts first sheds the superseded
// ones: they are passed to Config.Finished as a part, and the tree stays open.
package contexts
