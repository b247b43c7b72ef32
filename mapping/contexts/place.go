// SPDX-License-Identifier: Apache-2.0

package contexts

import "github.com/crau-otel/crau-otel/mapping/schema"

// isStale reports whether the parent that a new context names cannot be the true one. This is so if the thread works on
// the handshake of a session, and the parent is not part of that handshake. parent is nil if it is not open. GnuTLS
// leaves contexts on its stack when it fails, and even when it decrypts an RSA key exchange. After that, it names
// parents that ended long ago or never existed.
func (th *thread) isStale(parent *context) bool {
	newest := th.newest.get()
	if newest == nil || newest.thread != th || newest.tree.pieces.session.id == 0 {
		return false // the thread works on no session's handshake, or another thread continues that handshake
	}
	return parent == nil || parent.tree != newest.tree && parent.tree.pieces.session.id != 0
}

// nearestHolder returns the nearest context, from c upwards, that may contain a context of the given kind, or nil.
func nearestHolder(c *context, of *schema.Context) *context {
	if of.IsHandshake() {
		return nil
	}
	for ; c != nil; c = c.parent {
		if c.name.Context.MayHold(of) {
			return c
		}
	}
	return nil
}

// selfParent finds the parent of a context that named itself as its parent. innermost is the newest open context with
// that id. The result is the nearest context with the id that may contain the new one. If there is none, it is the
// parent that the outermost context with the id was linked to. nil makes the new context a root.
func selfParent(innermost *context, of *schema.Context) *context {
	c := innermost
	for c != nil {
		if c.name.Context.MayHold(of) && !of.IsHandshake() {
			return c
		}
		if c.parent == nil || c.parent.id != c.id {
			return c.parent
		}
		c = c.parent
	}
	return nil
}

// keyOwner finds the context that a key belongs to if several nested contexts share the event's id and file: the
// innermost one whose schema lists the key, else the innermost one of all.
func keyOwner(innermost *context, k *schema.Key) *context {
	if innermost.parent == nil || innermost.parent.id != innermost.id {
		return innermost
	}
	for c := innermost; c != nil && c.key() == innermost.key(); c = c.parent {
		if c.name.Context.Owns(k) {
			return c
		}
	}
	return innermost
}
