// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"go.opentelemetry.io/otel/trace"

	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// tree is a root context with everything that opened below it.
type tree struct {
	thread   *thread
	contexts []*context // parents before their children; the first is the root
	last     uint64     // boot time of the newest event
	events   int        // probe hits that were not handed up yet
	traceID  trace.TraceID
	owner    *owner
	links    [listKinds]links
	pieces   pieces
	losses   int              // Process.losses when the tree began
	followed bool             // package wire will report the end
	partner  *tree            // the other tree of a handshake that both a library and package wire report
	wire     shape.JoinMethod // how the wire's tree was joined, if it was
	doubt    doubt
}

func (t *tree) root() *context { return t.contexts[0] }

// isIncomplete reports whether hits of the process were lost while the tree was open. Events of package wire are not
// hits.
func (t *tree) isIncomplete() bool {
	return t.losses < t.thread.process.losses && t.root().file != event.Wire
}

// part dissolves a partnership.
func (t *tree) part() {
	if t.partner != nil {
		t.partner.partner = nil
		t.partner = nil
	}
}

// context is an open context.
type context struct {
	tree       *tree
	thread     *thread // thread whose table has the context
	parent     *context
	newest     *context // the child that opened last
	sameID     *context // the context of another file with the same id and thread
	name       schema.Name
	data       []shape.Datum
	id         uint64
	file       uint32 // that opened it
	start      uint64 // boot time, ns
	last       uint64 // boot time of the newest event of the context itself
	spanID     trace.SpanID
	foreign    int  // number of pairs from other files in data
	dropped    int  // pairs over the limit
	holds      bool // something opened below it, even if that has been removed
	superseded bool // another context replaced it
	incomplete bool // some of its data was lost
	self       bool // it named itself as parent: the id stands for an object, not for a call site
	linked     bool // a new_context without data gave its parent
	parentage  shape.Parentage
	carry      any   // summary of contexts that were shed from below it; see shape.Trait.Carry
	index      int32 // position in the shape that is being built

	// outer is set for a context that named itself as parent and whose name has not arrived. It is the context with that
	// id that was innermost when this one opened.
	outer ref
}

// ref refers to a context. By the time it is used, the context may have finished, and its memory may hold another one.
type ref struct {
	context *context
	spanID  trace.SpanID
}

func (c *context) ref() ref { return ref{c, c.spanID} }

// get returns the context, or nil if it is finished.
func (r ref) get() *context {
	if r.context == nil || r.context.tree == nil || r.context.spanID != r.spanID {
		return nil
	}
	return r.context
}

func (c *context) class() schema.Class { return c.name.Context.ClassOf() }

// bare reports whether nothing but the position of the context is known.
func (c *context) bare() bool { return c.name.Text == "" && len(c.data) == 0 && !c.holds }

// size returns approximately how much memory the context's data takes, in bytes.
func (c *context) size() (bytes int) {
	for i := range c.data {
		bytes += c.data[i].Size()
	}
	return bytes
}

// supersede marks c and the open contexts below it as replaced by another context. c may be nil.
func (c *context) supersede() {
	for ; c != nil && !c.superseded; c = c.newest {
		c.superseded = true
	}
}

// revive makes c part of the open branch of its tree again, because something opens below it. It keeps an invariant:
// the contexts that are not superseded are those that the newest pointers lead to, starting at the root.
func (c *context) revive() {
	for ; c != nil && c.superseded; c = c.parent {
		c.superseded = false
		if p := c.parent; p != nil && p.newest != c {
			p.newest.supersede()
			p.newest = c
		}
	}
}

// adopt makes child the newest child of c.
func (c *context) adopt(child *context) {
	c.newest.supersede()
	c.revive()
	child.parent, c.newest, c.holds = c, child, true
	child.tree = c.tree
	c.tree.contexts = append(c.tree.contexts, child)
}

// isBelow reports whether c is ancestor itself or lies below it.
func (c *context) isBelow(ancestor *context) bool {
	for ; c != nil; c = c.parent {
		if c == ancestor {
			return true
		}
	}
	return false
}

// within returns the nearest context of the class above c, or nil.
func (c *context) within(class schema.Class) *context {
	for c = c.parent; c != nil && c.class() != class; c = c.parent {
	}
	return c
}

// stretch extends the contexts above c so that they end no earlier than c.
func (c *context) stretch() {
	for p := c.parent; p != nil && p.last < c.last; p = p.parent {
		p.last = c.last
	}
}
