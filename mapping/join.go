// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"slices"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// A library that is called again for a handshake that could not finish announces the handshake anew each time. Where
// its entry point tells which session it was called for, the pieces of a session are joined exactly. Elsewhere a piece
// is joined, once it is over, to the oldest handshake of its thread and context id that lacks all it brings.

// how says how the pieces of a handshake were joined.
type how string

const (
	joinedExactly  how = "exact"
	joinedInferred how = "inferred"
)

// join is what a tree knows of the pieces it was joined of.
type join struct {
	session uint64 // of the library; 0 if not told
	pieces  int    // besides the first
	how     how
	has     part // what lacking found it to have; only of trees that sessions do not tell
}

// part is something that a handshake has once.
type part uint8

const (
	partOffer   part = 1 << iota // key shares that no secret was made of
	partVersion                  // the negotiated version
	partSecret                   // the negotiated key exchange
	partProof                    // a signature made or verified
)

// maxPieces bounds the unfinished handshakes of one thread and id that wait for further pieces.
const maxPieces = 64

// session notes which session the thread works on, and that a session is over.
func (m *Mapper) session(t *thread, ev *event.Event) {
	if ev.Kind == event.SessionEnter {
		t.session = ev.Context
		return
	}
	if open, ok := t.proc.sessions[ev.Context]; ok {
		m.finish(open, endClosed)
	}
}

// named is called when a context was given its name. A handshake takes up the session that its library was entered
// with: it is that session's first piece, or a further one of the handshake that is open, whose root is returned.
func (m *Mapper) named(n *node) *node {
	t := n.thread
	if t.session == 0 || !n.schema.handshake() || n.child != nil {
		return n
	}
	session := t.session
	t.session = 0
	if n.parent != nil {
		m.uproot(n) // a stack that an error left standing names a parent that has nothing to do with it
	}
	first, ok := t.proc.sessions[session]
	if !ok {
		n.tree.join = join{session: session, how: joinedExactly}
		t.proc.sessions[session] = n.tree
		return n
	}
	return m.merge(first, n.tree, joinedExactly)
}

// uproot makes a tree of a context without children that was opened below another one, now that its name came. The
// event that brought it goes with it.
func (m *Mapper) uproot(n *node) {
	old := n.tree
	i := slices.Index(old.nodes, n)
	old.nodes = slices.Delete(old.nodes, i, i+1)
	old.events--
	if n.parent.child == n {
		n.parent.child = nil
	}
	n.parent, n.superseded = nil, false
	m.plant(n, parentNone)
	n.tree.events, n.tree.last = 1, old.last
}

// merge moves what a piece has into the handshake it belongs to and returns the root that stands for both.
func (m *Mapper) merge(first, piece *tree, by how) *node {
	root, gone := first.root(), piece.root()
	root.child.supersede()
	for _, d := range gone.data {
		m.put(root, d)
	}
	for _, c := range piece.nodes[1:] {
		c.tree = first
		if c.parent == gone {
			c.parent = root
		}
	}
	if gone.child != nil {
		root.child = gone.child
	}
	first.nodes = append(first.nodes, piece.nodes[1:]...)
	first.events += piece.events
	first.last = max(first.last, piece.last)
	first.join.pieces++
	first.join.has |= piece.join.has
	first.join.how = by
	root.last = max(root.last, gone.last)
	root.superseded = false
	root.incomplete = root.incomplete || gone.incomplete
	m.trees.MoveToBack(first.age)

	// The id now means the handshake's root, also where its pieces come from another thread.
	if gone.thread.open[gone.ctx] == gone {
		if root.thread.open[root.ctx] == root {
			delete(root.thread.open, root.ctx)
		}
		root.ctx, root.thread = gone.ctx, gone.thread
		root.thread.open[root.ctx] = root
	}
	if gone.thread.latest.n == gone {
		gone.thread.latest = root.ref()
	}
	m.contexts--
	m.bytes -= gone.size()
	m.recycle(gone)
	m.drop(piece)
	return root
}

// superseded is called when a root's id is opened again as a root. A handshake that its session may call for again,
// or that may get further pieces, stays open; anything else is finished.
func (m *Mapper) superseded(t *tree) {
	root := t.root()
	switch {
	case t.join.session != 0, t.waits():
	case root.class() == classTLSHandshake && root.parentage == parentNone && !root.self:
		m.pieceOver(t)
	default:
		m.finish(t, endSuperseded)
	}
}

// pieceOver joins a piece to the oldest handshake that lacks all it brings, or keeps it as the start of another one.
func (m *Mapper) pieceOver(piece *tree) {
	if first := m.lacking(piece); first != nil {
		m.merge(first, piece, joinedInferred)
		return
	}
	root := piece.root()
	waiting := append(root.thread.pieces[root.ctx], piece)
	root.thread.pieces[root.ctx] = waiting
	if len(waiting) > maxPieces {
		m.finish(waiting[0], endSuperseded)
	}
}

// waits reports whether the tree is a handshake that waits for further pieces.
func (t *tree) waits() bool {
	root := t.root()
	return slices.Contains(root.thread.pieces[root.ctx], t)
}

// joinLast joins a piece that nothing came after, or the handshake's piece that came last, to the handshake it belongs
// to, and reports whether it did: t is then another tree than it was, or gone.
func (m *Mapper) joinLast(t *tree) bool {
	root := t.root()
	newest := root.thread.open[root.ctx]
	if newest == nil || len(root.thread.pieces[root.ctx]) == 0 {
		return false
	}
	piece := newest.tree
	if piece.root() != newest || piece.join.session != 0 || newest.self || piece.waits() {
		return false
	}
	first := m.lacking(piece)
	if first == nil || first != t && piece != t {
		return false
	}
	m.merge(first, piece, joinedInferred)
	return true
}

// lacking returns the oldest waiting handshake that a piece can belong to, nil if there is none. A piece that brings
// nothing is the end of one that got no piece yet.
func (m *Mapper) lacking(piece *tree) *tree {
	root := piece.root()
	brings := piece.parts()
	piece.join.has = brings
	for _, w := range root.thread.pieces[root.ctx] {
		lacks := w.join.has&brings == 0 && (w.join.has != 0 || brings&partOffer == 0)
		if w == piece || !lacks || brings == 0 && w.join.pieces > 0 {
			continue
		}
		if w.root().role() == root.role() {
			return w
		}
	}
	return nil
}

// parts returns what a handshake has so far.
func (t *tree) parts() part {
	var p part
	for _, n := range t.nodes {
		switch n.class() {
		case classTLSHandshake:
			if n.get(keyTLSProtocolVersion) != nil {
				p |= partVersion
			}
		case classGenerate:
			if n.within(classTLSKeyExchange) != nil {
				p |= partOffer
			}
		case classAgreement:
			p |= partSecret
		case classSignature, classTLSSignature:
			p |= partProof
		default:
		}
	}
	return p
}

// leavePieces forgets that a tree waits for pieces.
func (t *tree) leavePieces() {
	root := t.root()
	waiting := root.thread.pieces[root.ctx]
	if i := slices.Index(waiting, t); i >= 0 {
		waiting = slices.Delete(waiting, i, i+1)
		if len(waiting) == 0 {
			delete(root.thread.pieces, root.ctx)
		} else {
			root.thread.pieces[root.ctx] = waiting
		}
	}
	if s := t.thread.proc.sessions; t.join.session != 0 && s[t.join.session] == t {
		delete(s, t.join.session)
	}
}
