// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"slices"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// If a handshake cannot finish in one call, the library is called again, and opens a new context for the handshake each
// time. If the library's entry point reports the session, these pieces are joined exactly. Otherwise a piece is joined,
// once it has ended, to the oldest handshake with the same thread and context id that lacks everything the piece adds.

// pieces describes how a tree was joined from pieces.
type pieces struct {
	session key // session that the library reported; its id is 0 if there is none
	joined  int // number of pieces after the first
	method  shape.JoinMethod
	has     part // what the handshake has so far; only maintained if it has no session
}

// part is a bit set of steps that a handshake takes only once.
type part uint8

const (
	partOffer   part = 1 << iota // key shares were generated
	partVersion                  // the version is known
	partSecret                   // a shared secret was computed
	partProof                    // a signature was made or verified
)

// MaxWaiting bounds the handshakes with the same thread and context id that wait for further pieces.
const MaxWaiting = 64

// joinSession assigns the context c, whose name just arrived, to the session that its library was called for, if c is a
// handshake. If the session has an open handshake, c is merged into that as a further piece, and its root is returned.
// Otherwise c is the first piece and is returned.
func (ts *openTrees) joinSession(c *context) *context {
	th := c.thread
	if !c.name.Context.IsHandshake() || c.holds {
		return c
	}
	if th.session.id == 0 || th.session.file != c.file {
		relateLate(c)
		return c
	}
	session := th.session
	th.session = key{}
	if c.parent != nil {
		ts.uproot(c) // an error left the parent on the library's stack: it is unrelated
	}
	first, ok := th.process.sessions[session]
	if !ok {
		c.tree.pieces = pieces{session: session, method: shape.JoinExact}
		th.process.sessions[session] = c.tree
		relateLate(c)
		return c
	}
	return ts.merge(first, c.tree, shape.JoinExact)
}

// uproot makes c, a child context without children, the root of a new tree. The current event, which named c, is then
// counted in the new tree instead of the old one.
func (ts *openTrees) uproot(c *context) {
	old := c.tree
	i := slices.Index(old.contexts, c)
	old.contexts = slices.Delete(old.contexts, i, i+1)
	old.events--
	if c.parent.newest == c {
		c.parent.newest = nil
	}
	c.parent, c.superseded = nil, false
	ts.plant(c, shape.ParentCertain)
	c.tree.events, c.tree.last = 1, old.last
}

// merge moves the contents of piece into the handshake first, removes piece, and returns the root of first.
func (ts *openTrees) merge(first, piece *tree, method shape.JoinMethod) *context {
	root, merged := first.root(), piece.root()
	root.newest.supersede()
	for _, d := range merged.data {
		ts.put(root, d)
	}
	for _, c := range piece.contexts[1:] {
		c.tree = first
		if c.parent == merged {
			c.parent = root
		}
	}
	if merged.newest != nil {
		root.newest = merged.newest
	}
	first.contexts = append(first.contexts, piece.contexts[1:]...)
	first.events += piece.events
	first.last = max(first.last, piece.last)
	first.losses = min(first.losses, piece.losses)
	first.pieces.joined++
	first.pieces.has |= piece.pieces.has
	first.pieces.method = method
	if first.partner == nil && piece.partner != nil {
		first.partner, piece.partner.partner = piece.partner, first
		piece.partner = nil
	}
	first.moveDoubt(piece)
	root.last = max(root.last, merged.last)
	root.superseded, root.holds = false, root.holds || merged.holds
	root.incomplete = root.incomplete || merged.incomplete
	ts.touch(first)

	// The id now refers to the handshake's root, even if its pieces come from different threads.
	if merged.thread.ownContext(merged.id, merged.file) == merged {
		merged.thread.removeContext(merged)
		root.thread.removeContext(root)
		root.id, root.thread = merged.id, merged.thread
		root.thread.setContext(root)
	}
	if merged.thread.newest.context == merged {
		merged.thread.newest = root.ref()
	}
	first.owner.use(-1, -merged.size())
	ts.pool.putContext(merged)
	ts.remove(piece)
	return root
}

// isWaiting reports whether the tree is a handshake without a session that waits for further pieces.
func (tr *tree) isWaiting() bool {
	root := tr.root()
	return slices.Contains(root.thread.waiting[root.key()], tr)
}

// joinLast joins the newest piece of tr's thread and context id, which no later piece will supersede, to its handshake.
// It returns false and does nothing if tr is neither that piece nor that handshake. A piece with events at or after
// boot time busy may add more. The handshake is then only moved to the back of its list, to wait for the piece.
func (ts *openTrees) joinLast(tr *tree, busy uint64) bool {
	root := tr.root()
	newest := root.thread.ownContext(root.id, root.file)
	if newest == nil || len(root.thread.waiting[root.key()]) == 0 {
		return false
	}
	piece := newest.tree
	if piece.root() != newest || piece.pieces.session.id != 0 || newest.self || piece.isWaiting() {
		return false
	}
	first := ts.lacking(piece)
	if first == nil || first != tr && piece != tr {
		return false
	}
	if piece.last >= busy {
		ts.listOf(first).moveToBack(first)
	} else {
		ts.merge(first, piece, shape.JoinInferred)
	}
	return true
}

// lacking returns the oldest waiting handshake of the same role that lacks everything the piece adds, or nil. An empty
// piece can only complete a handshake of a single piece. A piece that generates key shares cannot continue an empty
// one.
func (ts *openTrees) lacking(piece *tree) *tree {
	root := piece.root()
	brings := piece.parts()
	piece.pieces.has = brings
	for _, tr := range root.thread.waiting[root.key()] {
		lacks := tr.pieces.has&brings == 0 && (tr.pieces.has != 0 || brings&partOffer == 0)
		if tr == piece || !lacks || brings == 0 && tr.pieces.joined > 0 {
			continue
		}
		if first := tr.root(); shape.Role(first.name, first.data) == shape.Role(root.name, root.data) {
			return tr
		}
	}
	return nil
}

// parts returns the steps that a handshake has taken so far.
func (tr *tree) parts() part {
	var p part
	for _, c := range tr.contexts {
		switch c.class() {
		case schema.ClassTLSHandshake:
			if shape.Find(c.data, schema.KeyTLSProtocolVersion) != nil {
				p |= partVersion
			}
		case schema.ClassGenerate:
			if c.within(schema.ClassTLSKeyExchange) != nil {
				p |= partOffer
			}
		case schema.ClassAgreement:
			p |= partSecret
		case schema.ClassSignature, schema.ClassTLSSignature:
			p |= partProof
		default:
		}
	}
	return p
}

// stopWaiting removes a tree from thread.waiting and Process.sessions, so that it gets no further pieces.
func (tr *tree) stopWaiting() {
	root := tr.root()
	waiting := root.thread.waiting[root.key()]
	if i := slices.Index(waiting, tr); i >= 0 {
		waiting = slices.Delete(waiting, i, i+1)
		if len(waiting) == 0 {
			delete(root.thread.waiting, root.key())
		} else {
			root.thread.waiting[root.key()] = waiting
		}
	}
	if s := tr.thread.process.sessions; tr.pieces.session.id != 0 && s[tr.pieces.session] == tr {
		delete(s, tr.pieces.session)
	}
}
