// SPDX-License-Identifier: Apache-2.0

package meaning

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// context is one context of the shape, with its data and judgement.
type context struct {
	*shape.Trait
	data      []shape.Datum
	parent    *context
	above     *context // the parent, or nil if there is none or the context does not count for it: see trust.go
	top       *context // the uppermost context that this one counts for; may be this one
	trusted   bool     // only root can write the file that opened the context
	judgement judgement
	reserved  int // number of data whose attributes start with crypto.emitted.
}

func (c *context) class() schema.Class { return c.Name.Context.ClassOf() }

// role returns the program's role in a handshake as reported, usually client or server; "" if unknown.
func (c *context) role() string { return shape.Role(c.Name, c.data) }

// get returns the datum with a key, or nil if there is none that could be read.
func (c *context) get(id schema.KeyID) *shape.Datum { return shape.Find(c.data, id) }

// word returns the value of a key. ok is false if the key is missing or its value is not a number.
func (c *context) word(id schema.KeyID) (uint64, bool) {
	if d := c.get(id); d != nil && d.Type == event.Word {
		return d.Word, true
	}
	return 0, false
}

// text returns the value of a key, or "" if the key is missing or its value is not a string.
func (c *context) text(id schema.KeyID) string {
	if d := c.get(id); d != nil && d.Type == event.String {
		return d.Text
	}
	return ""
}

// within returns the nearest context of a class above c that c counts for, up to and including the handshake that c
// belongs to; nil if there is none.
func (c *context) within(class schema.Class) *context {
	for !c.Name.Context.IsHandshake() && c.above != nil {
		if c = c.above; c.class() == class {
			return c
		}
	}
	return nil
}

// unnamed is the span name of a context for which no name was reported.
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

// kind returns the span kind: client or server for a handshake with that role, else internal.
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

// sideName returns the role if it is client or server, else "". Other values that a program may report are dropped,
// because the role is an attribute of metrics.
func (c *context) sideName() string {
	switch role := c.role(); role {
	case "client", "server":
		return role
	}
	return ""
}

// isResumption reports whether package wire saw that a TLS handshake resumes an earlier session. Libraries do not
// report resumption, and a missing signature does not prove it: a handshake with an external pre-shared key has no
// signature either, nor has a handshake that ended early.
func (c *context) isResumption() bool {
	resumed, _ := c.word(schema.KeyTLSResumed)
	return resumed != 0
}
