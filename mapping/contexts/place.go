// SPDX-License-Identifier: Apache-2.0

package contexts

import "github.com/crau-otel/crau-otel/mapping/schema"

// isStale reports whether the parent that a context names, nil if it is not open, cannot be the true one: the thread
// works on the handshake of a session, and the parent is not part of it. GnuTLS leaves contexts on its stack when it
// fails, and even when it decrypts an RSA key exchange, so that it later names parents and contexts that ended long ago
// or never existed.
func (th *thread) isStale(parent *context) bool {
	newest := th.newest.get()
	if newest == nil || newest.thread != th || newest.tree.pieces.session.id == 0 {
		return false // nor if another thread continues it
	}
	return parent == nil || parent.tree != newest.tree && parent.tree.pieces.session.id != 0
}

// nearestHolder returns the nearest context, from c upwards, that may hold one of the description; nil if none may.
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

// selfParent finds the parent of a context that was opened on an id with itself as parent, innermost being the newest
// open context of that id. It is the nearest context of the id that may hold it, else the parent that the id was
// explicitly linked to; nil makes it a root.
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

// keyOwner finds the context that a key emitted for an id belongs to: the nearest one of the id and file whose schema
// lists the key, else the innermost.
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
