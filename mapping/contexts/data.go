// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"github.com/crau-otel/crau-otel/mapping/shape"
	"github.com/crau-otel/crau-otel/tracer/event"
)

// data handles a data event: it adds the pairs to the event's context, or to a new root if none is open.
func (t *Tracker) data(th *thread, ev *event.Event) {
	t.makeRoom(th, 0)
	c := th.ownContext(ev.Context, ev.File)
	if c == nil {
		if foreign := th.open[ev.Context]; foreign != nil {
			t.addForeign(foreign, ev)
			return
		}
	}
	if c == nil && th.isStale(nil) && th.newest.context.file == ev.File {
		c = th.newest.context
	}
	if c == nil && fromWire(ev) {
		th.forgetIfEmpty()
		return // the tree was evicted, or was merged into a library's tree
	}
	if c == nil {
		t.makeRoom(th, 1)
		c = t.openRoot(th, ev, nil, shape.ParentMissing)
	}
	if c.outer.context != nil {
		if name := t.nameIn(ev); name.Text != "" {
			t.settle(c, name)
		}
	}
	t.addPairs(c, ev)
}
