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
	last     uint64     // boot time of the tree's newest event, ns
	events   int        // probe hits that were not passed to Config.Finished yet
	traceID  trace.TraceID
	owner    *owner
	links    [listKinds]links
	pieces   pieces
	losses   int              // Process.losses when the tree began
	followed bool             // package wire will report when the tree ends
	partner  *tree            // other tree of a handshake that the library and package wire both report; nil if none
	wire     shape.JoinMethod // how package wire's tree was joined to this one; JoinNone if none was
	doubt    doubt
}

func (t *tree) root() *context { return t.contexts[0] }

// isIncomplete reports whether hits of the process were lost while the tree was open. The trees of package wire do not
// consist of hits, so they are never incomplete.
func (t *tree) isIncomplete() bool {
	return t.losses < t.thread.process.losses && t.root().file != event.Wire
}

// part dissolves the tree's partnership, if it has a partner.
func (t *tree) part() {
	if t.partner != nil {
		t.partner.partner = nil
		t.partner = nil
	}
}

// context is an open context.
type context struct {
	tree       *tree
	thread     *thread // thread on which the context's id refers to it
	parent     *context
	newest     *context // child that opened last, nil if none: the next context of the open branch
	sameID     *context // next older open context with the same id on the thread; each is of another file
	name       schema.Name
	data       []shape.Datum
	id         uint64
	file       uint32 // file that opened the context
	start      uint64 // boot time, ns
	last       uint64 // boot time of the newest event of the context itself, ns
	spanID     trace.SpanID
	foreign    int  // number of elements of data from other files
	dropped    int  // pairs that were dropped over the limit
	holds      bool // another context opened below this one, even if that has been removed
	superseded bool // another context replaced this one
	incomplete bool // some of its data was lost
	self       bool // the context named itself as parent: its id stands for an object, not for a call site
	linked     bool // the context was opened by a new_context without data that named its parent
	parentage  shape.Parentage
	carry      any   // what Config.Finished returned for the context when others were shed: see shape.Trait.Carry
	index      int32 // position in Shape.Traits, while Finished is being filled

	// outer is set while a context that named itself as parent has no name, which settle needs to find its place. It is
	// the newest context that had the same id when this one opened.
	outer ref
}

// ref is a weak reference to a context: the context may finish, and its memory be reused for another one, before the
// ref is used.
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

// bare reports whether the context has no name, no data, and never had a child.
func (c *context) bare() bool { return c.name.Text == "" && len(c.data) == 0 && !c.holds }

// size returns approximately how much memory the context's data takes, in bytes.
func (c *context) size() (bytes int) {
	for i := range c.data {
		bytes += c.data[i].Size()
	}
	return bytes
}

// supersede marks c, and the open contexts that the newest pointers lead to below c, as replaced by another context. c
// may be nil.
func (c *context) supersede() {
	for ; c != nil && !c.superseded; c = c.newest {
		c.superseded = true
	}
}

// revive makes c part of the open branch of its tree again, because another context opens below c. It keeps an
// invariant: the contexts that are not superseded are those that the newest pointers lead to, starting at the root.
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

// isBelow reports whether c is ancestor or a descendant of ancestor.
func (c *context) isBelow(ancestor *context) bool {
	for ; c != nil; c = c.parent {
		if c == ancestor {
			return true
		}
	}
	return false
}

// within returns the nearest ancestor of c that has the class, or nil.
func (c *context) within(class schema.Class) *context {
	for c = c.parent; c != nil && c.class() != class; c = c.parent {
	}
	return c
}

// stretch extends the ancestors of c so that they end no earlier than c.
func (c *context) stretch() {
	for p := c.parent; p != nil && p.last < c.last; p = p.parent {
		p.last = c.last
	}
}
