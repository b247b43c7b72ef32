// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"slices"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
)

// Package wire reports the handshakes that it sees at the socket. If the library that performs a handshake has probes,
// there are two reports of the same handshake. They are matched by thread: the hello is sent on the library's thread,
// while the library's handshake is open there. The two trees are then partners. When either ends, the library's tree is
// completed with what only the wire shows, and the wire's tree is removed. If the two trees contradict each other, or
// if the wire's tree could belong to another handshake as well, both are kept and link to each other: see doubt.go.

// findPartner makes the wire's handshake c and the handshake that a library has open on the same thread partners. If
// several could be meant, it links c's tree to the most likely one.
func findPartner(c *context) {
	if c.class() != schema.ClassTLSHandshake || c.tree.partner != nil {
		return
	}
	th, ok := c.thread.process.threads[c.thread.id&^wireThread]
	if !ok {
		return
	}
	newest := th.newest.get()
	if newest == nil {
		return
	}
	tr, role := newest.tree, shape.Role(c.name, c.data)
	if !tr.isOpenHandshake(role) {
		return
	}
	// A library that reports sessions thereby identifies the handshake that it works on.
	if tr.pieces.session.id == 0 && th.isAmbiguous(tr, role) {
		relate(tr, c.tree)
		return
	}
	tr.partner, c.tree.partner = c.tree, tr
}

// complete adds to the library's tree what only the wire's tree has, and removes the wire's tree. It reports whether it
// did: if the two contradict each other, they stop being partners and link to each other instead.
func (ts *openTrees) complete(wire *tree) bool {
	library := wire.partner
	if !agree(library, wire) {
		wire.part()
		relate(library, wire)
		return false
	}
	root, seen := library.root(), wire.root()
	for _, d := range seen.data {
		if !slices.ContainsFunc(root.data, func(have shape.Datum) bool { return have.Key.Same(d.Key) && !have.Foreign }) {
			ts.put(root, d)
		}
	}
	library.wire = shape.JoinInferred
	if library.pieces.session.id != 0 {
		library.wire = shape.JoinExact
	}
	// GnuTLS reports no key exchange for TLS 1.2. The wire's key exchange is then moved to the library's tree.
	lacking := !slices.ContainsFunc(library.contexts, isKeyExchange)
	for _, c := range wire.contexts[1:] {
		if lacking && isKeyExchange(c) && c.parent == seen {
			c.tree, c.parent = library, root
			library.contexts = append(library.contexts, c)
			continue
		}
		ts.close(c)
	}
	root.last = max(root.last, seen.last)
	ts.close(seen)
	wire.contexts = wire.contexts[:0]
	th := wire.thread
	ts.remove(wire)
	th.forgetIfEmpty()
	return true
}

func isKeyExchange(c *context) bool { return c.class() == schema.ClassTLSKeyExchange }

// agree reports whether the library's tree and the wire's tree do not contradict each other.
func agree(library, wire *tree) bool {
	root, seen := library.root(), wire.root()
	for _, id := range []schema.KeyID{schema.KeyTLSProtocolVersion, schema.KeyTLSCipherSuite} {
		a, b := shape.Find(root.data, id), shape.Find(seen.data, id)
		if a != nil && b != nil && a.Word != b.Word {
			return false
		}
	}
	var reported []uint64
	for _, c := range library.contexts {
		if d := shape.Find(c.data, schema.KeyTLSGroup); d != nil && isKeyExchange(c) {
			reported = append(reported, d.Word)
		}
	}
	if d := shape.Find(seen.data, schema.KeyTLSOfferedGroups); d != nil {
		offered := shape.Codepoints(d)
		if all := uint64(2*len(offered)) == d.Word; all && slices.ContainsFunc(reported, func(group uint64) bool {
			return !slices.Contains(offered, group)
		}) {
			return false
		}
	}
	for _, c := range wire.contexts {
		if d := shape.Find(c.data, schema.KeyTLSGroup); d != nil && reported != nil && !slices.Contains(reported, d.Word) {
			return false
		}
	}
	return true
}
