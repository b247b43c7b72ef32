// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"math/rand/v2"

	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// openTrees holds the open trees. It creates, changes and removes them, and updates how much their owners use.
type openTrees struct {
	maxPairs int         // limit on the pairs of one context; negative means no limit
	byIdle   treeList    // trees that end when they are idle, idle longest first
	followed treeList    // trees whose end package wire reports, so they do not end by being idle
	dropped  ClassCounts // pairs over maxPairs or maxForeign
	pool     pool
}

// add creates a context for a new_context or data event. From now on, the event's id refers to it.
func (ts *openTrees) add(th *thread, ev *event.Event) *context {
	c := ts.pool.context()
	c.id, c.file, c.thread, c.start, c.last = ev.Context, ev.File, th, ev.Time, ev.Time
	for !c.spanID.IsValid() {
		fillRandom(c.spanID[:])
	}
	th.setContext(c)
	th.newest = c.ref()
	th.process.owner.use(1, 0)
	return c
}

// plant makes c the root of a new tree.
func (ts *openTrees) plant(c *context, parentage shape.Parentage) {
	tr := ts.pool.tree()
	tr.thread, tr.last = c.thread, c.start
	for !tr.traceID.IsValid() {
		fillRandom(tr.traceID[:8])
		fillRandom(tr.traceID[8:])
	}
	tr.owner, tr.losses = c.thread.process.owner, c.thread.process.losses
	tr.followed = c.file == event.Wire
	ts.listOf(tr).pushBack(tr)
	tr.owner.trees.pushBack(tr)
	c.thread.process.trees[tr] = struct{}{}
	c.tree, c.parentage = tr, parentage
	tr.contexts = append(tr.contexts, c)
}

// maxForeign bounds the pairs in one context that come from files other than its opener. They do not count against the
// limit on the opener's own pairs.
const maxForeign = 16

// put adds a datum to c, or replaces the earlier value of the same key. A value from another file never replaces one
// from the file that opened the context.
func (ts *openTrees) put(c *context, d shape.Datum) {
	for i := range c.data {
		if d.Key.Same(c.data[i].Key) && d.Foreign == c.data[i].Foreign {
			c.tree.owner.use(0, d.Size()-c.data[i].Size())
			c.data[i] = d
			return
		}
	}
	limit, has := ts.maxPairs, len(c.data)-c.foreign
	if d.Foreign {
		limit, has = maxForeign, c.foreign
	}
	if limit >= 0 && has >= limit {
		c.dropped++
		ts.dropped[c.tree.owner.Class]++
		return
	}
	if d.Foreign {
		c.foreign++
	}
	c.data = append(c.data, d)
	c.tree.owner.use(0, d.Size())
}

// touch moves a tree to the back of the lists that are ordered by idleness, because it received an event.
func (ts *openTrees) touch(tr *tree) {
	ts.listOf(tr).moveToBack(tr)
	tr.owner.trees.moveToBack(tr)
}

// listOf returns the list that holds the tree: followed or byIdle.
func (ts *openTrees) listOf(tr *tree) *treeList {
	if tr.followed {
		return &ts.followed
	}
	return &ts.byIdle
}

// close removes a context that has been handed up or merged.
func (ts *openTrees) close(c *context) {
	c.tree.owner.use(-1, -c.size())
	c.thread.removeContext(c)
	if c.thread.id&wireThread != 0 {
		c.thread.forgetIfEmpty()
	}
	ts.pool.putContext(c)
}

// remove removes a tree from all lists. Its contexts must be closed or moved to another tree before.
func (ts *openTrees) remove(tr *tree) {
	tr.part()
	if other := tr.doubt.open; other != nil {
		other.doubt = doubt{}
	}
	ts.listOf(tr).remove(tr)
	tr.owner.trees.remove(tr)
	delete(tr.thread.process.trees, tr)
	ts.pool.putTree(tr)
}

func fillRandom(b []byte) {
	v := rand.Uint64()
	for i := range b {
		b[i] = byte(v >> (8 * i))
	}
}
