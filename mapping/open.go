// SPDX-License-Identifier: Apache-2.0

package mapping

import (
	"math/rand/v2"

	"github.com/crau-otel/crau-otel/tracer/event"
)

// newContext opens a context. An id that is open already is never overwritten: this is a new context of the same id.
func (m *Mapper) newContext(t *thread, ev *event.Event) {
	m.makeRoom(t, 1)
	newest := t.open[ev.Context]
	if ev.Parent == ev.Context {
		m.openSelf(t, ev, newest)
		return
	}
	parent := t.open[ev.Parent]
	var inferred, n *node
	if ev.Parent != event.NoParent && t.astray(parent) {
		inferred = climb(t.latest.n, m.nameOf(ev).schema)
	}
	switch {
	case ev.Parent == event.NoParent:
		n = m.openRoot(t, ev, newest, parentNone)
	case inferred != nil:
		n = m.openChild(t, ev, newest, inferred)
		n.parentage = parentInferred
	case ev.Parent == 0:
		n = m.openRoot(t, ev, newest, parentNone)
	case parent == nil:
		n = m.openRoot(t, ev, newest, parentUnknown)
	case newest != nil && parent.below(newest):
		// A stack that an error path left standing looks like this, too: what opens anew is a root.
		n = m.openRoot(t, ev, newest, parentCyclic)
	default:
		n = m.openChild(t, ev, newest, parent)
	}
	n.linked = len(ev.Pairs) == 0
	m.take(n, ev)
}

// openSelf opens a context that names itself as parent: its place follows from the schema and from explicit links.
func (m *Mapper) openSelf(t *thread, ev *event.Event, newest *node) {
	name := m.nameOf(ev)
	var n *node
	switch {
	case newest != nil && newest.linked && newest.bare():
		n = newest
	case name.text == "":
		n = m.openTree(t, ev, parentNone)
		if newest != nil {
			n.outer = newest.ref()
		}
	default:
		if parent := selfParent(newest, name.schema); parent != nil {
			n = m.openChild(t, ev, nil, parent)
		} else {
			n = m.openRoot(t, ev, newest, parentNone)
		}
	}
	n.self = true
	m.take(n, ev)
}

// data adds the event's pairs to its context.
func (m *Mapper) data(t *thread, ev *event.Event) {
	m.makeRoom(t, 0)
	n := t.open[ev.Context]
	if n == nil && t.astray(nil) {
		n = t.latest.n
	}
	if n == nil {
		m.makeRoom(t, 1)
		n = m.openRoot(t, ev, nil, parentMissing)
	}
	if n.outer.n != nil {
		if name := m.nameOf(ev); name.text != "" {
			m.settle(n, name)
		}
	}
	m.take(n, ev)
}

// settle moves a context that opened on itself without a name to its place, now that its name came.
func (m *Mapper) settle(n *node, name title) {
	outer := n.outer.get()
	n.outer = ref{}
	if outer == nil || len(n.tree.nodes) > 1 {
		return
	}
	parent := selfParent(outer, name.schema)
	if parent == nil {
		if outer.tree.root().ctx == n.ctx {
			m.finish(outer.tree, endSuperseded)
		}
		return
	}
	parent.tree.events += n.tree.events
	m.drop(n.tree)
	parent.adopt(n)
	n.parentage = parentNone
}

// openRoot opens a context as a new tree. An older tree of the same id ends by that.
func (m *Mapper) openRoot(t *thread, ev *event.Event, newest *node, why parentage) *node {
	switch {
	case newest == nil:
	case newest.tree.root().ctx == ev.Context:
		m.superseded(newest.tree)
	default:
		newest.supersede()
	}
	return m.openTree(t, ev, why)
}

func (m *Mapper) openTree(t *thread, ev *event.Event, why parentage) *node {
	n := m.open(t, ev)
	m.plant(n, why)
	return n
}

// plant makes n the root of a new tree.
func (m *Mapper) plant(n *node, why parentage) {
	tr := m.newTree()
	tr.thread, tr.last = n.thread, n.start
	for !tr.trace.IsValid() {
		fill(tr.trace[:8])
		fill(tr.trace[8:])
	}
	tr.age = m.trees.PushBack(tr)
	n.thread.proc.trees[tr] = struct{}{}
	n.tree, n.parentage = tr, why
	tr.nodes = append(tr.nodes, n)
}

// openChild opens a context below parent. A tree that is full first sheds what was superseded in it.
func (m *Mapper) openChild(t *thread, ev *event.Event, newest, parent *node) *node {
	newest.supersede()
	if tr := parent.tree; len(tr.nodes) >= m.cfg.MaxTreeSpans {
		parent.child.supersede()
		parent.revive() // it must not be shed itself
		m.shed(tr)
		if len(tr.nodes) >= m.cfg.MaxTreeSpans {
			m.finish(tr, endEvicted)
			return m.openTree(t, ev, parentUnknown)
		}
	}
	n := m.open(t, ev)
	parent.adopt(n)
	return n
}

// open makes the context that the id means from now on.
func (m *Mapper) open(t *thread, ev *event.Event) *node {
	n := m.newNode()
	n.ctx, n.file, n.thread, n.start, n.last = ev.Context, ev.File, t, ev.Time, ev.Time
	for !n.span.IsValid() {
		fill(n.span[:])
	}
	t.open[ev.Context] = n
	t.latest = n.ref()
	m.contexts++
	return n
}

// take gives the event's pairs to the contexts they belong to, innermost being the newest of the event's id.
func (m *Mapper) take(innermost *node, ev *event.Event) {
	t := innermost.tree
	t.events++
	t.last = ev.Time
	m.trees.MoveToBack(t.age)
	if ev.Flags&event.Lost != 0 {
		innermost.incomplete = true
	}
	if len(ev.Pairs) == 0 {
		innermost.last = ev.Time
	}
	for i := range ev.Pairs {
		pair := &ev.Pairs[i]
		if isName(pair) && innermost.name == "" {
			innermost.setName(m.in.name(pair.Value))
			innermost.last = ev.Time
			innermost = m.named(innermost)
			innermost.last = ev.Time
			continue
		}
		k := m.in.key(pair.Key)
		if k.left {
			m.stats.LeftOut++
			continue
		}
		n := owner(innermost, k)
		n.last = ev.Time
		m.put(n, m.in.datum(k, pair))
	}
}

// put adds a datum to n; a key that n has already takes the new value.
func (m *Mapper) put(n *node, d datum) {
	for i := range n.data {
		if n.data[i].key == d.key {
			m.bytes += len(d.text) - len(n.data[i].text)
			n.data[i] = d
			return
		}
	}
	if limit := m.limits.AttributeCountLimit; limit >= 0 && len(n.data) >= limit {
		n.dropped++
		m.stats.DroppedAttributes++
		return
	}
	n.data = append(n.data, d)
	m.bytes += d.size()
}

// nameOf returns the name that the event gives its context, if it gives one.
func (m *Mapper) nameOf(ev *event.Event) title {
	for i := range ev.Pairs {
		if isName(&ev.Pairs[i]) {
			return m.in.name(ev.Pairs[i].Value)
		}
	}
	return title{}
}

func isName(pair *event.Pair) bool {
	return pair.Type == event.String && string(pair.Key) == nameKey && len(pair.Value) > 0
}

func fill(b []byte) {
	v := rand.Uint64()
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
}
