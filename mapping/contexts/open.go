// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"github.com/crau-otel/crau-otel/mapping/schema"
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// newContext handles a new_context event. It opens another context even if one with the same id is open. Only openSelf
// may continue an open one.
func (t *Tracker) newContext(th *thread, ev *event.Event) {
	t.makeRoom(th, 1)
	newest := th.ownContext(ev.Context, ev.File)
	if ev.Parent == ev.Context {
		t.openSelf(th, ev, newest)
		return
	}
	parent := th.contextFor(ev.Parent, ev.File)
	var inferred, c *context
	if ev.Parent != event.NoParent && th.isStale(parent) {
		inferred = nearestHolder(th.newest.context, t.nameIn(ev).Context)
	}
	switch {
	case ev.Parent == event.NoParent:
		c = t.openRoot(th, ev, newest, shape.ParentCertain)
	case inferred != nil:
		c = t.openChild(th, ev, newest, inferred)
		c.parentage = shape.ParentInferred
	case ev.Parent == 0:
		c = t.openRoot(th, ev, newest, shape.ParentCertain)
	case parent == nil:
		c = t.openRoot(th, ev, newest, shape.ParentUnknown)
	case newest != nil && parent.isBelow(newest):
		// The named parent is below a context with the new one's id: a cycle, or contexts that the library did not
		// close after an error. The new context becomes a root.
		c = t.openRoot(th, ev, newest, shape.ParentCyclic)
	default:
		c = t.openChild(th, ev, newest, parent)
	}
	c.linked = len(ev.Pairs) == 0
	t.addPairs(c, ev)
	if fromWire(ev) && c.parent == nil {
		findPartner(c)
	}
}

// openSelf opens a context that names itself as its parent. Explicit links and the schema decide its place, which may
// be below a context that another file opened with the same id. ownNewest is the newest open context with that id from
// the event's own file.
func (t *Tracker) openSelf(th *thread, ev *event.Event, ownNewest *context) {
	name, newest := t.nameIn(ev), ownNewest
	if ownNewest == nil {
		newest = th.open[ev.Context]
	}
	var c *context
	switch {
	case newest != nil && newest.linked && newest.bare():
		c = newest
		c.file = ev.File
	case name.Text == "":
		c = t.openTree(th, ev, shape.ParentCertain)
		if newest != nil {
			c.outer = newest.ref()
		}
	default:
		if parent := selfParent(newest, name.Context); parent != nil {
			c = t.openChild(th, ev, nil, parent)
		} else {
			c = t.openRoot(th, ev, ownNewest, shape.ParentCertain)
		}
	}
	c.self = true
	t.addPairs(c, ev)
}

// settle moves a context that named itself as parent from its provisional tree to its place, once its name has arrived.
func (t *Tracker) settle(c *context, name schema.Name) {
	outer := c.outer.get()
	c.outer = ref{}
	if outer == nil || len(c.tree.contexts) > 1 {
		return
	}
	parent := selfParent(outer, name.Context)
	if parent == nil {
		t.replace(outer)
		return
	}
	parent.tree.events += c.tree.events
	c.incomplete = c.incomplete || c.tree.isIncomplete()
	t.open.remove(c.tree)
	parent.adopt(c)
	c.parentage = shape.ParentCertain
}

// openRoot opens a context as the root of a new tree. It supersedes newest, the open context with the same id, if any.
func (t *Tracker) openRoot(th *thread, ev *event.Event, newest *context, parentage shape.Parentage) *context {
	t.replace(newest)
	return t.openTree(th, ev, parentage)
}

// replace supersedes c, whose id a new root takes over. If that id is also the id of the root of c's tree, replace
// supersedes the whole tree. c may be nil.
func (t *Tracker) replace(c *context) {
	switch {
	case c == nil:
	case c.tree.root().key() == c.key():
		t.supersedeTree(c.tree)
	default:
		c.supersede()
	}
}

func (t *Tracker) openTree(th *thread, ev *event.Event, parentage shape.Parentage) *context {
	c := t.open.add(th, ev)
	t.open.plant(c, parentage)
	return c
}

// openChild opens a context below parent, and supersedes newest, the open context with the same id, if any. If the tree
// is full, its superseded contexts are shed. If too few can be shed, the tree is evicted and the context becomes a
// root.
func (t *Tracker) openChild(th *thread, ev *event.Event, newest, parent *context) *context {
	newest.supersede()
	if tr := parent.tree; len(tr.contexts) >= t.cfg.MaxTreeContexts {
		parent.newest.supersede()
		parent.revive() // otherwise the parent might be superseded, and would be shed
		t.shed(tr)
		if len(tr.contexts) >= t.cfg.MaxTreeContexts {
			t.evict(tr, LimitTree)
			return t.openTree(th, ev, shape.ParentUnknown)
		}
	}
	c := t.open.add(th, ev)
	parent.adopt(c)
	return c
}
