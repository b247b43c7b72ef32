// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// Link names the root of another tree that may be the same handshake.
type Link struct {
	TraceID trace.TraceID
	SpanID  trace.SpanID
}

// IsValid reports whether there is a link.
func (l Link) IsValid() bool { return l.TraceID.IsValid() }

// doubt relates a library's tree to one from package wire when it is uncertain whether both are the same handshake.
// Both trees stay separate, and each links to the other.
type doubt struct {
	open  *tree // the other tree, while it is open
	ended Link  // link to the other tree, once it has ended
}

// maxExamined bounds how many contexts of a thread isAmbiguous examines. With more, it assumes that there is another
// handshake.
const maxExamined = 256

// isOpenHandshake reports whether the tree is a library's TLS handshake in the given role that may be about to send or
// answer the hello that package wire just reported.
func (tr *tree) isOpenHandshake(role string) bool {
	root := tr.root()
	if root.class() != schema.ClassTLSHandshake || root.file == event.Wire || tr.partner != nil || tr.wire != shape.JoinNone ||
		shape.Role(root.name, root.data) != role {
		return false
	}
	// A client that knows the version has received the server's hello. A hello that it sends now opens another connection.
	return role != "client" || shape.Find(root.data, schema.KeyTLSProtocolVersion) == nil
}

// isAmbiguous reports whether a thread has open handshakes in the role besides tr. A library that reports no session
// may be working on any of them, so it is not certain which of them package wire reports.
func (th *thread) isAmbiguous(tr *tree, role string) bool {
	if tr.doubt != (doubt{}) {
		return true
	}
	n := 0
	for _, c := range th.open {
		for ; c != nil; c = c.sameID {
			if n++; n > maxExamined || c.tree != tr && c.tree.isOpenHandshake(role) {
				return true
			}
		}
	}
	for _, waiting := range th.waiting {
		for _, other := range waiting {
			if n++; n > maxExamined || other != tr && other.isOpenHandshake(role) {
				return true
			}
		}
	}
	return false
}

// relateLate links a library's new handshake c to the handshake that package wire reports on the same thread, unless
// that has a partner or a link already. Both can be the same handshake if the library's probes were attached in the
// middle of it.
func relateLate(c *context) {
	if c.file == event.Wire || c.parent != nil || c.class() != schema.ClassTLSHandshake {
		return
	}
	onWire, ok := c.thread.process.threads[c.thread.id|wireThread]
	if !ok {
		return
	}
	seen := onWire.newest.get()
	if seen == nil || seen.tree.partner != nil || seen.tree.doubt != (doubt{}) {
		return
	}
	if root := seen.tree.root(); root.class() == schema.ClassTLSHandshake && shape.Role(root.name, root.data) == shape.Role(c.name, c.data) {
		relate(c.tree, seen.tree)
	}
}

// relate makes two trees link to each other. A tree that has a link already keeps it.
func relate(a, b *tree) {
	if a.doubt == (doubt{}) {
		a.doubt.ended = b.link()
	}
	if b.doubt == (doubt{}) {
		b.doubt.ended = a.link()
	}
	if a.doubt.ended == b.link() && b.doubt.ended == a.link() {
		a.doubt, b.doubt = doubt{open: b}, doubt{open: a}
	}
}

// link returns a link to the tree.
func (tr *tree) link() Link { return Link{tr.traceID, tr.root().spanID} }

// settleDoubt returns the tree's link when the tree ends. Afterwards, neither tree points to the other's memory.
func (tr *tree) settleDoubt() Link {
	if other := tr.doubt.open; other != nil {
		tr.doubt = doubt{ended: other.link()}
		other.doubt = doubt{ended: tr.link()}
	}
	return tr.doubt.ended
}

// moveDoubt moves the link of a piece to tr, the handshake that the piece is merged into. If tr has a link already, tr
// keeps it, but the tree that the piece linked to then links to tr.
func (tr *tree) moveDoubt(from *tree) {
	d := from.doubt
	from.doubt = doubt{}
	switch {
	case d == (doubt{}):
	case tr.doubt != (doubt{}):
		if d.open != nil {
			d.open.doubt = doubt{ended: tr.link()}
		}
	default:
		tr.doubt = d
		if d.open != nil {
			d.open.doubt.open = tr
		}
	}
}
