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
	wire     shape.JoinMethod // how the wire's part was joined, if it was
	doubt    doubt
}

func (t *tree) root() *context { return t.contexts[0] }

// isIncomplete reports whether hits of the process were lost while the tree was open.
// What the wire reports is no hit.
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
	last       uint64 // boot time of its own newest event
	spanID     trace.SpanID
	foreign    int  // of data, pairs of other files
	dropped    int  // pairs over the limit
	holds      bool // something opened below it, even if it is not there any more
	superseded bool // another context replaced it
	incomplete bool // some of its data was lost
	self       bool // it named itself as parent: the id stands for an object, not for a call site
	linked     bool // a bare new_context gave its parent
	parentage  shape.Parentage
	carry      any   // summary of contexts that were shed from below it; see shape.Trait.Carry
	index      int32 // position in the shape that is being made

	// outer is set for a context that opened on itself before its name arrived: the context of that id that was
	// innermost then.
	outer ref
}

// ref refers to a context that may be finished, and its memory reused for another one, when the reference is used.
type ref struct {
	context *context
	spanID  trace.SpanID
}

func (c *context) ref() ref { return ref{c, c.spanID} }

// get returns the context, nil if it is finished.
func (r ref) get() *context {
	if r.context == nil || r.context.tree == nil || r.context.spanID != r.spanID {
		return nil
	}
	return r.context
}

func (c *context) class() schema.Class { return c.name.Context.ClassOf() }

// bare reports whether only the position of the context is known, and no data.
func (c *context) bare() bool { return c.name.Text == "" && len(c.data) == 0 && !c.holds }

// size returns about how much memory the context's data takes, in bytes.
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

// revive makes c part of the open branch of its tree again, since something opens below it. Afterwards, as always, the
// contexts that are not superseded are those that newest leads to from the root.
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

// isBelow reports whether c is ancestor or below it.
func (c *context) isBelow(ancestor *context) bool {
	for ; c != nil; c = c.parent {
		if c == ancestor {
			return true
		}
	}
	return false
}

// within returns the nearest context of the class above c, nil if there is none.
func (c *context) within(class schema.Class) *context {
	for c = c.parent; c != nil && c.class() != class; c = c.parent {
	}
	return c
}

// stretch lets the contexts above c last at least as long as c.
func (c *context) stretch() {
	for p := c.parent; p != nil && p.last < c.last; p = p.parent {
		p.last = c.last
	}
}
