// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// context is one context of the shape together with the conclusions about it.
type context struct {
	*shape.Trait
	data      []shape.Datum
	parent    *context
	above     *context // the parent, unless c does not count for it: see place
	top       *context // the uppermost context that c counts for
	trusted   bool     // only root can write the file that opened the context
	judgement judgement
	reserved  int // data whose attributes have reserved names
}

func (c *context) class() schema.Class { return c.Name.Context.ClassOf() }

// role returns which side of a handshake the program was, or "" if unknown.
func (c *context) role() string { return shape.Role(c.Name, c.data) }

// get returns the readable datum with the key, or nil.
func (c *context) get(id schema.KeyID) *shape.Datum { return shape.Find(c.data, id) }

// word returns the number that the context has for a key.
func (c *context) word(id schema.KeyID) (uint64, bool) {
	if d := c.get(id); d != nil && d.Type == event.Word {
		return d.Word, true
	}
	return 0, false
}

// text returns the string that the context has for a key, or "".
func (c *context) text(id schema.KeyID) string {
	if d := c.get(id); d != nil && d.Type == event.String {
		return d.Text
	}
	return ""
}

// within returns the nearest context of the class above c that c counts for. It stops at the handshake that c belongs
// to, and returns nil if there is none.
func (c *context) within(class schema.Class) *context {
	for !c.Name.Context.IsHandshake() && c.above != nil {
		if c = c.above; c.class() == class {
			return c
		}
	}
	return nil
}

// unnamed is the span name of a context whose name never arrived.
const unnamed = "crypto.context"

func (c *context) spanName() string {
	switch {
	case c.Name.Context != nil:
		return c.Name.Context.Name
	case c.Name.Text != "":
		return c.Name.Text
	}
	return unnamed
}

// kind returns the span kind, which follows from the role in a handshake.
func (c *context) kind() trace.SpanKind {
	if c.Name.Context.IsHandshake() {
		switch c.role() {
		case "client":
			return trace.SpanKindClient
		case "server":
			return trace.SpanKindServer
		}
	}
	return trace.SpanKindInternal
}

// sideName returns the role in a handshake if it is client or server, else "".
func (c *context) sideName() string {
	switch role := c.role(); role {
	case "client", "server":
		return role
	}
	return ""
}

// isResumption reports whether a TLS handshake takes up an earlier session, as the wire shows. No library reports it, and
// what is missing from its report proves nothing: a handshake with an external pre-shared key has no signature either, nor
// has one that ended early.
func (c *context) isResumption() bool {
	resumed, _ := c.word(schema.KeyTLSResumed)
	return resumed != 0
}
